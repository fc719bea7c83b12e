// The params that MLflow infers from examples of them, which become their defaults. It never knows inputs and outputs.
import type { FieldViolation } from "@modelwire/proto";
import { type Data, type DataMap, DateTime, type Dtype, NdArray } from "../data/data.ts";
import { itemsOf } from "../data/element-types.ts";
import { typeName } from "../data/python-words.ts";
import { UnfitParam } from "../enforce/param-value.ts";
import type { DataType, ParamSpec, ScalarName } from "../schema.ts";
import { inferSchema } from "./infer-schema.ts";
import { paramDefault } from "./param-json.ts";

/** Each param, or why it cannot be one: MLflow infers nothing at all when one of them is wrong. */
export function inferParams(params: DataMap): { specs: ParamSpec[]; violations: FieldViolation[] } {
  const specs: ParamSpec[] = [];
  const violations: FieldViolation[] = [];
  for (const [name, value] of params)
    try {
      specs.push(inferParam(name, value));
    } catch (error) {
      if (!(error instanceof UnfitParam)) throw error;
      violations.push({ field: `params.${name}`, description: error.message });
    }
  return { specs, violations };
}

/** @throws UnfitParam */
function inferParam(name: string, value: Data): ParamSpec {
  if (value instanceof Map) {
    const type = dictType(value);
    return { name, type, default: paramDefault(value, type, false), shape: null };
  }
  const list = Array.isArray(value) || (value instanceof NdArray && value.shape.length > 0);
  const items = list ? listItems(value) : [value];
  const kinds = value instanceof NdArray && list ? arrayKinds(value) : new Set(items.map(kindOf));
  const type: DataType = { kind: "scalar", name: scalarOf(kinds) };
  return { name, type, default: paramDefault(list ? items : value, type, list), shape: list ? [-1] : null };
}

function listItems(value: NdArray | readonly Data[]): readonly Data[] {
  const isList = (item: Data) => Array.isArray(item) || (item instanceof NdArray && item.shape.length > 0);
  if (value instanceof NdArray ? value.shape.length > 1 : value.some(isList))
    throw new UnfitParam("a param is a single value, a list of single values, or a dict; not a list of lists");
  return value instanceof NdArray ? itemsOf(value) : value;
}

/** What numpy tells apart when it makes one array of values. */
type ItemKind = "bool" | "int" | "int32" | "float" | "float32" | "str" | "time";

function arrayKinds(array: NdArray): ReadonlySet<ItemKind> {
  if (array.size === 0) return new Set();
  if (array.dtype === "object" && array.items.every((item) => item instanceof DateTime)) return new Set(["time"]);
  return new Set([dtypeKind(array.dtype)]);
}

/** @throws UnfitParam */
function kindOf(value: Data): ItemKind {
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "number":
      return "float";
    case "string":
      return "str";
    case "bigint":
      if (BigInt.asIntN(64, value) === value) return "int";
      throw new UnfitParam("the number is beyond 64 bits: write it as a float");
  }
  if (value instanceof DateTime) return "time";
  if (value instanceof NdArray) return dtypeKind(value.dtype);
  throw new UnfitParam(`${typeName(value)} is no value of a param: give a bool, a number, a text or a time`);
}

function dtypeKind(dtype: Dtype): ItemKind {
  const kind = DTYPE_KINDS[dtype];
  if (kind === undefined) throw new UnfitParam(`MLflow takes no param of ${dtype}: use Python's own types`);
  return kind;
}

const DTYPE_KINDS: Readonly<Partial<Record<Dtype, ItemKind>>> = {
  bool: "bool",
  int32: "int32",
  int64: "int",
  float32: "float32",
  float64: "float",
  str: "str",
};

const SCALARS: Readonly<Record<ItemKind, ScalarName>> = {
  bool: "boolean",
  int: "long",
  int32: "integer",
  float: "double",
  float32: "float",
  str: "string",
  time: "datetime",
};

/** numpy's common type. An empty list is one of times: MLflow finds that all of its none are. @throws UnfitParam */
function scalarOf(kinds: ReadonlySet<ItemKind>): ScalarName {
  const [first = "time", ...others] = kinds;
  if (others.length === 0) return SCALARS[first];
  const numbers = [...kinds].every((kind) => SCALARS[kind] !== "boolean" && kind !== "str" && kind !== "time");
  if (!numbers) throw new UnfitParam(`a list of one type is wanted, not of ${[...kinds].join(" and ")}`);
  return kinds.has("float") || kinds.has("float32") ? "double" : "long";
}

/** MLflow writes the default of a dict as JSON, and holds it against the type that it inferred. @throws UnfitParam */
function dictType(value: DataMap): DataType {
  const { schema, failures, losses } = inferSchema(new Map([["value", value]]));
  const [problem] = [...failures, ...losses];
  if (problem) throw new UnfitParam(`${problem.place.replace(/^\.value/, "") || "the dict"}: ${problem.message}`);
  const column = schema?.kind === "columns" ? schema.columns[0] : undefined;
  if (column?.type.kind !== "object") throw new UnfitParam("an empty dict does not say what it holds");
  refuseUnwritable(value);
  return column.type;
}

function refuseUnwritable(value: Data): void {
  if (value === null || typeof value !== "object") return;
  if (!Array.isArray(value) && !(value instanceof Map))
    throw new UnfitParam(`${typeName(value)} cannot lie in a dict, whose default is written as JSON`);
  for (const item of (value as readonly Data[] | DataMap).values()) refuseUnwritable(item);
}
