// What a single value becomes as a parameter of a scalar type: MLflow's rule for defaults and for what callers give. It
// never knows which parameter it is.
import { type Data, DateTime, type Dtype, NdArray } from "../data/data.ts";
import { itemAt } from "../data/element-types.ts";
import { readDatetime } from "../data/python-datetime.ts";
import { typeName } from "../data/python-words.ts";
import type { ScalarName } from "../schema.ts";

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
  const dtype = value instanceof NdArray && value.shape.length === 0 ? value.dtype : undefined;
  const plain = dtype === undefined ? value : itemAt(value as NdArray, 0);
  if (type === "datetime") {
    // numpy's own times have nanoseconds, which MLflow does not take here.
    const time = typeof plain === "string" ? readDatetime(plain) : value;
    if (!(time instanceof DateTime)) throw unfit(value, type, 'a time is wanted, such as "2024-01-31T12:00:00"');
    return time;
  }
  if (!takes(type, plain, dtype)) throw unfit(value, type, WANTED[type]);
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

function unfit(value: Data, type: ScalarName, wanted: string): UnfitParam {
  return new UnfitParam(`${typeName(value)} is no ${type}: ${wanted}`);
}
