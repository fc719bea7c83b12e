// pandas' DataFrame of Python values: of records, of rows, of columns, of an array. It never knows schemas.
import { ApiError } from "@modelwire/proto";
import { type Data, type DataMap, NdArray, Table, type TableColumn } from "../data/data.ts";
import { isNumeric, itemsOf, packed, widthOf } from "../data/element-types.ts";
import { nameText } from "../data/python-words.ts";
import { lossOf, Misfit } from "./findings.ts";
import { inferColumn, objectColumn } from "./infer-column.ts";

/** A table may be filled up with as many missing or repeated cells; a small hostile input could ask for any number. */
const MOST_FILLED = 4_000_000;

/**
 * `pandas.DataFrame(list)`: of dicts one row each, of lists too; of anything else one column.
 *
 * @throws Misfit when it mixes them, or a column loses something in pandas.
 */
export function tableOfList(list: readonly Data[], names?: readonly (string | number)[]): Table {
  const [first] = list;
  if (first instanceof Map) return tableOfRecords(list, names);
  if (Array.isArray(first) || (first instanceof NdArray && first.shape.length === 1)) return tableOfRows(list, names);
  if (list.length === 0)
    return new Table(
      (names ?? []).map((name) => ({ name, values: inferColumn([]) })),
      0,
    );
  return new Table([named(onlyName(names), inferring(onlyName(names), list))], list.length);
}

function onlyName(names: readonly (string | number)[] | undefined): string | number {
  if (names !== undefined && names.length !== 1)
    throw new Misfit(`${names.length} columns passed, passed data had 1 columns`, "Send a value for every column.");
  return names?.[0] ?? 0;
}

function tableOfRecords(records: readonly Data[], names: readonly (string | number)[] | undefined): Table {
  const columns = new Map<string | number, Data[]>((names ?? []).map((name) => [name, []]));
  let cells = 0;
  for (const [row, record] of records.entries()) {
    if (!(record instanceof Map)) throw lossOf("a record that is no dict", "cells", "Send every row as an object.");
    for (const [name, value] of record as DataMap) {
      if (names === undefined && !columns.has(name)) columns.set(name, []);
      const column = columns.get(name);
      if (column === undefined) continue;
      fill(column, row);
      column.push(value);
      cells++;
    }
    limitFilled(columns.size * (row + 1) - cells);
  }
  return tableOf(columns, records.length);
}

function tableOfRows(rows: readonly Data[], names: readonly (string | number)[] | undefined): Table {
  const lists = rows.map(rowItems);
  const width = lists.reduce((most, list) => Math.max(most, list.length), 0);
  limitFilled(width * rows.length - lists.reduce((sum, list) => sum + list.length, 0));
  if (names !== undefined && names.length !== width)
    throw new Misfit(
      `${names.length} columns passed, passed data had ${width} columns`,
      "Send a value for every column in every row.",
    );
  const columns = new Map<string | number, Data[]>();
  for (let at = 0; at < width; at++)
    columns.set(
      names?.[at] ?? at,
      lists.map((list) => list[at] ?? null),
    );
  return tableOf(columns, rows.length);
}

function rowItems(row: Data): readonly Data[] {
  if (Array.isArray(row)) return row;
  if (row instanceof NdArray && row.shape.length === 1) return itemsOf(row);
  throw lossOf("a row that is no list", "cells", "Send every row as a list.");
}

function tableOf(columns: ReadonlyMap<string | number, Data[]>, rows: number): Table {
  const filled: TableColumn[] = [];
  for (const [name, values] of columns) {
    fill(values, rows);
    filled.push(named(name, inferring(name, values)));
  }
  return new Table(filled, rows);
}

/** What a row lacks is NaN. */
function fill(column: Data[], rows: number): void {
  while (column.length < rows) column.push(Number.NaN);
}

function limitFilled(cells: number): void {
  if (cells <= MOST_FILLED) return;
  throw new ApiError("LIMIT_EXCEEDED", `the rows of the table lack more than ${MOST_FILLED} of its cells`);
}

/**
 * `pandas.DataFrame(dict)`: arrays and lists are columns, single values are repeated, dicts are columns with row labels.
 *
 * @throws Misfit when lengths differ, or there is nothing that says how many rows there are.
 */
export function tableOfColumns(columns: DataMap): Table {
  if (columns.size === 0) return new Table([], 0);
  const labels = rowLabels(columns);
  const lengths = new Set<number>();
  for (const value of columns.values()) {
    if (value instanceof NdArray && value.shape.length > 1)
      throw new Misfit("Per-column arrays must each be 1-dimensional", "Send one value for every row.");
    if (isColumn(value)) lengths.add(lengthOf(value));
  }
  if (labels !== undefined && lengths.size > 0)
    throw new Misfit("Mixing dicts with non-Series may lead to ambiguous ordering.", "Send lists.");
  if (lengths.size > 1) throw new Misfit("All arrays must be of the same length", "Send a value for every row.");
  const rows = labels?.length ?? [...lengths][0];
  if (rows === undefined)
    throw new Misfit("If using all scalar values, you must pass an index", "Send a list for each column.");
  limitFilled(rows * [...columns.values()].filter((value) => !isColumn(value)).length);
  const found: TableColumn[] = [];
  for (const [name, value] of columns) found.push(named(name, columnOf(name, value, rows, labels)));
  return new Table(found, rows);
}

function rowLabels(columns: DataMap): readonly string[] | undefined {
  const labels = new Set<string>();
  let any = false;
  for (const value of columns.values()) {
    if (!(value instanceof Map)) continue;
    any = true;
    for (const label of (value as DataMap).keys()) labels.add(label);
  }
  return any ? [...labels] : undefined;
}

function isColumn(value: Data): value is NdArray | readonly Data[] {
  return Array.isArray(value) || (value instanceof NdArray && value.shape.length === 1);
}

function lengthOf(value: NdArray | readonly Data[]): number {
  return value instanceof NdArray ? value.size : value.length;
}

function columnOf(name: string, value: Data, rows: number, labels: readonly string[] | undefined): NdArray {
  if (value instanceof NdArray && value.shape.length === 1) return withinColumn(name, () => seriesOf(value));
  if (Array.isArray(value))
    return value.length === 0 ? NdArray.ofBytes("float64", [0], new Uint8Array()) : inferring(name, value);
  if (value instanceof Map) {
    const dict = value as DataMap;
    if (rows === 0) return NdArray.ofBytes("float64", [0], new Uint8Array());
    return inferring(
      name,
      (labels ?? []).map((label) => (dict.has(label) ? (dict.get(label) ?? null) : Number.NaN)),
    );
  }
  const cell = value instanceof NdArray ? scalarFrom(value) : value;
  if (cell instanceof NdArray && cell.items[0] instanceof Map)
    throw new Misfit("Length of values does not match length of index", "Send a list for each column.");
  return rows === 0
    ? packed(inferring(name, [cell]).dtype, [0], [])
    : inferring(name, new Array<Data>(rows).fill(cell));
}

/** pandas repeats the item of an array without dimensions. */
function scalarFrom(array: NdArray): NdArray {
  return packed(array.dtype, [], itemsOf(array));
}

/** `pandas.Series(array)`, of one dimension, in a table: without a copy where pandas keeps the type. */
function seriesOf(array: NdArray): NdArray {
  if (isNumeric(array.dtype)) return array;
  if (array.dtype === "str") return array.size === 0 ? array : inferColumn(array.items);
  return array.dtype === "bytes" ? NdArray.ofItems("object", array.shape, array.items) : objectColumn(array.items);
}

/** `pandas.DataFrame(array)`. @throws Misfit when it has neither one dimension nor two. */
export function tableOfArray(array: NdArray): Table {
  const [rows = 0, width = 1] = array.shape;
  if (array.shape.length < 1 || array.shape.length > 2)
    throw new Misfit("Must pass 2-d input.", "Send rows of columns.");
  const columns: TableColumn[] = [];
  for (let at = 0; at < width; at++) columns.push(named(at, bare(columnAt(array, at, width, rows))));
  return new Table(columns, rows);
}

/** Of a whole array pandas keeps bytes as they are. */
function bare(column: NdArray): NdArray {
  return column.dtype === "bytes" ? column : seriesOf(column);
}

function columnAt(array: NdArray, at: number, width: number, rows: number): NdArray {
  if (width === 1 && array.shape.length === 1) return array;
  const { dtype } = array;
  if (!isNumeric(dtype))
    return NdArray.ofItems(
      dtype,
      [rows],
      array.items.filter((_, i) => i % width === at),
    );
  const size = widthOf(dtype);
  const bytes = new Uint8Array(rows * size);
  for (let row = 0; row < rows; row++) {
    const from = (row * width + at) * size;
    bytes.set(array.bytes.subarray(from, from + size), row * size);
  }
  return NdArray.ofBytes(dtype, [rows], bytes);
}

function inferring(name: string | number, values: readonly Data[]): NdArray {
  return withinColumn(name, () => inferColumn(values));
}

function withinColumn(name: string | number, read: () => NdArray): NdArray {
  try {
    return read();
  } catch (error) {
    if (error instanceof Misfit) throw new Misfit(`Column ${nameText(name)}: ${error.message}`, error.remedy);
    throw error;
  }
}

function named(name: string | number, values: NdArray): TableColumn {
  return { name, values };
}
