// The differential beside MLflow itself is test/conformance/mlflow/onnx_predictions.py; here is what it cannot see.
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import { type Data, NdArray, Table } from "../../server/mlmodel/data/data.ts";
import { tableValues } from "../../server/mlmodel/data/table-values.ts";
import { graphSignature, onnxFeeds, onnxOptions, onnxPrediction } from "../../server/mlmodel/onnx-flavor.ts";

const bytes = (array: Float32Array | Float64Array | BigInt64Array | Int8Array) => new Uint8Array(array.buffer);
const float32 = (shape: number[], ...values: number[]) =>
  NdArray.ofBytes("float32", shape, bytes(Float32Array.from(values)));
const float64 = (shape: number[], ...values: number[]) =>
  NdArray.ofBytes("float64", shape, bytes(Float64Array.from(values)));
const int64 = (...values: bigint[]) => NdArray.ofBytes("int64", [values.length], bytes(BigInt64Array.from(values)));
const column = (name: string | number, values: NdArray) => ({ name, values });
const X = { name: "x", type: "float", dims: ["n", 2] };
const refusal = (work: () => unknown): ApiError => {
  try {
    work();
  } catch (error) {
    if (error instanceof ApiError) return error;
  }
  throw new Error("nothing was refused");
};

describe("a graph is fed", () => {
  test("the bytes that came, wherever they begin, and float64 as float32 only where the graph wants that", () => {
    const crooked = new Uint8Array(17).subarray(1);
    const [same] = onnxFeeds(NdArray.ofBytes("float32", [2, 2], crooked), [X]);
    expect(same?.data).toBe(crooked);
    expect(same).toMatchObject({ name: "x", type: "float", dims: [2, 2] });
    const wide = NdArray.ofBytes("float64", [1, 2], crooked);
    expect(onnxFeeds(wide, [X])).toMatchObject([{ type: "float", dims: [1, 2], data: new Uint8Array(8) }]);
    expect(onnxFeeds(wide, [{ ...X, type: "double" }])[0]?.data).toBe(crooked);
  });

  test("one column of a table without a copy, several joined row by row", () => {
    const [values] = [float32([2], 1, 2)];
    expect(onnxFeeds(new Table([column("a", values)], 2), [X])[0]?.data).toBe(values.bytes);
    const both = onnxFeeds(new Table([column("a", values), column("b", float32([2], 3, 4))], 2), [X]);
    expect(both).toEqual([{ name: "x", type: "float", dims: [2, 2], data: bytes(Float32Array.of(1, 3, 2, 4)) }]);
  });

  test("columns by name where it has several inputs, text included", () => {
    const inputs = [X, { name: "y", type: "string", dims: ["n"] }];
    const table = new Table([column("y", NdArray.ofItems("str", [1], ["a"])), column("x", float32([1], 1))], 1);
    expect(onnxFeeds(table, inputs).map(({ name, type }) => [name, type])).toEqual([
      ["x", "float"],
      ["y", "string"],
    ]);
  });

  test("nothing that has no form there, and is told all of it", () => {
    const items = NdArray.ofItems("object", [2], ["a", null]);
    const dates = NdArray.ofBytes("datetime64[ns]", [1], new Uint8Array(8));
    const data: Data = new Map<string, Data>([
      ["x", [1, 2]],
      ["texts", items],
      ["dates", dates],
    ]);
    const error = refusal(() => onnxFeeds(data, [X]));
    expect(error.reason).toBe("PREDICTION_FAILED");
    expect(error.violations).toEqual([
      { field: "x", description: "must be an array" },
      { field: "texts", description: "has an item that is neither text nor number, at 1" },
      { field: "dates", description: "is of datetime64[ns], which no graph takes" },
    ]);
    expect(refusal(() => onnxFeeds("a", [X])).violations).toMatchObject([{ field: "input" }]);
    expect(refusal(() => onnxFeeds(float32([1], 1), [X, { ...X, name: "y" }])).message).toContain("x, y");
    const empty = new Table([column("z", float32([1], 1))], 1);
    expect(refusal(() => onnxFeeds(empty, [X, { ...X, name: "y" }])).violations.map(({ field }) => field)).toEqual([
      "x",
      "y",
    ]);
  });

  test("names as they are, __proto__ too", () => {
    const data = new Map([["__proto__", float64([1], 1)]]);
    expect(onnxFeeds(data, [{ name: "__proto__", type: "float", dims: ["n"] }])[0]).toMatchObject({ type: "float" });
    expect(onnxOptions(JSON.parse('{"onnx_session_options": {"__proto__": {"intra_op_num_threads": 3}}}'))).toEqual({
      entries: {},
    });
  });
});

describe("what a graph gives", () => {
  const label = { kind: "tensor", name: "label", type: "string", dims: [2], data: ["a", "b"] } as const;
  const keys = { type: "int64", dims: [2], data: bytes(BigInt64Array.of(0n, 1n)) };
  const maps = {
    kind: "maps",
    name: "p",
    keys,
    values: { type: "float", dims: [2, 2], data: bytes(Float32Array.of(0.5, 0.25, 1, 2)) },
  } as const;

  test("stays apart by name, maps as maps from text", () => {
    const map = { kind: "map", name: "m", keys, values: { type: "string", dims: [2], data: ["x", "y"] } } as const;
    expect(onnxPrediction([label, maps, map], new Map())).toEqual(
      new Map<string, Data>([
        ["label", NdArray.ofItems("object", [2], ["a", "b"])],
        ["p", [new Map(Object.entries({ 0: 0.5, 1: 0.25 })), new Map(Object.entries({ 0: 1, 1: 2 }))]],
        ["m", new Map(Object.entries({ 0: "x", 1: "y" }))],
      ]),
    );
  });

  test("becomes a table for a table, flattened", () => {
    const scores = { kind: "tensor", name: "s", type: "float", dims: [1, 2], data: new Uint8Array(8) } as const;
    const parts = { kind: "sequence", name: "q", items: [{ ...scores, dims: [1], data: new Uint8Array(4) }] } as const;
    const twice = { ...parts, items: [...parts.items, ...parts.items] };
    const table = onnxPrediction([label, maps, scores, twice], new Table([], 2)) as Table;
    expect(table.rows).toBe(2);
    expect(table.columns.map(({ name, values }) => [name, values.dtype])).toEqual([
      ["label", "str"],
      ["p", "object"],
      ["s", "float32"],
      ["q", "float32"],
    ]);
    expect(refusal(() => onnxPrediction([label, parts], new Table([], 2))).violations).toEqual([
      { field: "label", description: "has 2 items" },
      { field: "q", description: "has 1 items" },
    ]);
    const ragged = { ...twice, items: [parts.items[0], scores] as const };
    expect(refusal(() => onnxPrediction([ragged], new Table([], 2))).message).toContain("different shapes");
  });

  test("is a sequence of nothing", () => {
    const none = { kind: "sequence", name: "q", items: [] } as const;
    expect(onnxPrediction([none], new Map())).toEqual(new Map([["q", []]]));
    expect((onnxPrediction([none], new Table([], 0)) as Table).columns[0]?.values.dtype).toBe("float64");
  });
});

describe("a signature after a graph", () => {
  test("has its names and types, -1 for what is free", () => {
    const text = { name: "t", type: "string", dims: [] };
    expect(graphSignature([X, text], [{ name: "y", type: "bool", dims: [3] }])).toEqual({
      inputs: {
        kind: "tensors",
        tensors: [
          { name: "x", dtype: "float32", shape: [-1, 2] },
          { name: "t", dtype: "str", shape: [] },
        ],
      },
      outputs: { kind: "tensors", tensors: [{ name: "y", dtype: "bool", shape: [3] }] },
      params: undefined,
    });
  });

  test.each([
    ["sequences and maps", { name: "s", type: "", dims: null }],
    ["bfloat16", { name: "b", type: "bfloat16", dims: [1] }],
    ["any rank", { name: "r", type: "float", dims: null }],
  ])("leaves out the whole schema where it could not write %s", (_, value) => {
    const { inputs, outputs } = graphSignature([X], [X, value]);
    expect([inputs?.kind, outputs]).toEqual(["tensors", undefined]);
  });
});

describe("session options of the flavor", () => {
  test("are read as MLflow reads them", () => {
    const options = {
      intra_op_num_threads: 2,
      inter_op_num_threads: 0,
      execution_mode: "PARALLEL",
      graph_optimization_level: 99,
      extra_session_config: { "session.set_denormal_as_zero": "1" },
      something_else: true,
    };
    expect(onnxOptions({ onnx_session_options: options })).toEqual({
      threads: 2,
      interOpThreads: undefined,
      executionMode: "parallel",
      graphOptimization: 99,
      entries: { "session.set_denormal_as_zero": "1" },
    });
    for (const none of [{}, { onnx_session_options: null }, { onnx_session_options: { execution_mode: "other" } }])
      expect(onnxOptions(none)).toEqual({ entries: {} });
  });

  test("that MLflow could not use either are refused, all of them", () => {
    const options = {
      intra_op_num_threads: "two",
      inter_op_num_threads: -1,
      graph_optimization_level: 4,
      execution_mode: 1,
      extra_session_config: { a: 1, b: "x" },
    };
    const error = refusal(() => onnxOptions({ onnx_session_options: options }));
    expect(error.reason).toBe("MODEL_INVALID");
    expect(error.violations.map(({ field }) => field.replace("onnx_session_options.", "")).sort()).toEqual([
      "execution_mode",
      "extra_session_config.a",
      "graph_optimization_level",
      "inter_op_num_threads",
      "intra_op_num_threads",
    ]);
    expect(refusal(() => onnxOptions({ onnx_session_options: [1] })).message).toContain("session options");
  });
});

test("the values of a table are promoted as pandas does", () => {
  const small = NdArray.ofBytes("int8", [2], bytes(Int8Array.of(-128, 127)));
  const half = NdArray.ofBytes("float16", [2], new Uint8Array([0, 0x3c, 1, 0])); // 1, 2^-24
  const joined = (...columns: NdArray[]) =>
    tableValues(
      new Table(
        columns.map((values, i) => column(i, values)),
        2,
      ),
    );
  expect(new Uint16Array(joined(small, half).bytes.slice().buffer)).toEqual(
    Uint16Array.of(0xd800, 0x3c00, 0x57f0, 0x0001),
  );
  const wide = joined(int64(2n ** 62n, -1n), half);
  expect([wide.dtype, ...new Float64Array(wide.bytes.slice().buffer)]).toEqual(["float64", 2 ** 62, 1, -1, 2 ** -24]);
  expect(joined(NdArray.ofItems("str", [2], ["a", "b"]), int64(1n, 2n)).items).toEqual(["a", 1n, "b", 2n]);
  expect(joined(NdArray.ofBytes("bool", [2], Uint8Array.of(0, 1)), int64(1n, 2n)).items).toEqual([false, 1n, true, 2n]);
  expect(tableValues(new Table([], 0))).toMatchObject({ dtype: "float64", shape: [0, 0] });
  expect(tableValues(new Table([], 1))).toMatchObject({ dtype: "float64", shape: [1, 0] });
  expect(tableValues(new Table([column("a", NdArray.ofItems("object", [0], []))], 0))).toMatchObject({
    dtype: "object",
  });
});
