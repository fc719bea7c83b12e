// Signatures inferred from examples, held to a table that MLflow wrote.
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import { type Data, type DataMap, NdArray, Table } from "../../server/mlmodel/data/data.ts";
import { type Examples, inferSignature } from "../../server/mlmodel/signature/infer.ts";
import { writeSignature } from "../../server/mlmodel/signature/schema-json.ts";
import { signatureText } from "../../server/mlmodel/signature/schema-text.ts";
import { taskOfSignature } from "../../server/mlmodel/signature/task-of-signature.ts";
import { decodeData } from "../conformance/mlflow/data-cases.ts";
import { signatureTable } from "./signature-table.ts";

/** Each recorded example with MLflow's verdict. */
const recorded = signatureTable.inferences.map(({ input, output, params, theirs }) => {
  const examples: Examples = {
    input: decoded(input),
    output: decoded(output),
    params: params === undefined ? undefined : (decodeData(params) as DataMap),
  };
  return { examples, theirs, name: JSON.stringify({ input, output, params }) };
});

describe("MLflow's rules", () => {
  test("every recorded example gives MLflow's signature, text and number of hints, or fails where MLflow does", () => {
    for (const { examples, theirs, name } of recorded) {
      const unusable =
        theirs.error !== undefined || (examples.params && theirs.losses.some((loss) => loss !== "untaken"));
      if (unusable) {
        expect(() => inferSignature(examples, { onFailure: "any" }), name).toThrow(ApiError);
        continue;
      }
      const { signature, warnings } = inferSignature(examples, { onFailure: "any" });
      expect(writeSignature(signature), name).toEqual(theirs.json);
      expect(signatureText(signature), name).toBe(theirs.text);
      expect(warnings, name).toHaveLength(theirs.hints);
    }
  });

  test("where MLflow gives up and takes anything, and where it would not read its signature back, the example is refused", () => {
    const lost = recorded.filter(
      ({ examples, theirs }) =>
        theirs.error === undefined &&
        (theirs.gaveUp.length > 0 || (examples.output === undefined && theirs.losses.includes("unreadable"))),
    );
    expect(lost.length).toBeGreaterThan(30);
    for (const { examples, name } of lost)
      expect(refusal(() => inferSignature(examples)).reason, name).toBe("INVALID_FIELD");
  });

  test("nothing else is refused but input that MLflow's own enforcement refuses", () => {
    for (const { examples, theirs, name } of recorded) {
      if (theirs.error !== undefined || theirs.gaveUp.length > 0 || theirs.losses.length > 0) continue;
      expect(() => inferSignature(examples), name).not.toThrow();
    }
  });
});

describe("refusals", () => {
  test("every column that has no type is told, with the place of the value", () => {
    const input = dict({ a: [1n, 2.5], b: "x", c: [["x"], [1n]], d: new Table([], 0) });
    const { violations } = refusal(() => inferSignature({ input, params: dict({ t: null, u: [[1n]] }) }));
    expect(violations.map(({ field }) => field)).toEqual([
      "input.a[1]",
      "input.c[1][0]",
      "input.d",
      "params.t",
      "params.u",
    ]);
    expect(violations[0]?.description).toContain("it is a double, unlike the values beside it");
  });

  test("whole numbers that are missing somewhere are refused: MLflow would log the model without a signature", () => {
    for (const [input, field] of [
      [[dict({ a: 1n }), dict({ a: null })], "input[1].a"],
      [[dict({ a: 1n }), dict({})], "input.a"],
      [dict({ a: [1n, null] }), "input.a[1]"],
      [[1n, Number.NaN], "input[1]"],
    ] as const) {
      const { violations } = refusal(() => inferSignature({ input }));
      expect(violations).toEqual([
        { field, description: expect.stringContaining("write the numbers as floats, as 1.0") },
      ]);
      expect(() => inferSignature({ output: input })).not.toThrow();
    }
  });

  test("a hundred columns are told of and the others counted", () => {
    const input = new Map(Array.from({ length: 150 }, (_, i) => [`c${i}`, [1n, "x"]]));
    const { violations } = refusal(() => inferSignature({ input }));
    expect(violations).toHaveLength(101);
    expect(violations.at(-1)?.description).toBe("50 further places");
  });

  test("data deeper than a signature may be is refused", () => {
    const nested = (depth: number): Data => (depth === 0 ? "x" : [nested(depth - 1)]);
    expect(() => inferSignature({ input: nested(20) })).not.toThrow();
    expect(refusal(() => inferSignature({ input: nested(5000) })).message).toContain("nested more than 32 deep");
    const array = NdArray.ofItems(
      "object",
      Array.from({ length: 5000 }, () => 1),
      ["x"],
    );
    expect(refusal(() => inferSignature({ input: dict({ a: array, b: 1n }) })).message).toContain(
      "nested more than 32 deep",
    );
  });
});

test("a prompt and a text give the signature of a custom wrapper, which is no task", () => {
  const { signature, warnings } = inferSignature({ input: dict({ prompt: "<|user|>Hello<|end|>" }), output: "Hello!" });
  expect(writeSignature(signature)).toEqual({
    inputs: '[{"type": "string", "name": "prompt", "required": true}]',
    outputs: '[{"type": "string", "required": true}]',
    params: null,
  });
  expect(warnings).toEqual([]);
  expect(taskOfSignature(signature)).toBeUndefined();
});

test("a hundred thousand dicts of different keys take one pass", () => {
  const input = [Array.from({ length: 100_000 }, (_, i) => dict({ [`k${i}`]: 1.5 }))];
  const { signature } = inferSignature({ input });
  const schema = signature.inputs;
  const type = schema?.kind === "columns" ? schema.columns[0]?.type : undefined;
  const items = type?.kind === "array" ? type.items : undefined;
  expect(items?.kind === "object" ? items.properties : []).toHaveLength(100_000);
});

test("an array of numbers inside data is not unpacked", () => {
  const array = NdArray.ofBytes("float32", [2000, 5000], new Uint8Array(40_000_000));
  const { signature } = inferSignature({ input: dict({ a: array, b: 1.5 }) });
  expect(signatureText(signature)).toContain("['a': Array(Array(float)) (required), 'b': double (required)]");
});

function decoded(value: unknown): Data | undefined {
  return value === undefined ? undefined : decodeData(value);
}

function dict(entries: Record<string, Data>): DataMap {
  return new Map(Object.entries(entries));
}

function refusal(call: () => unknown): ApiError {
  try {
    call();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}
