// numpy's element types: their kinds and widths, and how one item of an array is read or written. It never knows what
// an array is for.
import { ApiError } from "@modelwire/proto";
import { type Data, DateTime, type Dtype, NdArray, NUMBER_BYTES, type NumberDtype } from "./data.ts";

/** numpy's letter for a family of types; V for what numpy knows only as bytes. */
export type Kind = "b" | "i" | "u" | "f" | "M" | "U" | "S" | "O" | "V";

export const KINDS: Readonly<Record<Dtype, Kind>> = {
  bool: "b",
  int8: "i",
  int16: "i",
  int32: "i",
  int64: "i",
  uint8: "u",
  uint16: "u",
  uint32: "u",
  uint64: "u",
  float16: "f",
  float32: "f",
  float64: "f",
  bfloat16: "V",
  "datetime64[ns]": "M",
  str: "U",
  bytes: "S",
  object: "O",
};

/**
 * The shape of an array of no dimensions, which numpy tells from a scalar: compare by identity. Other arrays with an empty
 * shape are scalars.
 */
export const NO_DIMENSIONS: readonly number[] = Object.freeze([]);

/** Not a time, in 64 bits. */
const NAT = -(2n ** 63n);

/** Bytes of one element; 0 for those of any width. */
export function widthOf(dtype: Dtype): number {
  return isNumeric(dtype) ? NUMBER_BYTES[dtype] : 0;
}

/** Whether elements have a fixed width; times count. */
export function isNumeric(dtype: Dtype): dtype is NumberDtype {
  return Object.hasOwn(NUMBER_BYTES, dtype);
}

/** The least and the greatest whole number of an integer type. */
export function rangeOf(dtype: IntDtype): readonly [bigint, bigint] {
  return RANGES[dtype];
}

export type IntDtype = Extract<Dtype, `${"int" | "uint"}${number}`>;

const RANGES: Readonly<Record<IntDtype, readonly [bigint, bigint]>> = {
  int8: [-(2n ** 7n), 2n ** 7n - 1n],
  int16: [-(2n ** 15n), 2n ** 15n - 1n],
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint8: [0n, 2n ** 8n - 1n],
  uint16: [0n, 2n ** 16n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
};

/** The elements as Python has them after `tolist()`: int, float, bool, datetime (null for NaT), str, bytes or objects. */
export function itemsOf(array: NdArray): readonly Data[] {
  if (!isNumeric(array.dtype)) return array.items;
  const read = reader(array.dtype, array.bytes);
  return Array.from({ length: array.size }, (_, at) => read(at));
}

/** One element, as {@link itemsOf} has it. */
export function itemAt(array: NdArray, at: number): Data {
  return isNumeric(array.dtype) ? reader(array.dtype, array.bytes)(at) : (array.items[at] ?? null);
}

/** An array without items may be of any size for nothing, and be more lists than there is memory. */
const MAX_EMPTY_LISTS = 1_000_000;

/** Whether an array of this shape can be taken apart into lists. */
export function canBeLists(shape: readonly number[]): boolean {
  const empty = shape.indexOf(0);
  return empty < 0 || shape.slice(0, empty).reduce((product, each) => product * each, 1) <= MAX_EMPTY_LISTS;
}

/** `array.tolist()`. @throws ApiError LIMIT_EXCEEDED for an array without items that would be a million lists. */
export function toList(array: NdArray): Data {
  if (!canBeLists(array.shape))
    throw new ApiError(
      "LIMIT_EXCEEDED",
      `an array of shape [${array.shape.join(", ")}] has no items, but too many lists to be written; ask with tensors`,
    );
  const items = itemsOf(array);
  const nest = (depth: number, from: number): Data => {
    const length = array.shape[depth];
    if (length === undefined) return items[from] ?? null;
    const step = array.shape.slice(depth + 1).reduce((product, each) => product * each, 1);
    return Array.from({ length }, (_, at) => nest(depth + 1, from + at * step));
  };
  return nest(0, 0);
}

/** The item that is a numpy scalar; other data as it is. */
export function plain(value: Data): Data {
  return value instanceof NdArray && value.shape.length === 0 && value.shape !== NO_DIMENSIONS
    ? itemAt(value, 0)
    : value;
}

/** An array of items that have been converted to its type already. */
export function packed(dtype: Dtype, shape: readonly number[], items: readonly Data[]): NdArray {
  if (!isNumeric(dtype)) return NdArray.ofItems(dtype, shape, items);
  if (dtype === "float64") return doubles(shape, items);
  const bytes = new Uint8Array(items.length * NUMBER_BYTES[dtype]);
  const write = writer(dtype, new DataView(bytes.buffer));
  for (const [at, item] of items.entries()) write(at, item);
  return NdArray.ofBytes(dtype, shape, bytes);
}

/** The most frequent type, without a detour for each item. */
function doubles(shape: readonly number[], items: readonly Data[]): NdArray {
  const values = new Float64Array(items.length);
  for (let at = 0; at < items.length; at++) values[at] = Number(items[at]);
  return NdArray.ofBytes("float64", shape, new Uint8Array(values.buffer));
}

function reader(dtype: NumberDtype, bytes: Uint8Array): (at: number) => Data {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case "bool":
      return (at) => view.getUint8(at) !== 0;
    case "int8":
      return (at) => BigInt(view.getInt8(at));
    case "int16":
      return (at) => BigInt(view.getInt16(at * 2, true));
    case "int32":
      return (at) => BigInt(view.getInt32(at * 4, true));
    case "int64":
      return (at) => view.getBigInt64(at * 8, true);
    case "uint8":
      return (at) => BigInt(view.getUint8(at));
    case "uint16":
      return (at) => BigInt(view.getUint16(at * 2, true));
    case "uint32":
      return (at) => BigInt(view.getUint32(at * 4, true));
    case "uint64":
      return (at) => view.getBigUint64(at * 8, true);
    case "float16":
      return (at) => fromHalf(view.getUint16(at * 2, true));
    case "bfloat16":
      return (at) => fromBrain(view.getUint16(at * 2, true));
    case "float32":
      return (at) => view.getFloat32(at * 4, true);
    case "float64":
      return (at) => view.getFloat64(at * 8, true);
    case "datetime64[ns]":
      return (at) => {
        const ns = view.getBigInt64(at * 8, true);
        return ns === NAT ? null : new DateTime(ns);
      };
  }
}

function writer(dtype: NumberDtype, view: DataView): (at: number, item: Data) => void {
  switch (dtype) {
    case "bool":
      return (at, item) => view.setUint8(at, item === true ? 1 : 0);
    case "int8":
    case "uint8":
      return (at, item) => view.setUint8(at, Number(item) & 0xff);
    case "int16":
    case "uint16":
      return (at, item) => view.setUint16(at * 2, Number(item) & 0xffff, true);
    case "int32":
    case "uint32":
      return (at, item) => view.setUint32(at * 4, Number(item) >>> 0, true);
    case "int64":
    case "uint64":
      return (at, item) => view.setBigInt64(at * 8, BigInt.asIntN(64, item as bigint), true);
    case "float16":
      return (at, item) => view.setUint16(at * 2, toHalf(Number(item)), true);
    case "bfloat16":
      return (at, item) => view.setUint16(at * 2, toBrain(Number(item)), true);
    case "float32":
      return (at, item) => view.setFloat32(at * 4, Number(item), true);
    case "float64":
      return (at, item) => view.setFloat64(at * 8, Number(item), true);
    case "datetime64[ns]":
      return (at, item) => view.setBigInt64(at * 8, item instanceof DateTime ? item.ns : NAT, true);
  }
}

function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Round to nearest, ties to even, as IEEE 754 says. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = size < 2 ** -14 ? -14 : Math.floor(Math.log2(size));
  const scaled = roundHalfEven(size / 2 ** (exponent - 10));
  return sign + (size < 2 ** -14 ? scaled : (exponent + 15) * 1024 + scaled - 1024);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

const single = new DataView(new ArrayBuffer(4));

function fromBrain(bits: number): number {
  single.setUint32(0, bits << 16);
  return single.getFloat32(0);
}

function toBrain(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  single.setFloat32(0, value);
  const bits = single.getUint32(0);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
