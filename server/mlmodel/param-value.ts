// What a single value becomes as a parameter of a scalar type: MLflow's rule for defaults and for what callers give. It
// never knows which parameter it is.
import { type Data, DateTime, type Dtype, NdArray } from "./data.ts";
import { readDatetime } from "./python-datetime.ts";
import type { ScalarName } from "./schema.ts";

/** A value that is none of a parameter's type; the message says what it is and what would be right. */
export class UnfitParam extends Error {
  override readonly name = "UnfitParam";
}

/**
 * The value as Python's own type: ints become floats where a float is wanted, text becomes a time; nothing else is
 * converted, and None is taken for everything.
 * @throws UnfitParam
 */
export function paramValue(value: Data, type: ScalarName): Data {
  if (value === null) return null;
  const scalar =
    value instanceof NdArray && value.shape.length === 0 ? numpyScalar(value) : { value, dtype: undefined };
  const plain = scalar.value;
  if (type === "datetime") {
    const time = plain instanceof DateTime && scalar.dtype === undefined ? plain : undefined;
    const read = time ?? (typeof plain === "string" ? readDatetime(plain) : undefined);
    if (read === undefined) throw unfit(value, type, 'a time is wanted, such as "2024-01-31T12:00:00"');
    return read;
  }
  if (!takes(type, plain, scalar.dtype)) throw unfit(value, type, WANTED[type]);
  if ((type === "float" || type === "double") && typeof plain === "bigint") {
    const float = Number(plain);
    if (!Number.isFinite(float)) throw unfit(value, type, "it is too large for a float");
    return float;
  }
  return plain;
}

const WANTED: Readonly<Record<Exclude<ScalarName, "datetime">, string>> = {
  boolean: "true or false is wanted",
  integer: "a whole number is wanted, written without a fraction",
  long: "a whole number is wanted, written without a fraction",
  float: "a number is wanted",
  double: "a number is wanted",
  string: "a text is wanted",
  binary: "bytes are wanted",
};

/** Which numpy scalars each type takes. Python's own int passes for every whole number, its float for every float. */
const NUMPY: Readonly<Record<Exclude<ScalarName, "datetime">, readonly Dtype[]>> = {
  boolean: ["bool"],
  integer: ["int32"],
  long: ["int64", "int32"],
  float: ["float32", "int32", "int64"],
  double: ["float64", "float32", "int32", "int64"],
  string: ["str"],
  binary: ["bytes"],
};

function takes(type: Exclude<ScalarName, "datetime">, value: Data, dtype: Dtype | undefined): boolean {
  if (dtype !== undefined) return NUMPY[type].includes(dtype);
  switch (type) {
    case "boolean":
      return typeof value === "boolean";
    case "integer":
    case "long":
      return typeof value === "bigint";
    case "float":
    case "double":
      return typeof value === "bigint" || typeof value === "number";
    case "string":
      return typeof value === "string";
    case "binary":
      return value instanceof Uint8Array;
  }
}

/** A numpy scalar as Python's own type, and the type that it had. */
export function numpyScalar({ dtype, bytes, items }: NdArray): { value: Data; dtype: Dtype } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case "bool":
      return { dtype, value: bytes[0] !== 0 };
    case "int8":
      return { dtype, value: BigInt(view.getInt8(0)) };
    case "uint8":
      return { dtype, value: BigInt(view.getUint8(0)) };
    case "int16":
      return { dtype, value: BigInt(view.getInt16(0, true)) };
    case "uint16":
      return { dtype, value: BigInt(view.getUint16(0, true)) };
    case "int32":
      return { dtype, value: BigInt(view.getInt32(0, true)) };
    case "uint32":
      return { dtype, value: BigInt(view.getUint32(0, true)) };
    case "int64":
      return { dtype, value: view.getBigInt64(0, true) };
    case "uint64":
      return { dtype, value: view.getBigUint64(0, true) };
    case "float32":
      return { dtype, value: view.getFloat32(0, true) };
    case "float64":
      return { dtype, value: view.getFloat64(0, true) };
    case "float16":
      return { dtype, value: halfFloat(view.getUint16(0, true)) };
    case "bfloat16":
      return { dtype, value: upperHalf(view.getUint16(0, true)) };
    case "datetime64[ns]":
      return { dtype, value: new DateTime(view.getBigInt64(0, true)) };
    case "str":
    case "bytes":
    case "object":
      return { dtype, value: items[0] ?? null };
  }
}

function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function upperHalf(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(2, bits, true);
  return view.getFloat32(0, true);
}

function unfit(value: Data, type: ScalarName, wanted: string): UnfitParam {
  return new UnfitParam(`${pythonType(value)} is no ${type}: ${wanted}`);
}

/** What Python calls a value's type. */
export function pythonType(value: Data): string {
  if (value === null) return "None";
  if (value instanceof NdArray) return value.shape.length === 0 ? `a numpy ${value.dtype}` : "an array";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof DateTime) return value.dateOnly ? "a date" : "a datetime";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return value instanceof Map ? "a dict" : "a DataFrame";
  return { boolean: "a bool", bigint: "an int", number: "a float", string: "a str" }[typeof value as "string"];
}
