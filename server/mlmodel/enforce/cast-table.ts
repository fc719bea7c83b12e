// A table from JSON is cast by the schema before it is enforced: mlflow.utils.proto_json_utils.
// cast_df_types_according_to_schema. It never knows the form that the table came in.

import { type Data, type NdArray, Table, type TableColumn } from "../data/data.ts";
import { itemAt, itemsOf, packed } from "../data/element-types.ts";
import { NUMPY_NAMES, nameText, typeName, typeWord } from "../data/python-words.ts";
import type { ColumnSpec, DataType, Schema, TensorSpec } from "../schema.ts";
import { arrayAs } from "./array-of.ts";
import { convertValue } from "./convert-value.ts";
import { DTYPES, refuseZones, timesOf } from "./enforce-column.ts";
import { enforceValue } from "./enforce-value.ts";
import { type Findings, lossOf, Misfit } from "./findings.ts";
import { inferColumn } from "./infer-column.ts";
import { dtypeOf, inputName } from "./schema-inputs.ts";

/** The table with the columns that the schema knows cast; others are left as they are. */
export function castTable(table: Table, schema: Schema, findings: Findings): Table {
  const specs = specsByColumn(table, schema);
  const zoned: (string | number)[] = [];
  const columns = table.columns.map((column) => {
    const spec = specs.get(column.name);
    if (spec === undefined) return column;
    return { name: column.name, values: castColumn(column, spec, findings, () => zoned.push(column.name)) };
  });
  // MLflow notices time zones only when it enforces what has been cast.
  findings.prefix = () => "";
  for (const name of zoned) findings.within(name, () => findings.attempt(() => refuseZones(true)));
  return new Table(columns, table.rows);
}

type Spec = { readonly tensor: TensorSpec } | { readonly type: DataType; readonly required: boolean };

/** By name, or by position when the schema names none. */
function specsByColumn(table: Table, schema: Schema): Map<string | number | undefined, Spec> {
  const specs = new Map<string | number | undefined, Spec>();
  if (schema.kind === "tensors") {
    const [only] = schema.tensors;
    if (only !== undefined && only.name === undefined)
      for (const { name } of table.columns) specs.set(name, { tensor: only });
    else for (const tensor of schema.tensors) specs.set(tensor.name, { tensor });
    return specs;
  }
  for (const [at, column] of schema.columns.entries()) {
    const named = column.name !== undefined;
    const key = named ? inputName(column, at) : table.columns[at]?.name;
    if (key !== undefined) specs.set(key, { type: column.type, required: isRequired(column, at, key) });
  }
  return specs;
}

/** MLflow looks for the table's name of the column among the positions of a schema without names. */
function isRequired(column: ColumnSpec, at: number, key: string | number): boolean {
  return column.required === true && (column.name !== undefined || key === at);
}

function castColumn({ name, values }: TableColumn, spec: Spec, findings: Findings, noteZone: () => void): NdArray {
  findings.prefix = () =>
    `Invalid input. Data is not compatible with model signature. Failed to convert column ${nameText(name)} to type '${targetName(spec)}'. Error: `;
  return findings.within(name, () => {
    if ("tensor" in spec) return findings.attempt(() => castTensor(values, spec.tensor)) ?? values;
    if (spec.type.kind === "scalar") {
      const { name: type } = spec.type;
      return findings.attempt(() => castScalars(values, type, noteZone)) ?? values;
    }
    if (spec.type.kind === "any") return values;
    const { type, required } = spec;
    const before = findings.count;
    const cells = itemsOf(values).map((cell, row) =>
      atRow(values.size, row, findings, () => enforceValue(cell, type, required, findings)),
    );
    return findings.count > before ? values : inferColumn(cells);
  });
}

function targetName(spec: Spec): string {
  if ("tensor" in spec) return spec.tensor.dtype;
  return spec.type.kind === "scalar" ? NUMPY_NAMES[spec.type.name] : typeWord(spec.type);
}

/** The row is part of the path only where there are several. */
export function atRow<T>(rows: number, row: number, findings: Findings, search: () => T): T {
  return rows === 1 ? search() : findings.within(row, search);
}

function castTensor(column: NdArray, { dtype }: TensorSpec): NdArray {
  const wanted = dtypeOf(dtype);
  if (wanted === "bytes") return objects(column, (item) => Buffer.from(text(item)));
  if (column.size === 0) throw new Misfit("single positional indexer is out-of-bounds", "Send at least one row.");
  // Lists are converted when the schema is enforced.
  if (Array.isArray(itemAt(column, 0))) return column;
  if (wanted === "str") return column.dtype === "str" ? column : objects(column, (item) => convertValue(item, "str"));
  return cast(column, wanted);
}

function castScalars(column: NdArray, type: keyof typeof DTYPES, noteZone: () => void): NdArray {
  if (type === "binary") return objects(column, (item) => (item instanceof Uint8Array ? item : fromBase64(text(item))));
  if (type === "string") return column.dtype === "str" ? column : arrayAs(column, "object");
  if (type === "datetime") return castTimes(column, noteZone);
  return cast(column, DTYPES[type]);
}

function castTimes(column: NdArray, noteZone: () => void): NdArray {
  if (column.dtype === "datetime64[ns]") return column;
  if (column.dtype === "bool") throw lossOf("bool", "datetime64[ns]", "Send a time in ISO 8601.");
  const { times, zoned } = timesOf(itemsOf(column), { alike: true });
  if (zoned) noteZone();
  return times;
}

/** `astype(dtype)`; null in a column of text counts as NaN. */
function cast(column: NdArray, dtype: ReturnType<typeof dtypeOf>): NdArray {
  if (column.dtype === "datetime64[ns]" && dtype !== column.dtype && dtype !== "object")
    throw lossOf("datetime", dtype, "Send numbers.");
  return arrayAs(column, dtype);
}

function objects(column: NdArray, convert: (item: Data) => Data): NdArray {
  return packed("object", column.shape, itemsOf(column).map(convert));
}

function text(item: Data): string {
  if (typeof item === "string") return item;
  throw new Misfit(`Can not convert ${typeName(item)} to bytes.`, "Send text.");
}

/** base64 in lines of any length, as Python writes it. Python would skip what is no base64. */
function fromBase64(text: string): Uint8Array {
  const packedText = text.replace(/[\n\r\t ]/g, "");
  if (packedText.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(packedText))
    return Buffer.from(packedText, "base64");
  throw lossOf("text that is no base64", "bytes", "Send base64, with its padding.");
}
