// Pairs of a signature and an input, from a seed: inputs that fit, inputs with one thing wrong, and anything at all. It
// never knows what should become of them.
import { type Data, type DataMap, DateTime, type Dtype, type NdArray, Table } from "../../../server/mlmodel/data.ts";
import { packed } from "../../../server/mlmodel/enforce/element-types.ts";
import { inferColumn } from "../../../server/mlmodel/enforce/infer-column.ts";
import type { ScoringForm } from "../../../server/mlmodel/enforce/scoring-input.ts";
import { writePythonJson } from "../../../server/mlmodel/python-json.ts";
import type { SignatureJson } from "../../../server/mlmodel/signature.ts";

export interface Case {
  readonly signature: SignatureJson;
  /** "data" goes to the enforcement as it is. */
  readonly form:
    | Extract<ScoringForm, { form: "json" | "inputs" | "instances" }>
    | { readonly form: "data"; readonly value: Data };
  readonly params: DataMap | undefined;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
interface Column {
  readonly type: string;
  readonly name?: string | number;
  readonly required?: boolean;
  readonly items?: Column;
  readonly values?: Column;
  readonly properties?: { readonly [name: string]: Column };
}
interface Tensor {
  readonly type: "tensor";
  readonly name?: string;
  readonly "tensor-spec": { readonly dtype: string; readonly shape: readonly number[] };
}

const SCALARS = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"] as const;
const NUMBERS = [
  "bool",
  "int8",
  "int16",
  "int32",
  "int64",
  "uint8",
  "uint16",
  "uint32",
  "uint64",
  "float16",
  "float32",
  "float64",
] as const;

/** As many pairs as `count`; the same ones for the same seed. */
export function* inputCases(count: number, seed: number): Generator<Case> {
  const maker = new Maker(seed);
  for (let made = 0; made < count; made++) yield maker.pair();
}

class Maker {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  pair(): Case {
    const params = this.chance(0.4) ? this.list(3, (at) => this.paramSpec(at)) : undefined;
    const given = this.chance(0.5) ? this.givenParams(params) : undefined;
    const json = (inputs: readonly (Column | Tensor)[] | undefined): SignatureJson => ({
      inputs: inputs === undefined ? null : JSON.stringify(inputs),
      outputs: inputs === undefined && params === undefined ? '[{"type": "string"}]' : null,
      params: params === undefined ? null : JSON.stringify(params),
    });
    if (this.chance(0.04))
      return { signature: json(undefined), form: this.anyForm(this.wild(2), given), params: given };
    return this.chance(0.25) ? this.tensorPair(json, given) : this.columnPair(json, given);
  }

  columnPair(json: (inputs: readonly Column[]) => SignatureJson, params: DataMap | undefined): Case {
    const named = this.chance(0.8);
    const nested = this.chance(0.45);
    const columns = this.list(named ? 4 : 3, (at) => ({
      ...this.type(nested ? 2 : 0),
      ...(named ? { name: "abcdefgh"[at] ?? "z", required: this.chance(0.75) } : {}),
    }));
    const rows = this.pick([1, 1, 1, 2, 3]);
    const quality = this.quality();
    const record = (): Map<string, Data> => {
      const cells = new Map<string, Data>();
      for (const [at, column] of columns.entries())
        if (column.required !== false || this.chance(0.6))
          cells.set(String(column.name ?? at), this.value(column, quality));
      if (quality !== "right" && this.chance(0.15)) cells.delete([...cells.keys()][0] ?? "");
      if (this.chance(0.12)) cells.set("extra", this.wild(1));
      return cells;
    };
    return {
      signature: json(columns),
      form: this.columnForm(Array.from({ length: rows }, record), quality, params),
      params,
    };
  }

  columnForm(records: readonly Map<string, Data>[], quality: string, params: DataMap | undefined): Case["form"] {
    if (quality === "wild" && this.chance(0.3)) return this.anyForm(this.wild(3), params);
    const names = [...new Set(records.flatMap((record) => [...record.keys()]))];
    const same = records.every((record) => record.size === names.length);
    const table = names.map((name) => records.map((record) => record.get(name) ?? null));
    const split = new Map<string, Data>([
      ["data", records.map((record) => names.map((name) => record.get(name) ?? null))],
    ]);
    if (this.chance(0.9)) split.set("columns", names);
    const byColumn = new Map(names.map((name, at): [string, Data] => [name, table[at] ?? []]));
    const one = records[0] ?? new Map<string, Data>();
    switch (
      this.pick([
        "split",
        "records",
        "instances",
        "inputs",
        "inputs list",
        "data",
        "dict",
        "llm",
        "columns",
        "typed",
        "arrays",
      ])
    ) {
      case "split":
        return this.body("dataframe_split", split, params);
      case "records":
        return this.body("dataframe_records", [...records], params);
      case "instances":
        return this.body("instances", same ? [...records] : [one], params);
      case "inputs":
        return this.body("inputs", records.length === 1 ? one : byColumn, params);
      case "inputs list":
        return this.body("inputs", [...records], params);
      case "dict":
        return { form: "data", value: records.length === 1 || this.chance(0.3) ? one : byColumn };
      case "llm":
        return this.body(undefined, new Map([...one, ["messages", this.wild(1)]]), params);
      case "typed":
        return {
          form: this.pick(["inputs", "instances", "data"]),
          value: [...records].map((record) => this.typedRecord(record)),
        };
      case "arrays":
        return {
          form: this.pick(["inputs", "instances", "data"]),
          value: new Map(names.map((name, at) => [name, this.array([records.length]) ?? table[at] ?? []])),
        };
      case "columns":
        return { form: "data", value: this.tableOf(byColumn, records.length) };
      default:
        return { form: "data", value: [...records] };
    }
  }

  /** With numpy's scalars, times and bytes, which JSON does not have. */
  typedRecord(record: DataMap): DataMap {
    return new Map([...record].map(([name, value]) => [name, this.chance(0.5) ? this.typed(value) : value]));
  }

  typed(value: Data): Data {
    if (typeof value === "bigint" && value < 100n && value >= 0n)
      return packed(this.pick(["int32", "int64", "uint8"]), [], [value]);
    if (typeof value === "number") return packed(this.pick(["float32", "float64"]), [], [value]);
    if (typeof value === "boolean") return packed("bool", [], [value]);
    if (typeof value === "string" && value.startsWith("2024-05-17"))
      return new DateTime(1_715_904_000_000_000_000n, value.length === 10);
    return typeof value === "string" ? new TextEncoder().encode(value) : value;
  }

  /** Columns with types of their own: some as pandas finds them, some of numpy's narrower ones. */
  tableOf(columns: DataMap, rows: number): Data {
    try {
      return new Table(
        [...columns].map(([name, values]) => ({
          name,
          values: this.array([rows]) ?? inferColumn(values as readonly Data[]),
        })),
        rows,
      );
    } catch {
      return new Map(columns);
    }
  }

  tensorPair(json: (inputs: readonly Tensor[]) => SignatureJson, params: DataMap | undefined): Case {
    const named = this.chance(0.6);
    const specs = this.list(named ? 3 : 1, (at) => this.tensorSpec(named ? ("xyz"[at] ?? "w") : undefined));
    const quality = this.quality();
    const size = this.pick([1, 2, 3]);
    const arrays = specs.map((spec) => this.tensorFor(spec, size, quality));
    const lists = arrays.map((array) => this.listOf(array));
    const form = this.pick(["data", "data", "inputs", "instances", "split", "matrix"]);
    const byName = <T extends Data>(values: readonly T[]) => {
      const map = new Map<string, Data>(specs.map((spec, at) => [spec.name ?? "0", values[at] ?? null]));
      if (quality !== "right" && this.chance(0.2)) map.delete(specs[0]?.name ?? "0");
      if (this.chance(0.1)) map.set("extra", values[0] ?? null);
      return map;
    };
    if (quality === "wild" && this.chance(0.3))
      return { signature: json(specs), form: this.anyForm(this.wild(3), params), params };
    if (form === "data")
      return { signature: json(specs), form: { form, value: named ? byName(arrays) : (arrays[0] ?? null) }, params };
    if (form === "matrix") {
      const rows = Array.isArray(lists[0]) ? (lists[0] as readonly Data[]) : [lists[0] ?? null];
      return { signature: json(specs), form: this.body("dataframe_split", new Map([["data", rows]]), params), params };
    }
    if (form === "split") {
      const rows = Array.from({ length: size }, (_, row) =>
        lists.map((list) => (Array.isArray(list) ? (list[row] ?? null) : list)),
      );
      const split = new Map<string, Data>([["data", rows]]);
      if (named)
        split.set(
          "columns",
          specs.map((spec) => spec.name ?? "0"),
        );
      return { signature: json(specs), form: this.body("dataframe_split", split, params), params };
    }
    return {
      signature: json(specs),
      form: this.body(form, named ? byName(lists) : (lists[0] ?? null), params),
      params,
    };
  }

  tensorSpec(name: string | undefined): Tensor {
    const shape = this.pick([[-1], [-1, 2], [-1, 1], [-1, 2, 2], [2, 2], [-1, -1]]);
    const dtype = this.pick([...NUMBERS, "str", "object", "float32", "float64", "int64"]);
    return { ...(name === undefined ? {} : { name }), type: "tensor", "tensor-spec": { dtype, shape } };
  }

  tensorFor({ "tensor-spec": { dtype, shape } }: Tensor, size: number, quality: string): NdArray {
    const type =
      quality !== "right" && this.chance(0.3) ? this.pick(["float64", "int64", "float32"] as const) : (dtype as Dtype);
    const sizes = shape.map((each) => (each === -1 ? size : each));
    if (quality !== "right" && this.chance(0.2)) sizes.push(1);
    const count = sizes.reduce((product, each) => product * each, 1);
    return packed(
      type,
      sizes,
      Array.from({ length: count }, () => this.element(type)),
    );
  }

  element(dtype: Dtype): Data {
    if (dtype === "bool") return this.chance(0.5);
    if (dtype === "str") return this.pick(["a", "bc", "é", ""]);
    if (dtype === "object") return this.pick<Data>(["a", 1n, 2.5, null]);
    return dtype.startsWith("float") ? this.pick([0, 1.5, -2, 100]) : this.pick([0n, 1n, 2n, 100n]);
  }

  array(shape: readonly number[]): NdArray | undefined {
    if (this.chance(0.7)) return undefined;
    const dtype = this.pick(NUMBERS);
    const size = shape.reduce((product, each) => product * each, 1);
    return packed(
      dtype,
      shape,
      Array.from({ length: size }, () => this.element(dtype)),
    );
  }

  listOf(array: NdArray): Data {
    const items =
      array.dtype === "str" || array.dtype === "object"
        ? array.items
        : Array.from({ length: array.size }, () => this.element(array.dtype));
    const nest = (depth: number, from: number): Data => {
      const length = array.shape[depth];
      if (length === undefined) return items[from] ?? null;
      const step = array.shape.slice(depth + 1).reduce((product, each) => product * each, 1);
      return Array.from({ length }, (_, at) => nest(depth + 1, from + at * step));
    };
    return nest(0, 0);
  }

  type(depth: number): Column {
    if (depth === 0 || this.chance(0.4)) return { type: this.pick(SCALARS) };
    switch (this.pick(["array", "array", "object", "object", "map", "any"])) {
      case "array":
        return { type: "array", items: this.type(depth - 1) };
      case "map":
        return { type: "map", values: this.type(depth - 1) };
      case "any":
        return { type: "any" };
      default: {
        const properties: Record<string, Column> = {};
        for (const name of ["p", "q", "r"].slice(0, this.pick([1, 2, 3])))
          properties[name] = { ...this.type(depth - 1), required: this.chance(0.7) };
        return { type: "object", properties };
      }
    }
  }

  value(column: Column, quality: string): Data {
    if (quality === "wild" && this.chance(0.25)) return this.wild(2);
    if (quality === "slightly wrong" && this.chance(0.18)) return this.near(column);
    if (column.required === false && this.chance(0.15)) return null;
    switch (column.type) {
      case "array":
        return Array.from({ length: this.pick([0, 1, 2, 2, 3]) }, () =>
          this.value(column.items ?? { type: "any" }, quality),
        );
      case "map":
        return new Map(
          ["k", "l"]
            .slice(0, this.pick([0, 1, 2]))
            .map((key) => [key, this.value(column.values ?? { type: "any" }, quality)]),
        );
      case "object": {
        const dict = new Map<string, Data>();
        for (const [name, property] of Object.entries(column.properties ?? {}))
          if (property.required !== false || this.chance(0.6)) dict.set(name, this.value(property, quality));
        if (quality !== "right" && this.chance(0.1)) dict.set("other", 1n);
        if (quality !== "right" && this.chance(0.1)) dict.delete("p");
        return dict;
      }
      case "any":
        return this.wild(1);
      default:
        return this.scalar(column.type);
    }
  }

  scalar(type: string): Data {
    switch (type) {
      case "boolean":
        return this.chance(0.5);
      case "integer":
        return this.pick([0n, 1n, 7n, -3n, 2n ** 31n - 1n]);
      case "long":
        return this.pick([0n, 1n, 7n, -3n, 2n ** 40n, 2n ** 63n - 1n]);
      case "float":
      case "double":
        return this.pick([0, 1.5, -2.25, 1e10, 0.1, 3]);
      case "string":
        return this.pick(["a", "hello", "é", "", "1.5"]);
      case "binary":
        return this.pick(["YQ==", "aGVsbG8=\n", ""]);
      default:
        return this.pick(["2024-05-17", "2024-05-17T23:15:28", "2024-05-17T23:15:28.5", "2024-05-17 23:15"]);
    }
  }

  /** Of a neighbouring type, or a value that is nearly right. */
  near(column: Column): Data {
    const neighbours: Record<string, readonly Data[]> = {
      boolean: [0n, 1n, null, "true"],
      integer: [1.0, 7.0, 2n ** 31n, 1.5, "12", null, true],
      long: [1.0, 7.5, 2n ** 63n, "12", null, false],
      float: [1n, 2n, 1e300, "1.5", null, true],
      double: [1n, 2n, 2n ** 53n + 1n, "1.5", "x", null, true],
      string: [1n, 1.5, null, true, ["a", "b"]],
      binary: ["YQ", "not base64!", 1n, null],
      datetime: ["2024-13-01", "17 May 2024", 5n, null, "2024-05-17T00:00:00Z", "now"],
      array: [null, "a", 1n, new Map([["a", 1n]]), []],
      map: [null, "a", [1n], new Map()],
      object: [null, "a", [1n], new Map()],
      any: [null, []],
    };
    return this.pick(neighbours[column.type] ?? [null]);
  }

  wild(depth: number): Data {
    const leaf = () =>
      this.pick<Data>([
        null,
        true,
        false,
        0n,
        1n,
        2n,
        -1n,
        2n ** 63n,
        2n ** 70n,
        0.5,
        1.0,
        Number.NaN,
        "",
        "a",
        "1",
        "2024-05-17",
        Number.POSITIVE_INFINITY,
      ]);
    if (depth === 0 || this.chance(0.5)) return leaf();
    if (this.chance(0.6)) return Array.from({ length: this.pick([0, 1, 2, 3]) }, () => this.wild(depth - 1));
    return new Map(["a", "b", "k"].slice(0, this.pick([0, 1, 2, 3])).map((key) => [key, this.wild(depth - 1)]));
  }

  anyForm(value: Data, params: DataMap | undefined): Case["form"] {
    const form = this.pick(["inputs", "instances", "dataframe_split", "dataframe_records", "data", "body"]);
    if (form === "data") return { form: "data", value };
    if (form === "body") return { form: "json", text: writePythonJson(value) };
    return this.body(form, value, params);
  }

  body(form: string | undefined, value: Data, params: DataMap | undefined): Case["form"] {
    const body = form === undefined && value instanceof Map ? new Map(value) : new Map([[form ?? "inputs", value]]);
    if (params !== undefined && this.chance(0.5)) body.set("params", params);
    if (params !== undefined && form === undefined) for (const [name, param] of params) body.set(name, param);
    return { form: "json", text: writePythonJson(body) };
  }

  paramSpec(at: number): Json {
    const type = this.pick(["boolean", "integer", "long", "float", "double", "string", "datetime"] as const);
    const list = this.chance(0.25);
    const standard: Record<string, Json> = {
      boolean: true,
      integer: 1,
      long: 2,
      float: 0.5,
      double: 1.5,
      string: "s",
      datetime: "2024-01-02T03:04:05",
    };
    const value = standard[type] ?? null;
    return { name: `p${at}`, type, default: list ? [value] : value, shape: list ? [-1] : null };
  }

  givenParams(specs: readonly Json[] | undefined): DataMap {
    const given = new Map<string, Data>();
    for (const [at, spec] of (specs ?? []).entries()) {
      if (this.chance(0.3)) continue;
      const { type = "", shape = null } = spec as { type?: string; shape?: Json };
      const one = () => (this.chance(0.7) ? this.scalar(type) : this.wild(1));
      given.set(`p${at}`, (shape === null) === this.chance(0.92) ? one() : [one(), one()]);
    }
    if (this.chance(0.2)) given.set("unknown", 1n);
    return given;
  }

  quality(): "right" | "slightly wrong" | "wild" {
    return this.pick(["right", "right", "slightly wrong", "slightly wrong", "wild"]);
  }

  list<T>(most: number, make: (at: number) => T): T[] {
    return Array.from({ length: 1 + Math.floor(this.next() * most) }, (_, at) => make(at));
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.next() * from.length)] as T;
  }

  chance(of: number): boolean {
    return this.next() < of;
  }

  /** mulberry32 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
}
