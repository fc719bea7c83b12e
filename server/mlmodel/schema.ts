// What a signature says, taken apart. Reading, writing and printing it are in files of their own.
import type { Data } from "./data/data.ts";

export type ScalarName = "boolean" | "integer" | "long" | "float" | "double" | "string" | "binary" | "datetime";

export const SCALAR_NAMES: readonly ScalarName[] = [
  "boolean",
  "integer",
  "long",
  "float",
  "double",
  "string",
  "binary",
  "datetime",
];

export type DataType =
  | { readonly kind: "scalar"; readonly name: ScalarName }
  | { readonly kind: "array"; readonly items: DataType }
  /** Properties are sorted by name. */
  | { readonly kind: "object"; readonly properties: readonly Property[] }
  | { readonly kind: "map"; readonly values: DataType }
  | { readonly kind: "any" }
  | { readonly kind: "sparkml_vector" };

export interface Property {
  readonly name: string;
  readonly type: DataType;
  readonly required: boolean;
}

export interface ColumnSpec {
  /** A number in a signature inferred from a table without column names; undefined in a schema of unnamed columns. */
  readonly name: string | number | undefined;
  readonly type: DataType;
  /** null where a column that is no scalar does not say: it counts as optional, and is written back as null. */
  readonly required: boolean | null;
}

export interface TensorSpec {
  readonly name: string | undefined;
  /** As MLflow writes it: numpy's name, "str", "bytes" or "object". */
  readonly dtype: string;
  /** -1 takes any size. */
  readonly shape: readonly number[];
}

export type Schema =
  | { readonly kind: "columns"; readonly columns: readonly ColumnSpec[] }
  | { readonly kind: "tensors"; readonly tensors: readonly TensorSpec[] };

export interface ParamSpec {
  readonly name: string;
  /** A scalar or an object. */
  readonly type: DataType;
  readonly default: Data;
  /** null for a single value, [-1] for a list. */
  readonly shape: readonly number[] | null;
}

export interface Signature {
  readonly inputs: Schema | undefined;
  readonly outputs: Schema | undefined;
  /** An empty list is not the same as none. */
  readonly params: readonly ParamSpec[] | undefined;
}
