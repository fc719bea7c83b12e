// Enforcement: everything that is wrong by field, nothing copied that fits, hostile input in bounded time.
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import { type Data, NdArray, Table } from "../../../server/mlmodel/data/data.ts";
import { parsePythonJson } from "../../../server/mlmodel/data/python-json.ts";
import { enforceInput } from "../../../server/mlmodel/enforce/enforce.ts";
import type { Schema } from "../../../server/mlmodel/schema.ts";
import { readSignature } from "../../../server/mlmodel/signature/schema-json.ts";

const CHAT = schema([
  {
    type: "array",
    items: {
      type: "object",
      properties: { role: { type: "string", required: true }, content: { type: "string", required: false } },
    },
    name: "messages",
    required: true,
  },
  { type: "double", name: "temperature", required: false },
  { type: "long", name: "max_tokens", required: false },
]);

function schema(json: unknown): Schema {
  const { inputs } = readSignature({ inputs: JSON.stringify(json), outputs: null, params: null });
  if (inputs === undefined) throw new Error("no inputs");
  return inputs;
}

function refusal(inputs: Schema, data: Data, strict = false): ApiError {
  try {
    enforceInput(inputs, data, { strict });
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

describe("what does not fit", () => {
  test("every violation is told with its path, and the first in MLflow's words", () => {
    const chat = parsePythonJson(
      '{"messages": [{"role": 5}, {"content": "secret words"}, {"role": "user", "tool": 1}, 7], "temperature": 2, "max_tokens": 7.0}',
    );
    const error = refusal(CHAT, chat);
    expect(error.reason).toBe("SCHEMA_ENFORCEMENT_FAILED");
    expect(error.message).toBe("Failed to enforce schema for key `role`. Expected type string, received type int");
    expect(error.violations.map(({ field }) => field)).toEqual([
      "messages[0].role",
      "messages[1].role",
      "messages[2].tool",
      "messages[3]",
      "temperature",
      "max_tokens",
    ]);
  });

  test("missing columns come first, all of them in one message, and the others are checked all the same", () => {
    const columns = schema([
      { type: "double", name: "a", required: true },
      { type: "double", name: "b", required: true },
      { type: "double", name: "c", required: true },
    ]);
    const error = refusal(columns, parsePythonJson('{"c": ["x"], "d": [1]}'));
    expect(error.message).toBe("Model is missing inputs ['a', 'b']. Note that there were extra inputs: ['d'].");
    expect(error.violations.map(({ field }) => field)).toEqual(["a", "b", "c"]);
  });

  test("the data is never in the message, nor in a violation", () => {
    const secret = "hunter2";
    for (const text of [
      `{"messages": ["${secret}"]}`,
      `{"messages": "${secret}"}`,
      `{"messages": [{"role": {"x": "${secret}"}}], "temperature": "${secret}", "max_tokens": ["${secret}"]}`,
    ]) {
      const error = refusal(CHAT, parsePythonJson(text));
      expect(JSON.stringify([error.message, error.violations])).not.toContain(secret);
    }
  });

  test("rows are part of the path where there are several", () => {
    const rows = parsePythonJson('[{"messages": []}, {"messages": [{"role": 1}]}]');
    expect(refusal(CHAT, rows).violations.map(({ field }) => field)).toEqual(["messages[1][0].role"]);
  });

  test("the search ends after a hundred violations and says so", () => {
    const many = new Map<string, Data>([["messages", Array.from({ length: 100_000 }, () => 1n)]]);
    const { violations } = refusal(CHAT, many);
    expect(violations).toHaveLength(101);
    expect(violations.at(-1)).toEqual({ field: "", description: "There may be more: the search ends here." });
  });
});

describe("what the signature does not know", () => {
  const columns = schema([{ type: "double", name: "a", required: true }]);
  const data = new Map<string, Data>([
    ["a", 1],
    ["b", 2],
  ]);

  test("is dropped and listed", () => {
    const { data: enforced, ignored } = enforceInput(columns, data, { strict: false });
    expect(ignored).toEqual(["b"]);
    expect((enforced as Table).columns.map(({ name }) => name)).toEqual(["a"]);
  });

  test("is refused when strict", () => {
    const error = refusal(columns, data, true);
    expect(error.message).toContain("Found extra inputs in the model input");
    expect(error.violations.map(({ field }) => field)).toEqual(["b"]);
  });

  test("counts by position where the signature has no names", () => {
    const unnamed = schema([{ type: "double" }]);
    const table = new Table(
      [0, 1].map((name) => ({ name, values: NdArray.ofBytes("float64", [1], new Uint8Array(8)) })),
      1,
    );
    expect(enforceInput(unnamed, table, { strict: false }).ignored).toEqual(["1"]);
    expect(refusal(unnamed, table, true).violations.map(({ field }) => field)).toEqual(["1"]);
  });

  test("may be called __proto__ or constructor", () => {
    const odd = schema([{ type: "double", name: "__proto__", required: true }]);
    const { data: enforced } = enforceInput(odd, new Map([["__proto__", 1]]), { strict: true });
    expect((enforced as Table).columns[0]?.name).toBe("__proto__");
    expect(refusal(columns, new Map([["constructor", 1]])).message).toContain("extra inputs: ['constructor']");
  });
});

describe("what fits", () => {
  const bytes = new Uint8Array(100_000_000);
  const tensor = NdArray.ofBytes("float32", [25_000_000], bytes);

  test("a tensor of 100 MB is passed on as it is", () => {
    const inputs = schema([{ type: "tensor", name: "x", "tensor-spec": { dtype: "float32", shape: [-1] } }]);
    const { data } = enforceInput(inputs, new Map([["x", tensor]]), { strict: true });
    expect((data as Map<string, Data>).get("x")).toBe(tensor);
    const bare = enforceInput(inputs, tensor, { strict: true });
    expect((bare.data as Map<string, Data>).get("x")).toBe(tensor);
  });

  test("a column of the right type keeps its bytes", () => {
    const inputs = schema([{ type: "float", name: "x", required: true }]);
    const { data } = enforceInput(inputs, new Map([["x", tensor]]), { strict: true });
    expect((data as Table).columns[0]?.values.bytes).toBe(bytes);
  });

  test("without a schema it is the data itself", () => {
    const data: Data = ["anything", 1n];
    expect(enforceInput(undefined, data, { strict: true }).data).toBe(data);
  });

  test("columns come in the order of the schema, absent optional ones left out", () => {
    const data = parsePythonJson('{"max_tokens": 5, "messages": []}');
    const { data: table } = enforceInput(CHAT, data, { strict: true });
    expect((table as Table).columns.map(({ name }) => name)).toEqual(["messages", "max_tokens"]);
  });
});

describe("hostile input", () => {
  test("100000 columns are enforced within seconds", () => {
    const names = Array.from({ length: 100_000 }, (_, at) => `c${at}`);
    const inputs = schema(names.map((name) => ({ type: "double", name, required: true })));
    const { data } = enforceInput(inputs, new Map(names.map((name) => [name, 1])), { strict: true });
    expect((data as Table).columns).toHaveLength(100_000);
  });

  test("single values are not repeated beside a long list beyond a limit", () => {
    const wide = new Map<string, Data>(Array.from({ length: 10_000 }, (_, at) => [`c${at}`, null]));
    wide.set("long", new Array<Data>(10_000).fill(1));
    const error = refusal(schema([{ type: "double", name: "long", required: true }]), wide);
    expect(error.reason).toBe("LIMIT_EXCEEDED");
  });

  test("an array of several dimensions is not taken apart into a column beyond a limit", () => {
    const matrix = NdArray.ofBytes("int8", [5_000_000, 2], new Uint8Array(10_000_000));
    const error = refusal(schema([{ type: "any", name: "x", required: true }]), new Map([["x", matrix]]));
    expect(error.reason).toBe("LIMIT_EXCEEDED");
  });
});
