// Requests in MLflow's forms: what they mean, and which are refused before a signature is asked.
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import { type Data, DateTime, NdArray, Table } from "../../../server/mlmodel/data/data.ts";
import { itemsOf } from "../../../server/mlmodel/data/element-types.ts";
import { readScoringInput, type ScoringForm } from "../../../server/mlmodel/enforce/scoring-input.ts";
import { scoringOutput } from "../../../server/mlmodel/enforce/scoring-output.ts";
import type { Signature } from "../../../server/mlmodel/schema.ts";
import { readSignature } from "../../../server/mlmodel/signature/schema-json.ts";
import { encodeData } from "../../conformance/mlflow/data-cases.ts";

function signature(inputs: unknown, params: unknown = null): Signature {
  const text = (part: unknown) => (part === null ? null : JSON.stringify(part));
  return readSignature({ inputs: text(inputs), outputs: null, params: text(params) });
}

const TWO = signature([
  { type: "double", name: "a", required: true },
  { type: "string", name: "b", required: false },
]);

function refusal(form: ScoringForm, against: Signature | undefined = TWO): ApiError {
  try {
    readScoringInput(form, against);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

const json = (body: unknown): ScoringForm => ({ form: "json", text: JSON.stringify(body) });

describe("the forms", () => {
  test("rows, records and the body of JSON give the same table", () => {
    const body = readScoringInput(
      { form: "json", text: '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]]}}' },
      TWO,
    );
    const split = readScoringInput({ form: "dataframe_split", columns: ["a", "b"], data: [[1n, "x"]] }, TWO);
    const row = new Map<string, Data>([
      ["a", 1n],
      ["b", "x"],
    ]);
    const records = readScoringInput({ form: "dataframe_records", records: [row] }, TWO);
    expect(encodeData(split.data)).toEqual(encodeData(body.data));
    expect(encodeData(records.data)).toEqual(encodeData(body.data));
    expect((split.data as Table).columns.map(({ values }) => values.dtype)).toEqual(["float64", "str"]);
  });

  test("rows without column names have numbers for them", () => {
    const { data } = readScoringInput({ form: "dataframe_split", columns: undefined, data: [[1n, 2n]] }, undefined);
    expect((data as Table).columns.map(({ name }) => name)).toEqual([0, 1]);
  });

  test("one tensor without a name is an array, others are a dict of them", () => {
    const array = NdArray.ofBytes("int8", [2], new Uint8Array(2));
    expect(readScoringInput({ form: "tensors", tensors: [{ name: "", array }] }, undefined).data).toBe(array);
    const { data } = readScoringInput({ form: "tensors", tensors: [{ name: "x", array }] }, undefined);
    expect(data).toEqual(new Map([["x", array]]));
    for (const names of [[], ["", "x"], ["x", "x"]])
      expect(refusal({ form: "tensors", tensors: names.map((name) => ({ name, array })) }).reason).toBe(
        "INVALID_FIELD",
      );
  });

  test("params come beside the data", () => {
    const { params, unwrapped } = readScoringInput(json({ inputs: { a: 1 }, params: { n: 1 } }), TWO);
    expect(params).toEqual(new Map([["n", 1n]]));
    expect(unwrapped).toBe(false);
    const withParams = signature(null, [{ name: "n", type: "long", default: 1, shape: null }]);
    expect(refusal(json({ inputs: 1, params: [1] }), withParams).message).toContain("Parameters must be a dictionary");
    expect(readScoringInput(json({ inputs: { a: 1 }, params: [1] }), TWO).params).toBeUndefined();
  });

  test("a body with messages is for an LLM: nothing is cast, and known parameters are taken out", () => {
    const chat = signature(null, [{ name: "temperature", type: "double", default: 1, shape: null }]);
    const body = readScoringInput(json({ messages: [], temperature: 2, extra: 3 }), chat);
    expect(body.unwrapped).toBe(true);
    expect(encodeData(body.data)).toEqual({
      dict: [
        ["messages", []],
        ["extra", { int: "3" }],
      ],
    });
    expect(body.params).toEqual(new Map([["temperature", 2n]]));
  });
});

describe("times", () => {
  const times = signature([{ type: "datetime", name: "t", required: true }]);
  const read = (text: string) => readScoringInput({ form: "json", text }, times).data;

  test("text with a zone is put into UTC by numpy, and refused by pandas", () => {
    const data = read('{"inputs": {"t": ["2024-01-02T00:00:00+02:00", "2024-01-02T00:00:00Z"]}}');
    const column = (data as Map<string, Data>).get("t") as NdArray;
    expect(itemsOf(column)).toEqual([
      new DateTime(1_704_146_400_000_000_000n),
      new DateTime(1_704_153_600_000_000_000n),
    ]);
    const form: ScoringForm = { form: "json", text: '{"dataframe_records": [{"t": "2024-01-02T00:00:00Z"}]}' };
    expect(refusal(form, times).message).toContain("timezone-naive");
  });

  test("days that do not exist are refused", () => {
    for (const day of ["2024-02-30", "2023-02-29", "2024-13-01", "2024-01-02T24:00", "2024-01-02T23:59:60"])
      expect(refusal({ form: "inputs", value: new Map([["t", day]]) }, times).message).toContain("no time");
  });
});

describe("what is no request", () => {
  test.each([
    ["a list", [], "Received a list."],
    ["no form", { data: 1 }, "exactly one of the input fields"],
    ["two forms", { inputs: 1, instances: 1 }, "exactly one of the input fields"],
    ["rows that are no dict", { dataframe_split: [] }, "Dataframe split format must be a dictionary. Got list."],
    ["rows without data", { dataframe_split: { columns: [] } }, "must have 'data' field"],
    ["an unknown key", { dataframe_split: { data: [], rows: 1 } }, "must have 'data' field"],
    ["records that are no list", { dataframe_records: {} }, "must be a list of records. Got dictionary."],
  ])("%s is refused", (_, body, words) => {
    const error = refusal(json(body));
    expect(error.reason).toBe("INVALID_FIELD");
    expect(error.message).toContain(words);
  });

  test("text that is no JSON is refused without being shown", () => {
    const error = refusal({ form: "json", text: '{"inputs": hunter2}' });
    expect(error.message).toContain("valid JSON formatted string");
    expect(error.message).not.toContain("hunter2");
  });

  test("a column name that comes twice is refused", () => {
    expect(refusal(json({ dataframe_split: { columns: ["a", "a"], data: [[1, 2]] } })).message).toContain(
      "comes twice",
    );
  });
});

describe("what pandas or numpy would lose", () => {
  test.each([
    ["an int beyond 2^53 beside a null", '{"dataframe_records": [{"a": 9007199254740993}, {"a": null}]}', "a"],
    ["a fraction in a column of whole numbers", '{"inputs": {"n": 1.5}}', "n"],
    ["a number that wraps around", '{"dataframe_records": [{"n": 2147483648}]}', "n"],
    ["a null that would be the text None", '{"inputs": {"s": null}}', "s"],
    ["text that would be true", '{"inputs": {"t": "false"}}', "t"],
    ["instances with different keys", '{"instances": [{"a": 1}, {"n": 1}]}', "[1].n"],
    ["base64 without its padding", '{"dataframe_records": [{"y": "YQ"}]}', "y"],
    ["bytes that are no base64", '{"dataframe_records": [{"y": "no base64!"}]}', "y"],
  ])("%s is refused, with the field", (_, text, field) => {
    const all = signature([
      { type: "double", name: "a", required: false },
      { type: "integer", name: "n", required: false },
      { type: "string", name: "s", required: false },
      { type: "boolean", name: "t", required: false },
      { type: "binary", name: "y", required: false },
    ]);
    const error = refusal({ form: "json", text }, all);
    expect(error.reason).toBe("SCHEMA_ENFORCEMENT_FAILED");
    expect(error.message).toContain("without loss");
    expect(`${error.violations[0]?.field} ${error.violations[0]?.description}`).toContain(field);
  });
});

describe("hostile requests", () => {
  test("lists within lists beyond numpy's 64 dimensions are refused", () => {
    const text = `{"inputs": ${"[".repeat(150)}${"]".repeat(150)}}`;
    expect(refusal({ form: "json", text }, undefined).message).toContain("too many dimensions");
    const deeper = `{"inputs": ${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`;
    expect(refusal({ form: "json", text: deeper }, undefined).reason).toBe("INVALID_FIELD");
  });

  test("records with ever new keys do not grow into a huge table", () => {
    const records = Array.from({ length: 20_000 }, (_, at) => new Map([[`c${at}`, 1]]));
    expect(refusal({ form: "dataframe_records", records }).reason).toBe("LIMIT_EXCEEDED");
    const rows: Data[][] = [Array.from({ length: 20_000 }, () => 1), ...Array.from({ length: 20_000 }, () => [])];
    expect(refusal({ form: "dataframe_split", columns: undefined, data: rows }).reason).toBe("LIMIT_EXCEEDED");
  });

  test("keys such as __proto__ are columns like others", () => {
    const { data } = readScoringInput({ form: "json", text: '{"dataframe_records": [{"__proto__": 1}]}' }, undefined);
    expect((data as Table).columns.map(({ name }) => name)).toEqual(["__proto__"]);
  });
});

describe("the output", () => {
  // As json.dumps of mlflow 3.17.2's scoring server wrote them on 2026-11-21.
  test("bytes are base64 in lines, times ISO 8601, missing text is NaN", () => {
    expect(scoringOutput(new Uint8Array(60))).toBe(`${"A".repeat(76)}\n${"A".repeat(4)}\n`);
    expect(scoringOutput(new DateTime(1_704_164_645_123_000_000n))).toBe("2024-01-02T03:04:05.123000");
    expect(scoringOutput(new DateTime(1_704_164_645_123_456_789n))).toBe("2024-01-02T03:04:05.123456789");
    expect(scoringOutput(new DateTime(-1n))).toBe("1969-12-31T23:59:59.999999999");
    expect(scoringOutput(new DateTime(1_704_153_600_000_000_000n, true))).toBe("2024-01-02");
    const table = new Table([{ name: 0, values: NdArray.ofItems("str", [2], ["x", null]) }], 2);
    expect(scoringOutput(table)).toEqual([new Map([["0", "x"]]), new Map([["0", Number.NaN]])]);
  });
});
