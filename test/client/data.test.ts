// JavaScript's data on its way to the wire and back, and what has no way there.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DataInputSchema, DataOutputSchema, TensorSchema, TensorType, ValueSchema } from "@modelwire/proto";
import { expect, test } from "vitest";
import { fromValue, toObject, toValue } from "../../client/data.ts";
import { fromDataOutput, type InputForm, toDataInput } from "../../client/data-input.ts";
import { ApiError, Tensor, tensor } from "../../client/index.ts";
import { fromTensorMessage, tensorMessage } from "../../client/tensor.ts";

const message = (data: unknown) => create(ValueSchema, toValue(data, "input"));
/** There and back over real bytes. */
const back = (data: unknown) => fromValue(fromBinary(ValueSchema, toBinary(ValueSchema, message(data))));
const form = (data: unknown, as?: InputForm) => create(DataInputSchema, toDataInput(data, as)).form;

function refusal(call: () => unknown): ApiError {
  try {
    call();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

test.each([
  [1, "intValue"],
  [2 ** 53 - 1, "intValue"],
  [2 ** 53, "doubleValue"],
  [-0, "doubleValue"],
  [0.5, "doubleValue"],
  [Number.NaN, "doubleValue"],
  [Number.NEGATIVE_INFINITY, "doubleValue"],
  [2n ** 63n - 1n, "intValue"],
  [true, "boolValue"],
  ["é😀", "stringValue"],
  [null, "nullValue"],
  [new Uint8Array([1, 255]), "binaryValue"],
  [new Date(-1), "datetimeValue"],
  [[1, [0.5, null]], "listValue"],
  [{ b: 1, a: { c: [] } }, "objectValue"],
])("%o goes as %s and comes back as it was", (data, kind) => {
  expect(message(data).kind.case).toBe(kind);
  expect(back(data)).toStrictEqual(data);
});

test("an int comes back as a number where that is exact, else as a bigint", () => {
  expect([back(5n), back(-(2n ** 53n))]).toStrictEqual([5, -(2n ** 53n)]);
});

test("entries keep their order, undefined ones are left out, and __proto__ is a key like any other", () => {
  const data = JSON.parse('{"z": 1, "__proto__": {"polluted": true}, "a": 2}');
  const returned = back({ ...data, gone: undefined });
  expect(Object.keys(returned as object)).toEqual(["z", "__proto__", "a"]);
  expect(Object.getPrototypeOf(returned)).toBe(Object.prototype);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  expect(back(Object.assign(Object.create(null), { a: 1 }))).toEqual({ a: 1 });
});

test("everything that is no data is refused, each with its place", () => {
  class Thing {}
  const cycle: unknown[] = [];
  cycle.push({ again: cycle });
  const input = {
    f: () => 1,
    "a b": [Symbol("s"), undefined],
    map: new Map(),
    thing: new Thing(),
    // biome-ignore lint/suspicious/noSparseArray: a hole is what this is about
    sparse: [1, , 3],
    late: new Date(Number.NaN),
    big: 2n ** 63n,
    half: "\ud800",
    cycle,
  };
  const { codeName, violations } = refusal(() => toValue(input, "input"));
  expect(codeName).toBe("INVALID_ARGUMENT");
  expect(violations.map(({ field }) => field)).toEqual([
    "input.f",
    'input["a b"][0]',
    'input["a b"][1]',
    "input.map",
    "input.thing",
    "input.sparse[1]",
    "input.late",
    "input.big",
    "input.half",
    "input.cycle[0].again",
  ]);
});

test("depth is bounded before the stack or the server is, and no input makes more than a hundred reports", () => {
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  expect(refusal(() => toValue(deep, "x")).violations[0]?.description).toContain("deeper than 30");
  let objects: unknown = 1;
  for (let i = 0; i < 30; i++) objects = { a: objects };
  expect(back(objects)).toEqual(objects);
  const many = Array.from({ length: 1_000 }, () => () => 1);
  expect(refusal(() => toValue(many, "x")).violations).toHaveLength(100);
});

test("the same object twice is no cycle", () => {
  const shared = { a: 1 };
  expect(back([shared, shared])).toEqual([shared, shared]);
});

test("parameters are a plain object", () => {
  expect(refusal(() => toObject([], "params")).violations[0]?.description).toContain("not a list");
});

const ARRAYS = [
  ["float32", TensorType.FLOAT, new Float32Array([1, 0.5])],
  ["float64", TensorType.DOUBLE, new Float64Array([1, 0.1])],
  ["int8", TensorType.INT8, new Int8Array([1, -1])],
  ["int16", TensorType.INT16, new Int16Array([1, -1])],
  ["int32", TensorType.INT32, new Int32Array([1, -1])],
  ["int64", TensorType.INT64, new BigInt64Array([1n, -1n])],
  ["uint8", TensorType.UINT8, new Uint8Array([1, 255])],
  ["uint16", TensorType.UINT16, new Uint16Array([1, 65_535])],
  ["uint32", TensorType.UINT32, new Uint32Array([1, 2 ** 32 - 1])],
  ["uint64", TensorType.UINT64, new BigUint64Array([1n, 2n ** 64n - 1n])],
] as const;

test.each(ARRAYS)("a %s array is a tensor of its type, there and back, and shares its bytes", (type, wire, array) => {
  const made = tensor(array, [2, 1]) as Tensor;
  expect(made.type).toBe(type);
  const init = tensorMessage(made);
  expect(init).toMatchObject({ type: wire, shape: [2n, 1n] });
  expect((init.data as Uint8Array).buffer).toBe(array.buffer);
  // An odd place in a buffer, as messages have them.
  for (const offset of [0, 1, 8]) {
    const bytes = new Uint8Array(offset + array.byteLength);
    bytes.set(new Uint8Array(array.buffer), offset);
    const returned = fromTensorMessage(create(TensorSchema, { ...init, data: bytes.subarray(offset) }));
    expect(returned.data).toStrictEqual(array);
    expect(returned.shape).toEqual([2, 1]);
    expect((returned.data as Uint8Array).buffer === bytes.buffer).toBe(offset % array.BYTES_PER_ELEMENT === 0);
  }
});

test("texts, truth values, plain numbers and the bits of float16 are tensors too", () => {
  expect(tensor(["a", "b"]).type).toBe("string");
  expect(tensor([true, false], [2, 1])).toMatchObject({ type: "bool", data: new Uint8Array([1, 0]) });
  expect(tensor([1, 2.5], undefined, "float32").data).toEqual(new Float32Array([1, 2.5]));
  expect(tensor([1, 2n], [2], "int64").data).toEqual(new BigInt64Array([1n, 2n]));
  expect(tensor(new Uint16Array([0x3c00]), [], "float16")).toMatchObject({ type: "float16", shape: [] });
  expect(tensor([], [0], "string").data).toEqual([]);
});

test("a tensor that is none is refused", () => {
  for (const wrong of [
    () => tensor(new Float32Array(3), [2]),
    () => tensor(new Float32Array(0), [-1]),
    () => tensor(new Float32Array(1), [0.5]),
    () => tensor([300], [1], "int8"),
    () => tensor([0.5], [1], "int32"),
    () => tensor([2n ** 63n], [1], "int64"),
    () => tensor([-1n], [1], "uint64"),
    () => tensor([1, 2] as unknown as string[]),
    () => tensor(new Float64Array(1) as never, [1], "float32"),
    () => tensor([1] as never, [1], "float16"),
    () => tensor([1] as never, [1], "bool"),
  ])
    expect(refusal(wrong).codeName).toBe("INVALID_ARGUMENT");
});

test("a broken tensor from the server is INTERNAL, not a crash", () => {
  for (const broken of [
    { type: TensorType.FLOAT, shape: [2n], data: new Uint8Array(4) },
    { type: TensorType.FLOAT, shape: [1n], data: new Uint8Array(3) },
    { type: TensorType.UNSPECIFIED, shape: [0n] },
    { type: TensorType.STRING, shape: [2n], strings: ["a"] },
    { type: TensorType.UINT8, shape: [-1n] },
  ])
    expect(refusal(() => fromTensorMessage(create(TensorSchema, broken))).codeName).toBe("INTERNAL");
});

test.each<[unknown, string]>([
  [[{ a: 1 }], "dataframeRecords"],
  [[], "dataframeRecords"],
  [{ a: 1 }, "inputs"],
  [{ a: [1, 2] }, "inputs"],
  [{}, "inputs"],
  ["text", "inputs"],
  [["a", "b"], "inputs"],
  [[{ a: 1 }, 2], "inputs"],
  [new Uint8Array(2), "inputs"],
  [{ a: new Uint8Array(2) }, "inputs"],
  [{ a: new Float32Array(2), b: 1 }, "inputs"],
  [new Float32Array(2), "tensors"],
  [tensor(new Uint8Array(2)), "tensors"],
  [{ a: new Float32Array(2), b: tensor(["x"]), c: undefined }, "tensors"],
])("%o goes as %s", (data, expected) => {
  expect(form(data).case).toBe(expected);
});

test("a form that is named is taken, whatever the data looks like", () => {
  expect(form([{ a: 1 }], "instances").case).toBe("instances");
  expect(form('{"inputs": 1.0}', "json")).toEqual({ case: "json", value: '{"inputs": 1.0}' });
  const split = form({ columns: ["a", "b"], data: [[1, "x"]] }, "dataframe_split");
  expect(split.case === "dataframeSplit" && split.value.columns).toEqual(["a", "b"]);
  for (const [data, as] of [
    [1, "json"],
    [{ a: 1 }, "dataframe_records"],
    [[1], "dataframe_records"],
    [{ columns: [1], data: [] }, "dataframe_split"],
    [{ data: [1] }, "dataframe_split"],
    [{ a: new Uint8Array(1) }, "tensors"],
    [[1], "tensors"],
  ] as const)
    expect(refusal(() => toDataInput(data, as)).violations[0]?.field).toMatch(new RegExp(`^${as}`));
});

test("an output of tensors has their names; a single one without a name stands alone", () => {
  const one = tensorMessage(tensor(new Float32Array([1])));
  const output = (...names: string[]) =>
    fromDataOutput(
      create(DataOutputSchema, {
        form: { case: "tensors", value: { tensors: names.map((name) => ({ name, tensor: one })) } },
      }),
    );
  expect(output("")).toBeInstanceOf(Tensor);
  expect(Object.keys(output("a", "__proto__") as object)).toEqual(["a", "__proto__"]);
});
