// Makes examples of input, output and params, and signatures, from a seed: values of one type with a few odd ones among
// them, so that about half of them go together. It never knows what MLflow makes of them.
import {
  type Data,
  type DataMap,
  DateTime,
  NdArray,
  NUMBER_BYTES,
  type NumberDtype,
  Table,
} from "../../../server/mlmodel/data/data.ts";
import { type Json, pythonJson, writePythonJson } from "../../../server/mlmodel/data/python-json.ts";
import { SCALAR_NAMES } from "../../../server/mlmodel/schema.ts";
import type { Examples } from "../../../server/mlmodel/signature/infer.ts";
import type { SignatureJson } from "../../../server/mlmodel/signature/task-signatures.ts";

type Kind = { scalar: number } | { list: Kind } | { dict: [string, Kind][] };

const NAMES = ["a", "b", "c d", "it's", 'say "hi"', "größe", "😀", "\uffff", "back\\slash", "messages", "prompt", ""];
const TEXTS = ["", "a", "Hello, world", "it's", "both ' and \"", "größe ☃", "😀", "line\nbreak", "\u00a0\u2028"];
const DTYPES = Object.keys(NUMBER_BYTES).filter((name) => name !== "bfloat16") as NumberDtype[];

export class ExampleMaker {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  examples(): Examples {
    return {
      ...(this.#chance(0.85) ? { input: this.#container() } : {}),
      ...(this.#chance(0.4) ? { output: this.#container() } : {}),
      ...(this.#chance(0.35) ? { params: this.#params() } : {}),
    };
  }

  signatureJson(): SignatureJson {
    return {
      inputs: pythonJson(this.#chance(0.25) ? this.#tensorsJson() : this.#columnsJson()),
      outputs: this.#chance(0.5) ? pythonJson(this.#columnsJson()) : null,
      params: this.#chance(0.3) ? pythonJson(this.#paramsJson()) : null,
    };
  }

  /** JSON of a column's data, in one case of three with one character missing, doubled or changed. */
  jsonText(): string {
    const plain = [0, 1, 3, 5];
    const value = (depth: number): Data => {
      const size = this.#below(4);
      const choice = depth === 0 ? 2 : this.#below(3);
      if (choice === 0) return Array.from({ length: size }, () => value(depth - 1));
      if (choice === 1) return new Map(this.#names(3).map((name) => [name, value(depth - 1)]));
      return this.#scalar(this.#pick(plain));
    };
    const text = writePythonJson(value(3));
    if (this.#chance(2 / 3)) return text;
    const at = this.#below(text.length);
    return (
      text.slice(0, at) + this.#pick(["", text.charAt(at).repeat(2), "1", '"', ",", " ", "\\"]) + text.slice(at + 1)
    );
  }

  #container(): Data {
    switch (this.#below(8)) {
      case 0:
        return this.#table();
      case 1:
        return this.#array(1 + this.#below(3));
      case 2:
        return new Map(this.#names(3).map((name) => [name, this.#array(1 + this.#below(2))]));
      case 3:
        return this.#value(this.#kind(2), 0.05);
      case 4:
        return this.#list({ list: this.#kind(1) }, 0.1);
      case 5:
        return this.#value({ dict: this.#properties(2) }, 0.1);
      default: {
        const kind: Kind = { dict: this.#properties(2) };
        return Array.from({ length: 1 + this.#below(4) }, () => this.#dict(kind.dict, 0.12));
      }
    }
  }

  #kind(depth: number): Kind {
    const choice = depth === 0 ? 0 : this.#below(4);
    if (choice === 1) return { list: this.#kind(depth - 1) };
    return choice === 2 ? { dict: this.#properties(depth - 1) } : { scalar: this.#below(14) };
  }

  #properties(depth: number): [string, Kind][] {
    return this.#names(4).map((name) => [name, this.#kind(depth)]);
  }

  /** A value of the kind; with the probability `odd`, a missing, an empty or an unlike one. */
  #value(kind: Kind, odd: number): Data {
    if (this.#chance(odd)) return this.#pick([null, null, Number.NaN, [], new Map(), this.#scalar(this.#below(14))]);
    if ("scalar" in kind) return this.#scalar(kind.scalar);
    return "list" in kind ? this.#list(kind, odd) : this.#dict(kind.dict, odd);
  }

  #list({ list }: { list: Kind }, odd: number): Data {
    return Array.from({ length: this.#below(4) }, () => this.#value(list, odd));
  }

  #dict(properties: readonly [string, Kind][], odd: number): DataMap {
    return new Map(properties.filter(() => !this.#chance(odd)).map(([name, kind]) => [name, this.#value(kind, odd)]));
  }

  #scalar(choice: number): Data {
    switch (choice) {
      case 0:
        return this.#chance(0.5);
      case 1:
      case 2:
        return this.#int();
      case 3:
      case 4:
        return this.#float();
      case 5:
      case 6:
      case 7:
        return this.#pick(TEXTS);
      case 8:
        return Uint8Array.from({ length: this.#below(4) }, () => this.#below(256));
      case 9:
        return new DateTime(BigInt(this.#below(2 ** 31)) * 1_000_000_000n + BigInt(this.#below(2)) * 1000n);
      case 10:
        return new DateTime(BigInt(this.#below(20_000)) * 86_400_000_000_000n, true);
      case 11:
        return this.#array(0, this.#pick(["int32", "float32", "int64", "float64", "bool"]));
      case 12:
        return this.#array(0);
      default:
        return this.#array(1 + this.#below(2));
    }
  }

  #int(): bigint {
    return this.#chance(0.95)
      ? BigInt(this.#below(2000) - 1000)
      : this.#pick([2n ** 31n, -(2n ** 63n), 2n ** 63n - 1n]);
  }

  #float(): number {
    return this.#chance(0.8)
      ? (this.#below(4000) - 2000) / 8
      : this.#pick([1e16, 1e-5, -0, Number.POSITIVE_INFINITY, 1.1, 2 ** 53, 5e-324]);
  }

  #array(dimensions: number, dtype?: NumberDtype): NdArray {
    const shape = Array.from({ length: dimensions }, () => this.#below(4));
    const size = shape.reduce((product, each) => product * each, 1);
    if (dtype === undefined && dimensions > 0 && this.#chance(0.3)) {
      const kind = this.#pick(["str", "bytes", "object"] as const);
      const choice = { str: 5, bytes: 8, object: this.#below(14) }[kind];
      const items = Array.from({ length: size }, () =>
        kind === "str" ? this.#pick(["a", "größe"]) : this.#flat(choice),
      );
      return NdArray.ofItems(kind, shape, items);
    }
    const type = dtype ?? this.#pick(DTYPES);
    const bytes = new Uint8Array(size * NUMBER_BYTES[type]);
    for (let i = 0; i < size; i++) this.#writeNumber(type, new DataView(bytes.buffer), i * NUMBER_BYTES[type]);
    return NdArray.ofBytes(type, shape, bytes);
  }

  /** numpy ends bytes at their zeros. */
  #flat(choice: number): Data {
    return choice === 8 ? new Uint8Array([1 + this.#below(250)]) : this.#scalar(Math.min(choice, 10));
  }

  #writeNumber(dtype: NumberDtype, view: DataView, at: number): void {
    const nan = this.#chance(0.1);
    if (dtype === "float64") view.setFloat64(at, nan ? Number.NaN : this.#float(), true);
    else if (dtype === "float32") view.setFloat32(at, nan ? Number.NaN : this.#float(), true);
    else if (dtype === "datetime64[ns]")
      view.setBigInt64(at, nan ? -(2n ** 63n) : BigInt(this.#below(2 ** 31)) * 10n ** 9n, true);
    else view.setUint8(at, this.#below(2));
  }

  #table(): Table {
    const rows = this.#below(4);
    const numbered = this.#chance(0.2);
    const columns = this.#names(4).map((name, i) => ({ name: numbered ? i : name, values: this.#column(rows) }));
    return new Table(columns, rows);
  }

  #column(rows: number): NdArray {
    if (this.#chance(0.35)) {
      const array = this.#array(0, this.#pick(DTYPES));
      const bytes = new Uint8Array(rows * array.bytes.length);
      for (let i = 0; i < rows; i++)
        bytes.set(this.#array(0, array.dtype as NumberDtype).bytes, i * array.bytes.length);
      return NdArray.ofBytes(array.dtype as NumberDtype, [rows], bytes);
    }
    if (this.#chance(0.2)) {
      const items = Array.from({ length: rows }, () => (this.#chance(0.2) ? null : this.#pick(TEXTS)));
      return NdArray.ofItems("str", [rows], items);
    }
    const kind = this.#kind(2);
    return NdArray.ofItems(
      "object",
      [rows],
      Array.from({ length: rows }, () => this.#value(kind, 0.15)),
    );
  }

  /** Mostly of kinds that can be params: one that cannot hides all others. */
  #params(): DataMap {
    const value = () => {
      const kind: Kind = { scalar: this.#pick([0, 1, 3, 5, 9, 10, 11]) };
      if (this.#chance(0.5)) return this.#value(kind, 0.02);
      if (this.#chance(0.6)) return this.#list({ list: kind }, 0.03);
      const plain = [0, 1, 3, 5];
      const scalar = () => ({ scalar: this.#pick(plain) });
      return this.#dict(
        this.#names(3).map((name) => [name, this.#chance(0.5) ? scalar() : { list: scalar() }]),
        0.05,
      );
    };
    return new Map(this.#names(2).map((name) => [name, value()]));
  }

  #columnsJson(): Json {
    const named = this.#chance(0.8);
    return this.#names(5).map((name) => ({
      ...this.#typeJson(2),
      ...(named ? { name } : {}),
      ...(this.#chance(0.7) ? { required: named ? this.#chance(0.6) : true } : {}),
    }));
  }

  #typeJson(depth: number): { readonly [key: string]: Json } {
    switch (depth === 0 ? 9 : this.#below(9)) {
      case 0:
        return { type: "array", items: this.#typeJson(depth - 1) };
      case 1:
        return { type: "map", values: this.#typeJson(depth - 1) };
      case 2:
      case 3: {
        const property = (): Json => ({
          ...this.#typeJson(depth - 1),
          ...(this.#chance(0.7) ? { required: this.#chance(0.5) } : {}),
        });
        return { type: "object", properties: Object.fromEntries(this.#names(4).map((name) => [name, property()])) };
      }
      case 4:
        return { type: "any" };
      default:
        return { type: this.#pick(SCALAR_NAMES) };
    }
  }

  #tensorsJson(): Json {
    const specs = this.#names(3).map((name) => ({ name, type: "tensor", "tensor-spec": this.#tensorJson() }));
    return specs.length === 1 ? [{ type: "tensor", "tensor-spec": this.#tensorJson() }] : specs;
  }

  #tensorJson(): Json {
    return {
      dtype: this.#pick([...DTYPES, "str", "bytes", "object"]),
      shape: this.#pick([[-1], [-1, 3], [], [2, -1, 4]]),
    };
  }

  #paramsJson(): Json {
    const defaults: Record<string, Json> = {
      boolean: true,
      integer: 3,
      long: -1,
      float: this.#pick([1, 0.5]),
      double: this.#pick([2, 1e-7]),
      string: this.#pick(TEXTS),
      datetime: this.#pick(["2024-05-17", "2024-05-17T23:15:28.5"]),
    };
    return this.#names(3).map((name) => {
      const type = this.#pick(Object.keys(defaults));
      const value = this.#chance(0.1) && type !== "datetime" ? null : (defaults[type] ?? null);
      const list = this.#chance(0.3);
      return {
        name,
        default: list ? [value, value] : value,
        shape: list ? [-1] : null,
        [this.#pick(["type", "dtype"])]: type,
      };
    });
  }

  /** One or more different names. */
  #names(most: number): string[] {
    return [...new Set(Array.from({ length: 1 + this.#below(most) }, () => this.#pick(NAMES)))];
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** mulberry32 */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }
}
