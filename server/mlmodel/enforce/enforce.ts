// An input against a signature: mlflow.models.utils._enforce_schema. It never knows how the input came, nor the model.
import { ApiError } from "@modelwire/proto";
import { type Data, type DataMap, NdArray, Table, type TableColumn } from "../data/data.ts";
import { itemsOf, NO_DIMENSIONS, toList } from "../data/element-types.ts";
import { nameList, typeName, typeWord } from "../data/python-words.ts";
import type { ColumnSpec, Schema, TensorSpec } from "../schema.ts";
import { tableOfArray, tableOfColumns, tableOfList } from "./build-table.ts";
import { atRow } from "./cast-table.ts";
import { enforceColumn } from "./enforce-column.ts";
import { enforceNamedTensors, enforceOnlyTensor } from "./enforce-tensors.ts";
import { enforceValue, isScalar } from "./enforce-value.ts";
import { Findings, Misfit } from "./findings.ts";
import { inferColumn } from "./infer-column.ts";
import { hasNames, inputName } from "./schema-inputs.ts";

/** Elements of an array of several dimensions where the signature wants a column: each becomes an object of its own. */
const MOST_FLATTENED = 4_000_000;

export interface EnforcedInput {
  /**
   * What MLflow would give to the model: a table for columns, an array or arrays by name for tensors, the data itself
   * without a schema. Numeric columns and tensors that fit are not copied.
   */
  readonly data: Data;
  /** Columns or tensors that the schema does not know, and MLflow drops. */
  readonly ignored: string[];
}

/**
 * The input as the model would get it.
 *
 * @param options.strict refuses what MLflow drops with a warning.
 * @throws ApiError SCHEMA_ENFORCEMENT_FAILED with everything that does not fit.
 */
export function enforceInput(schema: Schema | undefined, data: Data, { strict }: { strict: boolean }): EnforcedInput {
  if (schema === undefined) return { data, ignored: [] };
  const findings = new Findings("SCHEMA_ENFORCEMENT_FAILED");
  const enforced =
    schema.kind === "columns"
      ? enforceColumns(schema, data, strict, findings)
      : enforceTensors(schema, data, strict, findings);
  findings.end();
  return enforced;
}

function enforceColumns(
  schema: Schema & { kind: "columns" },
  data: Data,
  strict: boolean,
  findings: Findings,
): EnforcedInput {
  const table = findings.attempt(() => tableOfData(data, schema.columns));
  if (table === undefined) return { data, ignored: [] };
  if (!hasNames(schema)) return enforceByPosition(table, schema.columns, strict, findings);
  const names = new Set<string | number>(table.columns.map((column) => column.name));
  const ignored = checkNames(schema.columns, names, strict, findings);
  const given = new Map(table.columns.map((column) => [column.name, column]));
  if (given.size < table.columns.length) refuseDuplicates(table, schema.columns, findings);
  const columns: TableColumn[] = [];
  for (const [name, spec] of new Map(schema.columns.map((spec, at) => [inputName(spec, at), spec]))) {
    const column = given.get(name);
    if (column === undefined) continue;
    const values = findings.within(name, () => enforceCells(name, column.values, spec, findings));
    columns.push(values === column.values ? column : { name, values });
  }
  return { data: new Table(columns, columns.length === 0 ? 0 : table.rows), ignored };
}

function refuseDuplicates(table: Table, columns: readonly ColumnSpec[], findings: Findings): void {
  const wanted = new Set(columns.map(inputName));
  const seen = new Set<string | number>();
  for (const { name } of table.columns) {
    if (seen.has(name) && wanted.has(name))
      findings.within(name, () => findings.add("There are several columns of this name.", "Send one."));
    seen.add(name);
  }
}

function enforceByPosition(
  table: Table,
  specs: readonly ColumnSpec[],
  strict: boolean,
  findings: Findings,
): EnforcedInput {
  const width = table.columns.length;
  if (width < specs.length)
    findings.add(
      `Model inference is missing inputs. The model signature declares ${specs.length} inputs  but the provided value only has ${width} inputs. Note: the inputs were not named in the signature so we can only verify their count.`,
      "Send a value for every column.",
    );
  const ignored = table.columns.slice(specs.length).map(({ name }) => String(name));
  if (strict) refuseExtra(ignored, findings);
  const columns: TableColumn[] = [];
  for (const [at, spec] of specs.entries()) {
    const column = table.columns[at];
    if (column === undefined) break;
    const required = { ...spec, required: true };
    const values = findings.within(column.name, () => enforceCells(column.name, column.values, required, findings));
    columns.push({ name: column.name, values });
  }
  return { data: new Table(columns, table.rows), ignored };
}

function enforceCells(
  name: string | number,
  column: NdArray,
  { type, required }: ColumnSpec,
  findings: Findings,
): NdArray {
  if (type.kind === "scalar") {
    const values = findings.attempt(() => enforceColumn(name, column, type.name)) ?? column;
    return values.dtype === "bytes" ? NdArray.ofItems("object", values.shape, values.items) : values;
  }
  const before = findings.count;
  const cells = itemsOf(column).map((cell, row) =>
    // pandas' text has NaN where a value is missing.
    atRow(column.size, row, findings, () =>
      enforceValue(cell === null && column.dtype === "str" ? Number.NaN : cell, type, required === true, findings),
    ),
  );
  return findings.count > before ? column : (findings.attempt(() => inferColumn(cells)) ?? column);
}

function enforceTensors(
  schema: Schema & { kind: "tensors" },
  data: Data,
  strict: boolean,
  findings: Findings,
): EnforcedInput {
  const [only] = schema.tensors;
  if (only !== undefined && only.name === undefined)
    return { data: enforceOnlyTensor(data, only, findings), ignored: [] };
  const bare = schema.tensors.length === 1 && data instanceof NdArray && !isScalar(data);
  const given: Data = bare ? new Map([[only?.name ?? "", data]]) : data;
  const ignored = checkNames(schema.tensors, namesIn(given), strict, findings);
  return { data: enforceNamedTensors(given, schema.tensors, findings), ignored };
}

function namesIn(data: Data): ReadonlySet<string | number> {
  if (data instanceof Table) return new Set(data.columns.map((column) => column.name));
  return new Set(data instanceof Map ? (data as DataMap).keys() : []);
}

/** Notes missing names; gives those that the schema does not know. */
function checkNames(
  specs: readonly (ColumnSpec | TensorSpec)[],
  given: ReadonlySet<string | number>,
  strict: boolean,
  findings: Findings,
): string[] {
  const known = new Set<string | number>();
  const missing: [string | number, ColumnSpec | TensorSpec][] = [];
  for (const [at, spec] of specs.entries()) {
    const name = inputName(spec, at);
    known.add(name);
    if (("dtype" in spec || spec.required === true) && !given.has(name)) missing.push([name, spec]);
  }
  const extra = [...given].filter((name) => !known.has(name));
  const names = missing.map(([name]) => name);
  for (const [name, spec] of missing)
    findings.within(name, () => findings.add("This input is missing.", wantedText(spec), missingText(names, extra)));
  if (strict) refuseExtra(extra.map(String), findings);
  return extra.map(String);
}

function wantedText(spec: ColumnSpec | TensorSpec): string {
  return `The signature wants ${"dtype" in spec ? `a tensor of ${spec.dtype}` : typeWord(spec.type)}.`;
}

function missingText(missing: readonly (string | number)[], extra: readonly (string | number)[]): string {
  const note = extra.length > 0 ? ` Note that there were extra inputs: ${nameList(extra.slice(0, 20))}.` : "";
  return `Model is missing inputs ${nameList(missing.slice(0, 20))}.${note}`;
}

function refuseExtra(extra: readonly string[], findings: Findings): void {
  for (const name of extra)
    findings.within(name, () =>
      findings.add(
        "The model signature does not define this input.",
        "Leave it out.",
        `Found extra inputs in the model input that are not defined in the model signature: \`${nameList(extra.slice(0, 20))}\`.`,
      ),
    );
}

/** A schema of columns wants a table. @throws Misfit when pandas makes none of the data. */
function tableOfData(data: Data, columns: readonly ColumnSpec[]): Table {
  if (data instanceof Table) return data;
  if (isScalar(data)) return tableOfList([data]);
  if (data instanceof Map) return tableOfDict(data as DataMap, columns);
  if (data instanceof NdArray) return tableOfArray(data);
  if (Array.isArray(data)) return tableOfList(data);
  throw new Misfit(`Expected input to be DataFrame. Found: ${typeName(data)}`, "Send a table.");
}

/** One row when a column can hold what is in it, else columns. */
function tableOfDict(dict: DataMap, columns: readonly ColumnSpec[]): Table {
  const values = [...dict.values()];
  const nested = columns.some(
    ({ type }) => type.kind === "array" || type.kind === "object" || type.kind === "sparkml_vector",
  );
  if (nested || values.every(isCell) || values.every(isBareText)) return tableOfList([dict]);
  try {
    return tableOfColumns(new Map([...dict].map(([name, value]) => [name, flatten(value)])));
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    throw new Misfit(
      `This model contains a column-based signature, which suggests a DataFrame input. There was an error casting the input data to a DataFrame: ${error.message}`,
      error.remedy,
    );
  }
}

function isCell(value: Data): boolean {
  return (
    isScalar(value) ||
    value === null ||
    (Array.isArray(value) && value.every((item) => typeof item === "string" || isText(item)))
  );
}

/** numpy's text scalars are Python's too. */
function isText(value: Data): boolean {
  return value instanceof NdArray && value.dtype === "str" && isScalar(value);
}

function isBareText(value: Data): boolean {
  return value instanceof NdArray && value.shape === NO_DIMENSIONS && value.dtype === "str";
}

/** An array of several dimensions is a column of lists. */
function flatten(value: Data): Data {
  if (!(value instanceof NdArray) || value.shape.length < 2) return value;
  if (value.size > MOST_FLATTENED)
    throw new ApiError(
      "LIMIT_EXCEEDED",
      `a column of lists takes arrays of ${MOST_FLATTENED} elements, not ${value.size}`,
    );
  return toList(value);
}
