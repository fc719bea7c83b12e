// The schema that MLflow infers for a whole piece of data: which columns or tensors it has. It never knows whether the
// data goes in or comes out.

import { type Data, type DataMap, DateTime, NdArray, Table, type TableColumn } from "../data/data.ts";
import { itemsOf, KINDS, widthOf } from "../data/element-types.ts";
import type { ColumnSpec, DataType, Schema } from "../schema.ts";
import { type Found, isMissing, MISSING_INTEGER, NotInferable, TypeFinder, type TypeSum } from "./infer-type.ts";

/** What was found out about data. */
export interface InferredSchema {
  /** Undefined where MLflow gives up, and takes `any` for the whole. */
  readonly schema: Schema | undefined;
  /** Why it gives up, column by column. */
  readonly failures: readonly NotInferable[];
  /** What MLflow infers a type for, but does not take then. */
  readonly losses: readonly NotInferable[];
}

export function inferSchema(data: Data): InferredSchema {
  const inference = new Inference();
  const schema = inference.schemaOf(data);
  const { failures, losses } = inference;
  return { schema: failures.length > 0 ? undefined : schema, failures, losses };
}

class Inference {
  readonly failures: NotInferable[] = [];
  readonly #finder = new TypeFinder();

  get losses(): readonly NotInferable[] {
    return this.#finder.losses;
  }

  schemaOf(data: Data): Schema | undefined {
    if (data instanceof Table) return this.#tableSchema(data);
    if (data instanceof NdArray && data.shape.length > 0) return { kind: "tensors", tensors: [tensor(data)] };
    if (isList(data)) {
      if (data.length === 0) return columns([{ name: undefined, type: TEXT, required: true }]);
      if (data.every(isDict)) return this.#recordsSchema(data);
      const type = this.#guarded(() => this.#typeOf(data));
      return type?.kind === "array" ? columns([{ name: undefined, type: type.items, required: true }]) : undefined;
    }
    if (isDict(data)) return this.#dictSchema(data);
    const type = this.#guarded(() => this.#typeOf(data));
    return type && columns([{ name: undefined, type, required: true }]);
  }

  /** A column per key, in the order in which keys turn up. */
  #recordsSchema(records: readonly DataMap[]): Schema | undefined {
    const found = new Map<string, { sum: TypeSum; determined: boolean; given: number; values: number }>();
    const failed = new Set<string>();
    for (const [i, record] of records.entries())
      for (const [name, value] of record) {
        if (failed.has(name)) continue;
        const column = found.get(name) ?? { sum: {}, determined: false, given: 0, values: 0 };
        found.set(name, column);
        column.values++;
        if (value !== null) column.given++;
        const add = (): Found =>
          this.#finder.at(i, () => this.#finder.at(name, () => this.#finder.add(column.sum, value)));
        const result = this.#guarded(add);
        if (result === undefined) failed.add(name);
        else if (result !== "none") column.determined = true;
      }
    const columns = [...found].filter(([name]) => !failed.has(name));
    return this.#columns(columns, ([name, { sum, determined, given, values }]) => {
      if (!determined) throw new NotInferable(SAYS_NOTHING, `.${name}`);
      const type = this.#finder.result(sum, true);
      if (values < records.length && isWhole(type))
        this.#finder.losses.push(new NotInferable(MISSING_INTEGER, `.${name}`));
      return { name, type, required: given === records.length };
    });
  }

  #dictSchema(data: DataMap): Schema | undefined {
    const arrays = [...data].filter((entry): entry is [string, NdArray] => isArray(entry[1]));
    if (data.size > 0 && arrays.length === data.size)
      return { kind: "tensors", tensors: arrays.map(([name, array]) => tensor(array, name)) };
    return this.#columns([...data], ([name, value]) => ({
      name,
      type: this.#finder.at(name, () => this.#typeOf(value)),
      required: !(isList(value) ? value.some(isMissing) : isMissing(value)),
    }));
  }

  #tableSchema({ columns }: Table): Schema | undefined {
    const names = new Set(columns.map(({ name }) => name));
    const repeated = new Set<string | number>();
    if (names.size < columns.length) {
      for (const { name } of columns) if (!names.delete(name)) repeated.add(name);
    }
    return this.#columns(columns, (column) => {
      if (repeated.has(column.name)) throw new NotInferable("two columns have this name", `.${column.name}`);
      return this.#finder.at(String(column.name), () => this.#tableColumn(column));
    });
  }

  #tableColumn({ name, values }: TableColumn): ColumnSpec {
    const kind = KINDS[values.dtype];
    const required = "biu".includes(kind) || !itemsOf(values).some(isMissing);
    if (kind === "O" || kind === "S" || kind === "U") {
      const number = numberColumn(values.items);
      if (number === undefined) return { name, type: this.#objectColumn(values.items), required };
      return { name, type: this.#columnType(number.kind, number.width), required };
    }
    return { name, type: this.#columnType(kind, widthOf(values.dtype)), required };
  }

  #objectColumn(items: readonly Data[]): DataType {
    if (items.length === 0) return TEXT;
    const type = this.#typeOf(withoutNan(items));
    return type.kind === "array" ? type.items : type;
  }

  /** The type of a column of numbers, bools or times. */
  #columnType(kind: string, width: number): DataType {
    if (kind === "b") return { kind: "scalar", name: "boolean" };
    if (kind === "M") return { kind: "scalar", name: "datetime" };
    if (kind === "f") return { kind: "scalar", name: width <= 4 ? "float" : "double" };
    if (width < 4 || (kind === "i" && width === 4)) return { kind: "scalar", name: "integer" };
    if (width < 8 || kind === "i") return { kind: "scalar", name: "long" };
    throw new NotInferable(
      "MLflow has no type for such numbers; use int64, or float64 beyond 63 bits",
      this.#finder.place,
    );
  }

  /** @throws NotInferable */
  #typeOf(value: Data): DataType {
    const sum: TypeSum = {};
    if (this.#finder.add(sum, value) === "none") throw new NotInferable(SAYS_NOTHING, this.#finder.place);
    return this.#finder.result(sum, false);
  }

  #columns<T>(items: readonly T[], column: (item: T) => ColumnSpec): Schema | undefined {
    const specs = items.flatMap((item) => this.#guarded(() => column(item)) ?? []);
    if (items.length === 0 && this.failures.length === 0)
      this.failures.push(new NotInferable("it has no columns; give at least one"));
    return columns(specs);
  }

  #guarded<T>(infer: () => T): T | undefined {
    try {
      return infer();
    } catch (error) {
      if (!(error instanceof NotInferable)) throw error;
      this.failures.push(error);
      return undefined;
    }
  }
}

const TEXT: DataType = { kind: "scalar", name: "string" };

const SAYS_NOTHING = "an empty array does not say what it holds; give an example that is not empty";

/**
 * The numbers that pandas sees in a column of objects, and how wide they are; undefined when there is anything else. A
 * missing value makes floats of ints; numpy's scalars keep their width when there are no others beside them.
 */
function numberColumn(items: readonly Data[]): { kind: "i" | "u" | "f"; width: number } | undefined {
  let [numbers, float, signed, unsigned, width] = [false, false, false, false, 0];
  for (const item of items) {
    const scalar = item instanceof NdArray && item.shape.length === 0 ? item : undefined;
    const kind = scalar && KINDS[scalar.dtype];
    if (scalar && kind !== "i" && kind !== "u" && kind !== "f") return undefined;
    width = Math.max(width, scalar ? widthOf(scalar.dtype) : 8);
    if (item === null) {
      float = true;
      continue;
    }
    const value = scalar ? itemsOf(scalar)[0] : item;
    if (typeof value === "number") float = true;
    else if (typeof value !== "bigint" || value < -(2n ** 63n) || value >= 2n ** 64n) return undefined;
    else if (value < 0n || kind === "i") signed = true;
    else if (value >= 2n ** 63n || kind === "u") unsigned = true;
    numbers = true;
  }
  if (!numbers || (signed && unsigned)) return undefined;
  return { kind: float ? "f" : unsigned ? "u" : "i", width };
}

/** Among texts alone, or times alone, pandas takes every NaN for a missing value; to MLflow a float32 is a number even then. */
function withoutNan(items: readonly Data[]): readonly Data[] {
  const plain = items.map((item) => (isNan(item) ? null : item));
  const kinds = new Set(plain.filter((item) => item !== null).map(textOrTime));
  return kinds.size === 1 && !kinds.has(undefined) ? plain : items;
}

function isNan(item: Data): boolean {
  return item instanceof NdArray && item.shape.length === 0 && Number.isNaN(itemsOf(item)[0]);
}

function textOrTime(item: Data): string | undefined {
  if (typeof item === "string") return "text";
  if (item instanceof DateTime) return item.dateOnly ? undefined : "time";
  if (!(item instanceof NdArray) || item.shape.length > 0) return undefined;
  return item.dtype === "str" ? "text" : item.dtype === "datetime64[ns]" ? "time" : undefined;
}

function tensor({ dtype, shape: [, ...sizes] }: NdArray, name?: string) {
  return { name, dtype, shape: [-1, ...sizes] };
}

function columns(specs: readonly ColumnSpec[]): Schema {
  return { kind: "columns", columns: specs };
}

export function isWhole(type: DataType): boolean {
  return type.kind === "scalar" && (type.name === "integer" || type.name === "long");
}

function isList(data: Data): data is readonly Data[] {
  return Array.isArray(data);
}

function isDict(data: Data): data is DataMap {
  return data instanceof Map;
}

function isArray(data: Data): data is NdArray {
  return data instanceof NdArray && data.shape.length > 0;
}
