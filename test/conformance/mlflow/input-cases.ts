// Pairs of a signature and an input, from a seed: inputs that fit, inputs with one thing wrong, and anything at all. It
// never knows what should become of them.
import { type Data, type DataMap, type Dtype, type NdArray, Table } from "../../../server/mlmodel/data/data.ts";
import { packed } from "../../../server/mlmodel/data/element-types.ts";
import { writePythonJson } from "../../../server/mlmodel/data/python-json.ts";
import { inferColumn } from "../../../server/mlmodel/enforce/infer-column.ts";
import type { ScoringForm } from "../../../server/mlmodel/enforce/scoring-input.ts";
import type { SignatureJson } from "../../../server/mlmodel/signature/task-signatures.ts";
import { type Column, NUMBERS, ValueMaker } from "./input-values.ts";

export interface Case {
  readonly signature: SignatureJson;
  /** "data" goes to the enforcement as it is. */
  readonly form:
    | Extract<ScoringForm, { form: "json" | "inputs" | "instances" }>
    | { readonly form: "data"; readonly value: Data };
  readonly params: DataMap | undefined;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
interface Tensor {
  readonly type: "tensor";
  readonly name?: string;
  readonly "tensor-spec": { readonly dtype: string; readonly shape: readonly number[] };
}

/** As many pairs as `count`; the same ones for the same seed. */
export function* inputCases(count: number, seed: number): Generator<Case> {
  const maker = new Maker(seed);
  for (let made = 0; made < count; made++) yield maker.pair();
}

class Maker extends ValueMaker {
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
}
