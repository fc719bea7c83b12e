// Values by the type that they are for, from a seed: right ones, ones that are nearly right, and any. It never knows which
// form they are sent in.
import { type Data, DateTime, type Dtype, type NdArray } from "../../../server/mlmodel/data/data.ts";
import { packed } from "../../../server/mlmodel/data/element-types.ts";

/** A type as a signature's JSON has it. */
export interface Column {
  readonly type: string;
  readonly name?: string | number;
  readonly required?: boolean;
  readonly items?: Column;
  readonly values?: Column;
  readonly properties?: { readonly [name: string]: Column };
}
const SCALARS = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"] as const;
export const NUMBERS = [
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

export class ValueMaker {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
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
