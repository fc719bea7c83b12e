// One value becomes an element of a numpy type, as `numpy.array([value], dtype)` and pandas' `astype` do it, except where
// they would lose something without a word: that is refused here. It never knows arrays or columns.
import { type Data, DateTime, type Dtype, NdArray } from "../data/data.ts";
import { type IntDtype, itemAt, KINDS, rangeOf, toHalf } from "../data/element-types.ts";
import { pythonFloat } from "../data/python-json.ts";
import { typeName } from "../data/python-words.ts";
import { lossOf, Misfit, RawMisfit } from "./findings.ts";
import { inRange, parseTime } from "./time-text.ts";

/** @throws Misfit when it can not, or only with a loss. */
export function convertValue(value: Data, dtype: Dtype): Data {
  const item = value instanceof NdArray && value.shape.length === 0 ? itemAt(value, 0) : value;
  switch (KINDS[dtype]) {
    case "b":
      return toBool(item);
    case "i":
    case "u":
      return toInt(item, dtype as IntDtype);
    case "f":
    case "V":
      return toFloat(item, dtype);
    case "U":
      return withoutZeros(toText(item));
    case "S":
      return toBytes(item);
    case "M":
      return toTime(item);
    case "O":
      return value;
  }
}

/** A whole number as a float64, refused when that is another number. @throws Misfit */
export function exactDouble(value: bigint): number {
  const double = Number(value);
  if (!Number.isFinite(double) || BigInt(double) !== value)
    throw lossOf("an int that float64 does not hold exactly", "float64", "Send it as text, or in an integer column.");
  return double;
}

function failure(item: Data, dtype: string): Misfit {
  return new Misfit(`Can not convert ${typeName(item)} to ${dtype}.`, `Send what ${dtype} can hold.`);
}

function toBool(item: Data): boolean {
  if (typeof item === "boolean") return item;
  if (item === 0n || item === 0) return false;
  if (item === 1n || item === 1) return true;
  throw lossOf(typeName(item), "bool", "Send true or false.");
}

function toInt(item: Data, dtype: IntDtype): bigint {
  const whole = wholeNumber(item, dtype);
  const [least, greatest] = rangeOf(dtype);
  if (whole >= least && whole <= greatest) return whole;
  throw lossOf("a number out of range", dtype, `It takes ${least} to ${greatest}.`);
}

function wholeNumber(item: Data, dtype: Dtype): bigint {
  if (typeof item === "bigint") return item;
  if (typeof item === "boolean") return item ? 1n : 0n;
  if (typeof item === "number") {
    if (Number.isInteger(item)) return BigInt(item);
    if (!Number.isFinite(item)) throw failure(item, dtype);
    throw lossOf("a number with a fraction", dtype, "Send a whole number.");
  }
  const text = numeral(item);
  if (text !== undefined && /^[+-]?\d+(_\d+)*$/.test(text) && text.length <= 40) {
    const digits = text.replace(/[+_]/g, "");
    return digits.startsWith("-") ? -BigInt(digits.slice(1)) : BigInt(digits);
  }
  throw failure(item, dtype);
}

function toFloat(item: Data, dtype: Dtype): number {
  const double = doubleNumber(item, dtype);
  const rounded =
    dtype === "float64"
      ? double
      : dtype === "float16"
        ? toHalf(Math.abs(double)) === 0x7c00
          ? Number.POSITIVE_INFINITY
          : double
        : Math.fround(double);
  if (Number.isFinite(double) && !Number.isFinite(rounded))
    throw lossOf("a number out of range", dtype, "Send a smaller one.");
  return double;
}

function doubleNumber(item: Data, dtype: Dtype): number {
  if (typeof item === "number") return item;
  // A narrower type rounds whatever it is given; that is what a model with such a column asks for.
  if (typeof item === "bigint") return dtype === "float64" ? exactDouble(item) : Number(item);
  if (typeof item === "boolean") return item ? 1 : 0;
  if (item === null) return Number.NaN;
  const double = parseDouble(numeral(item));
  if (double === undefined) throw failure(item, dtype);
  return double;
}

/** `float(text)` for text in ASCII digits. */
function parseDouble(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i.test(text))
    return Number(text.replaceAll("_", ""));
  const word = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (word === null) return undefined;
  if (word[2]?.toLowerCase() === "nan") return Number.NaN;
  return word[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function numeral(item: Data): string | undefined {
  if (typeof item === "string") return item.length <= 1000 ? item.trim() : undefined;
  return item instanceof Uint8Array && item.length <= 1000 ? Buffer.from(item).toString("latin1").trim() : undefined;
}

/** `str(item)`, for what keeps its meaning as text. */
function toText(item: Data): string {
  if (typeof item === "string") return item;
  if (typeof item === "bigint") return String(item);
  if (typeof item === "boolean") return item ? "True" : "False";
  if (typeof item === "number" && !Number.isNaN(item))
    return Number.isFinite(item) ? pythonFloat(item) : item > 0 ? "inf" : "-inf";
  if (item instanceof Uint8Array) {
    const text = Buffer.from(item).toString("latin1");
    if (/^[\0-\x7f]*$/.test(text)) return text;
    throw failure(item, "str");
  }
  if (Array.isArray(item) || item instanceof NdArray)
    throw new RawMisfit("setting an array element with a sequence", "Send text.");
  throw lossOf(typeName(item), "str", "Send text.");
}

function toBytes(item: Data): Uint8Array {
  const bytes = item instanceof Uint8Array ? item : Buffer.from(ascii(toText(item)), "latin1");
  if (bytes.at(-1) === 0) throw lossOf("bytes that end in zeros", "bytes", "numpy would cut them off.");
  return bytes;
}

function ascii(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  throw new Misfit("Can not convert str to bytes.", "Send ASCII text, or bytes.");
}

function withoutZeros(text: string): string {
  if (text.endsWith("\0")) throw lossOf("text that ends in zeros", "str", "numpy would cut them off.");
  return text;
}

function toTime(item: Data): DateTime | null {
  if (item === null) return null;
  if (item instanceof DateTime) return inRange(item);
  if (typeof item === "bigint") {
    const [least, greatest] = rangeOf("int64");
    if (item > least && item <= greatest) return new DateTime(item);
  }
  if (typeof item === "string" || item instanceof Uint8Array) {
    const { time } = parseTime(toText(item));
    return time && inRange(time);
  }
  if (typeof item === "boolean" || typeof item === "number")
    throw lossOf(typeName(item), "datetime64[ns]", "Send a time in ISO 8601.");
  throw failure(item, "datetime64[ns]");
}
