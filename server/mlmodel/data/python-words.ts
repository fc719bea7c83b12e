// Python's names for what data is, for MLflow's messages. It never shows the data itself.

import type { DataType, ScalarName } from "../schema.ts";
import { type Data, DateTime, type Dtype, NdArray, Table } from "./data.ts";

/** `type(value).__name__`. */
export function typeName(value: Data): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return "float";
  if (typeof value === "string") return "str";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof DateTime) return value.dateOnly ? "date" : "datetime";
  if (value instanceof NdArray) return value.shape.length > 0 ? "ndarray" : scalarName(value.dtype);
  if (value instanceof Table) return "DataFrame";
  return value instanceof Map ? "dict" : "list";
}

/** `str(type(value))`. */
export function className(value: Data): string {
  const name = typeName(value);
  if (value instanceof NdArray) return `<class 'numpy.${name}'>`;
  if (value instanceof Table) return "<class 'pandas.DataFrame'>";
  return `<class '${value instanceof DateTime ? `datetime.${name}` : name}'>`;
}

function scalarName(dtype: Dtype): string {
  return dtype === "str" || dtype === "bytes" ? `${dtype}_` : dtype === "datetime64[ns]" ? "datetime64" : dtype;
}

/** `repr` of a list of names. */
export function nameList(names: readonly (string | number)[]): string {
  return `[${names.map(nameText).join(", ")}]`;
}

/** `repr` of a set of names. */
export function nameSet(names: readonly string[]): string {
  return `{${names.map(nameText).join(", ")}}`;
}

/** `repr` of a name. Names are the caller's: what would break a line of a log is escaped, and long ones are cut. */
export function nameText(name: string | number): string {
  if (typeof name === "number") return String(name);
  const quote = name.includes("'") && !name.includes('"') ? '"' : "'";
  const text = name.length > 200 ? `${name.slice(0, 200)}…` : name;
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll(quote, `\\${quote}`)
    .replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return quote + escaped + quote;
}

/** A tuple of sizes. */
export function shapeText(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

/** numpy's type of MLflow's, as it prints. */
export const NUMPY_NAMES: Readonly<Record<ScalarName, string>> = {
  boolean: "bool",
  integer: "int32",
  long: "int64",
  float: "float32",
  double: "float64",
  string: "<U0",
  binary: "|S0",
  datetime: "datetime64[ns]",
};

/** The `type` of a property in a signature's JSON. */
export function typeWord(type: DataType): string {
  return type.kind === "scalar" ? type.name : type.kind;
}
