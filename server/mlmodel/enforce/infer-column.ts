// The type that pandas 3 gives a column of Python values. It never knows schemas.
import { type Data, DateTime, type Dtype, NdArray } from "../data/data.ts";
import { KINDS, NO_DIMENSIONS, packed, plain, rangeOf, widthOf } from "../data/element-types.ts";
import { exactDouble } from "./convert-value.ts";
import { Misfit } from "./findings.ts";

/**
 * `pandas.Series(values)`. A missing value is null or NaN; in a column of text it becomes null.
 *
 * @throws Misfit for an int that pandas would round because another value is missing or a float, and for broken text.
 */
export function inferColumn(values: readonly Data[]): NdArray {
  if (values.length > 0 && values.every((value) => typeof value === "number"))
    return packed("float64", [values.length], values);
  const seen = look(values);
  const dtype = typeOf(seen);
  return packed(dtype, [values.length], dtype === "object" ? values : values.map(itemOf[kindOf(dtype)]));
}

/** A column that holds objects already: pandas looks into it for text and times alone. */
export function objectColumn(items: readonly Data[]): NdArray {
  const seen = look(items);
  return seen.kinds.has("text") || seen.kinds.has("time")
    ? inferColumn(items)
    : NdArray.ofItems("object", [items.length], items);
}

/** Whether text has no half of a surrogate pair. */
export function isUnicode(text: string): boolean {
  return !/[\ud800-\udfff]/u.test(text);
}

type ValueKind = "bool" | "number" | "text" | "time" | "other";

/** What a column holds. */
interface Seen {
  readonly kinds: Set<ValueKind>;
  missing: boolean;
  /** A float, NaN included. */
  float: boolean;
  least: bigint;
  greatest: bigint;
  /** Bytes of the widest number; Python's are as wide as any. */
  width: number;
  /** One of numpy's unsigned ints. */
  unsigned: boolean;
  /** One of numpy's signed ints; Python's are neither. */
  signed: boolean;
}

function look(values: readonly Data[]): Seen {
  const seen: Seen = {
    kinds: new Set(),
    missing: false,
    float: false,
    least: 0n,
    greatest: 0n,
    width: 0,
    unsigned: false,
    signed: false,
  };
  for (const value of values) {
    if (value === null) {
      seen.missing = true;
      seen.width = 8;
    } else if (isNumpyScalar(value)) noteScalar(value, seen);
    else note(value, seen, "float64");
  }
  return seen;
}

function isNumpyScalar(value: Data): value is NdArray {
  return value instanceof NdArray && value.shape.length === 0 && value.shape !== NO_DIMENSIONS;
}

function noteScalar(scalar: NdArray, seen: Seen): void {
  const kind = KINDS[scalar.dtype];
  if (kind === "M") seen.kinds.add("time");
  else if (kind === "S" || kind === "O" || kind === "V") seen.kinds.add("other");
  else note(plain(scalar), seen, scalar.dtype);
}

function note(value: Data, seen: Seen, dtype: Dtype): void {
  if (typeof value === "number" && Number.isNaN(value)) {
    // NaN stands for anything that is missing.
    seen.float = true;
    seen.missing = true;
    seen.width = Math.max(seen.width, widthOf(dtype));
  } else if (typeof value === "number" || typeof value === "bigint") {
    seen.kinds.add("number");
    seen.width = Math.max(seen.width, widthOf(dtype));
    if (typeof value === "number") seen.float = true;
    else if (value < seen.least) seen.least = value;
    else if (value > seen.greatest) seen.greatest = value;
    if (KINDS[dtype] === "u") seen.unsigned = true;
    else if (KINDS[dtype] === "i") seen.signed = true;
  } else seen.kinds.add(kindOfValue(value));
}

function kindOfValue(value: Data): ValueKind {
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "text";
  return value instanceof DateTime && !value.dateOnly ? "time" : "other";
}

function typeOf(seen: Seen): Dtype {
  const [kind, ...others] = seen.kinds;
  if (others.length > 0 || kind === "other") return "object";
  const bits = seen.width * 8;
  if (kind === undefined) return seen.float ? (`float${bits}` as Dtype) : "object";
  if (kind === "text") return "str";
  if (kind === "time") return "datetime64[ns]";
  if (kind === "bool") return seen.missing ? "object" : "bool";
  const unsigned = seen.unsigned || seen.greatest > rangeOf("int64")[1];
  if (seen.least < rangeOf("int64")[0] || seen.greatest > rangeOf("uint64")[1]) return "object";
  if (unsigned && (seen.signed || seen.least < 0n)) return "object";
  return `${seen.float || seen.missing ? "float" : unsigned ? "uint" : "int"}${bits}` as Dtype;
}

type ColumnKind = "text" | "float" | "as it is";

function kindOf(dtype: Dtype): ColumnKind {
  return dtype === "str" ? "text" : KINDS[dtype] === "f" ? "float" : "as it is";
}

const itemOf: Readonly<Record<ColumnKind, (value: Data) => Data>> = {
  text: (value) => {
    const item = plain(value);
    if (typeof item !== "string") return null;
    if (!isUnicode(item)) throw new Misfit("A text is no Unicode.", "Send whole characters.");
    return item;
  },
  float: (value) => {
    const item = plain(value);
    return item === null ? Number.NaN : typeof item === "bigint" ? exactDouble(item) : item;
  },
  "as it is": plain,
};
