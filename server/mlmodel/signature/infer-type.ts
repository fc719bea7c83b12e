// The type that MLflow finds for a piece of data. Types that lists merge are summed up rather than merged pair by pair:
// by MLflow's rules their order does not matter, and so n objects take n steps. It never knows tables.
import { type Data, DateTime, type Dtype, NdArray, NUMBER_BYTES } from "../data/data.ts";
import { itemAt } from "../data/element-types.ts";
import { typeName } from "../data/python-words.ts";
import type { DataType, ScalarName } from "../schema.ts";
import { byCodePoint, MAX_TYPE_DEPTH } from "./type-json.ts";

/** Data that has no type, or none that would do; the message says why and what to do. */
export class NotInferable extends Error {
  override readonly name = "NotInferable";
  /** Where in the data, such as `.a[2].b`. */
  readonly place: string;
  constructor(message: string, place = "") {
    super(message);
    this.place = place;
  }
}

/** What values of one place have in common so far. */
export interface TypeSum {
  /** Where a value was missing; undefined when none was. */
  missing?: string;
  scalar?: ScalarName;
  items?: TypeSum;
  properties?: Map<string, PropertySum>;
  /** How many dicts there were. */
  dicts?: number;
}

interface PropertySum {
  readonly type: TypeSum;
  /** How many dicts had it, and had a value for it. */
  present: number;
}

/** "none" for an empty array, which says nothing; "any" for a missing value, an empty list or an empty dict. */
export type Found = "none" | "any" | "typed";

/** Goes through data and remembers where it is. */
export class TypeFinder {
  /** Data that MLflow finds a type for, and then does not take: ints that are missing in a list, or beyond 64 bits. */
  readonly losses: NotInferable[] = [];
  readonly #path: (string | number)[] = [];

  get place(): string {
    return this.#path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("");
  }

  /** Calls `visit` with the place one step further in. */
  at<T>(step: string | number, visit: () => T): T {
    this.#path.push(step);
    try {
      return visit();
    } finally {
      this.#path.pop();
    }
  }

  /** @throws NotInferable for a value of no type, and for one of another type than those before it. */
  add(sum: TypeSum, value: Data): Found {
    if (this.#path.length > MAX_TYPE_DEPTH) throw this.#refusal(`it is nested more than ${MAX_TYPE_DEPTH} deep`);
    if (isMissing(value) || isEmpty(value)) {
      sum.missing ??= this.place;
      return "any";
    }
    if (Array.isArray(value)) return this.#addItems(sum, value);
    if (value instanceof Map) return this.#addDict(sum, value);
    if (value instanceof NdArray && value.shape.length > 0) return this.#addArray(sum, value);
    this.#addScalar(sum, this.#scalarOf(value));
    return "typed";
  }

  /** The sum as a type. `ofList` says that the values are items of a list or a column. */
  result(sum: TypeSum, ofList: boolean): DataType {
    const { missing, scalar, items, properties } = sum;
    if (scalar !== undefined) {
      if (ofList && missing !== undefined && (scalar === "integer" || scalar === "long"))
        this.losses.push(new NotInferable(MISSING_INTEGER, missing));
      return { kind: "scalar", name: scalar };
    }
    if (items !== undefined) return { kind: "array", items: this.result(items, true) };
    if (properties === undefined) return { kind: "any" };
    const types = [...properties].map(([name, { type, present }]) => ({
      name,
      type: this.result(type, false),
      required: present === sum.dicts && missing === undefined,
    }));
    return { kind: "object", properties: types.sort((a, b) => byCodePoint(a.name, b.name)) };
  }

  #addItems(sum: TypeSum, values: readonly Data[]): Found {
    const items = sum.items ?? {};
    let determined = false;
    for (const [i, value] of values.entries())
      if (this.at(i, () => this.add(items, value)) !== "none") determined = true;
    if (!determined) return "none";
    this.#setItems(sum, items);
    return "typed";
  }

  #addDict(sum: TypeSum, dict: ReadonlyMap<string, Data>): Found {
    if (sum.scalar !== undefined || sum.items !== undefined) throw this.#mixed("a dict");
    sum.properties ??= new Map();
    sum.dicts = (sum.dicts ?? 0) + 1;
    for (const [name, value] of dict) {
      let property = sum.properties.get(name);
      if (property === undefined) {
        property = { type: {}, present: 0 };
        sum.properties.set(name, property);
      }
      const { type } = property;
      const found = this.at(name, () => {
        const found = this.add(type, value);
        if (found === "none") throw this.#refusal("an empty array does not say what it holds; leave it out");
        if (name === "cls") this.losses.push(this.#refusal("MLflow cannot read a property of this name back"));
        return found;
      });
      if (found === "typed") property.present++;
    }
    return "typed";
  }

  /** An array of numbers has one type throughout, so that its items are looked at for NaN alone, which has none. */
  #addArray(sum: TypeSum, array: NdArray): Found {
    if (array.size === 0) return "none";
    if (this.#path.length + array.shape.length > MAX_TYPE_DEPTH)
      throw this.#refusal(`it is nested more than ${MAX_TYPE_DEPTH} deep`);
    if (!(array.dtype in NUMBER_BYTES)) return this.#addItems(sum, nested(array.items, array.shape));
    const [, ...inner] = array.shape;
    let innermost = this.#setItems(sum, sum.items ?? {});
    for (const _ of inner) innermost = this.#setItems(innermost, innermost.items ?? {});
    const scalar = SCALARS[array.dtype];
    if (scalar === undefined) throw this.#refusal(noScalar(array.dtype));
    if (array.dtype === "float64" && !someNumber(array.bytes)) innermost.missing ??= this.place;
    else this.#addScalar(innermost, scalar);
    return "typed";
  }

  #setItems(sum: TypeSum, items: TypeSum): TypeSum {
    if (sum.scalar !== undefined || sum.properties !== undefined) throw this.#mixed("a list");
    sum.items = items;
    return items;
  }

  #addScalar(sum: TypeSum, scalar: ScalarName): void {
    if (sum.items !== undefined || sum.properties !== undefined || (sum.scalar ?? scalar) !== scalar)
      throw this.#mixed(scalar);
    sum.scalar = scalar;
  }

  #scalarOf(value: Data): ScalarName {
    switch (typeof value) {
      case "boolean":
        return "boolean";
      case "number":
        return "double";
      case "string":
        return "string";
      case "bigint":
        if (BigInt.asIntN(64, value) !== value)
          this.losses.push(this.#refusal("the number is beyond 64 bits; write it as a float or as text"));
        return "long";
    }
    if (value instanceof Uint8Array) return "binary";
    if (value instanceof DateTime) return "datetime";
    const scalar = value instanceof NdArray ? SCALARS[value.dtype] : undefined;
    if (scalar === undefined)
      throw this.#refusal(value instanceof NdArray ? noScalar(value.dtype) : `${typeName(value)} cannot lie in data`);
    return scalar;
  }

  #mixed(type: string): NotInferable {
    return this.#refusal(
      `it is ${/^[aeiou]/.test(type) ? "an " : type.startsWith("a ") ? "" : "a "}${type}, unlike the values beside it; ` +
        "all items of a list have one type: write numbers alike, as 1.0 and 2.5, or give a signature",
    );
  }

  #refusal(message: string): NotInferable {
    return new NotInferable(message, this.place);
  }
}

export const MISSING_INTEGER =
  "it is missing among whole numbers, and MLflow would then not take this example: write the numbers as floats, as 1.0";

/** What MLflow takes for missing: None and NaN, but not a float32 that is NaN. */
export function isMissing(value: Data): boolean {
  if (value instanceof NdArray && value.dtype === "float64" && value.shape.length === 0) value = itemAt(value, 0);
  return value === null || (typeof value === "number" && Number.isNaN(value));
}

function isEmpty(value: Data): boolean {
  return Array.isArray(value) ? value.length === 0 : value instanceof Map && value.size === 0;
}

/** numpy scalars whose types MLflow knows. */
const SCALARS: Readonly<Partial<Record<Dtype, ScalarName>>> = {
  bool: "boolean",
  int32: "integer",
  int64: "long",
  float32: "float",
  float64: "double",
  "datetime64[ns]": "datetime",
  str: "string",
  bytes: "binary",
};

function noScalar(dtype: Dtype): string {
  return `${dtype} is no type of a value in MLflow: use bool, int32, int64, float32, float64 or a whole array`;
}

function nested(items: readonly Data[], [size = 0, ...inner]: readonly number[]): readonly Data[] {
  if (inner.length === 0) return items;
  const width = items.length / size;
  return Array.from({ length: size }, (_, i) => nested(items.slice(i * width, (i + 1) * width), inner));
}

function someNumber(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at += 8) if (!Number.isNaN(view.getFloat64(at, true))) return true;
  return false;
}
