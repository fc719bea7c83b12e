// A column becomes one of a scalar type of MLflow's, if that is safe: mlflow.models.utils._enforce_mlflow_datatype. It
// never knows where the column lies.
import { type Data, DateTime, type Dtype, NdArray } from "../data/data.ts";
import { isNumeric, itemsOf, KINDS, packed, plain, widthOf } from "../data/element-types.ts";
import { NUMPY_NAMES, nameText, typeName } from "../data/python-words.ts";
import type { ScalarName } from "../schema.ts";
import { convertValue, exactDouble } from "./convert-value.ts";
import { lossOf, Misfit, RawMisfit } from "./findings.ts";
import { inferColumn } from "./infer-column.ts";
import { inRange, parseTime } from "./time-text.ts";

/** The element type that an enforced column has, where it does not stay an object. */
export const DTYPES: Readonly<Record<ScalarName, Dtype>> = {
  boolean: "bool",
  integer: "int32",
  long: "int64",
  float: "float32",
  double: "float64",
  string: "str",
  binary: "bytes",
  datetime: "datetime64[ns]",
};

const HINT =
  " Hint: the type mismatch is likely caused by missing values. Integer columns in python can not represent missing values" +
  " and are therefore encoded as floats.";

/**
 * The column itself when it fits already.
 *
 * @param name of the column, for the message; empty inside of nested types.
 * @throws Misfit in MLflow's words.
 */
export function enforceColumn(name: string | number, column: NdArray, type: ScalarName): NdArray {
  const wanted = DTYPES[type];
  if (column.dtype === wanted) return column;
  const text = type === "string" || type === "binary";
  const values = column.dtype === "object" && !text ? inferColumn(column.items) : column;
  const { dtype } = values;
  if (dtype === wanted || (text && (dtype === "object" || (dtype === "str" && type === "binary")))) return values;
  if (dtype === "object") {
    if (type === "boolean") return values;
    if (type === "datetime") return naming(name, type, () => naiveTimes(values.items));
    if (type === "double") return naming(name, type, () => numbersOf(values.items));
  }
  if (isUpcast(dtype, wanted) || (dtype === "int64" && KINDS[wanted] === "f" && allZeroOrOne(values)))
    return packed(
      wanted,
      values.shape,
      itemsOf(values).map((item) => convertValue(item, wanted)),
    );
  throw new Misfit(
    `Incompatible input types for column ${name === "" ? "" : columnText(name)}. Can not safely convert ${dtype} to ${NUMPY_NAMES[type]}.${hintFor(values, wanted)}`,
    `The signature wants ${type}.`,
  );
}

function columnText(name: string | number): string {
  return typeof name === "number" ? String(name) : nameText(name).slice(1, -1);
}

function isUpcast(from: Dtype, to: Dtype): boolean {
  const [kind, wanted] = [KINDS[from], KINDS[to]];
  if (!isNumeric(from) || !isNumeric(to)) return false;
  if (kind === wanted) return widthOf(from) <= widthOf(to);
  if (kind === "u" && wanted === "i") return widthOf(from) < widthOf(to);
  return (kind === "i" || kind === "u") && to === "float64" && widthOf(from) <= 6;
}

function allZeroOrOne(column: NdArray): boolean {
  return itemsOf(column).every((item) => item === 0n || item === 1n);
}

function hintFor(column: NdArray, wanted: Dtype): string {
  if (column.dtype !== "float64" || KINDS[wanted] !== "i") return "";
  const items = itemsOf(column) as readonly number[];
  if (!items.some(Number.isNaN)) return "";
  const odd = items.find((item) => !Number.isNaN(item) && !Number.isInteger(item));
  if (odd === Number.POSITIVE_INFINITY || odd === Number.NEGATIVE_INFINITY)
    throw new RawMisfit("cannot convert float infinity to integer", "Send finite whole numbers.");
  return odd === undefined ? HINT : "";
}

function naming(name: string | number, type: ScalarName, convert: () => NdArray): NdArray {
  try {
    return convert();
  } catch (error) {
    if (!(error instanceof Misfit) || error instanceof RawMisfit) throw error;
    throw new Misfit(
      `Failed to convert column ${name === "" ? "" : columnText(name)} from type object to ${type}. ${error.message}`,
      error.remedy,
    );
  }
}

function notConvertible(value: Data, to: string): RawMisfit {
  return new RawMisfit(`${typeName(value)} is not convertible to ${to}`, "Send what the signature wants.");
}

/** @throws Misfit for times with a zone. */
export function refuseZones(zoned: boolean): void {
  if (!zoned) return;
  throw new Misfit(
    "Please ensure that the input data of datetime column only contains timezone-naive datetime objects.",
    "Send UTC without a zone.",
  );
}

/**
 * `astype("datetime64[ns]")` of a column of objects.
 *
 * @param options.alike whether all texts must be written as the first is, as `pandas.to_datetime` wants it.
 * @throws Misfit
 */
export function timesOf(
  items: readonly Data[],
  { alike }: { alike: boolean },
): { readonly times: NdArray; readonly zoned: boolean } {
  const first = items.find((item) => !isMissing(item));
  const layout = alike && typeof first === "string" ? parseTime(first).layout : undefined;
  let zoned = false;
  const times = items.map((item) => {
    const value = plain(item);
    if (isMissing(value)) return null;
    if (value instanceof DateTime) return inRange(value);
    if (typeof value === "bigint" && layout === undefined) return timeOfInt(value, items);
    if (typeof value === "number" && layout === undefined) return timeOfFloat(value);
    if (typeof value !== "string" && typeof value !== "bigint" && typeof value !== "number")
      throw notConvertible(value, "datetime");
    const parsed = typeof value === "string" ? parseTime(value) : undefined;
    if (layout !== undefined && parsed?.layout !== layout)
      throw new Misfit("The times of a column are written in different ways.", "Write all of them alike.");
    zoned ||= parsed?.zoned === true;
    return parsed?.time ? inRange(parsed.time) : null;
  });
  return { times: packed("datetime64[ns]", [items.length], times), zoned };
}

function naiveTimes(items: readonly Data[]): NdArray {
  const { times, zoned } = timesOf(items, { alike: false });
  if (zoned) throw new Misfit("A time has a zone.", "Send UTC without a zone.");
  return times;
}

function isMissing(value: Data): boolean {
  return value === null || value === "" || value === "NaT" || value === "nan" || Number.isNaN(value);
}

function timeOfFloat(value: number): Data {
  if (!Number.isInteger(value)) throw lossOf("float", "datetime64[ns]", "Send a time in ISO 8601.");
  return convertValue(BigInt(value), "datetime64[ns]");
}

/** Of ints alone numpy reports the overflow, of others pandas. */
function timeOfInt(value: bigint, items: readonly Data[]): Data {
  if ((value < -(2n ** 63n) || value >= 2n ** 64n) && items.every((item) => typeof item === "bigint"))
    throw new RawMisfit("An int is too large for datetime64[ns].", "Send a time in ISO 8601.");
  return convertValue(value, "datetime64[ns]");
}

/** `pandas.to_numeric` of a column of objects, which may give whole numbers. @throws Misfit */
function numbersOf(items: readonly Data[]): NdArray {
  if (items.length === 0) return packed("int64", [0], []);
  const numbers = items.map(numberOf);
  const floats = numbers.some((number) => typeof number === "number");
  if (!floats) return inferColumn(numbers);
  const doubles = numbers.map((number) => (typeof number === "bigint" ? exactDouble(number) : number));
  return packed("float64", [items.length], doubles);
}

function numberOf(item: Data): bigint | number {
  const value = plain(item);
  if (value === null) return Number.NaN;
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1n : 0n;
  const written = value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
  if (typeof written === "string" && written.length <= 1000) {
    const text = written.trim();
    if (/^[+-]?\d+$/.test(text)) return convertValue(text, "int64") as bigint;
    if (text !== "" && !text.includes("_") && !/nan/i.test(text)) return convertValue(text, "float64") as number;
  }
  if (lengthOf(value) === 0) throw lossOf(typeName(value), "float64", "Send numbers.");
  if (typeof value === "string" || value instanceof Uint8Array)
    throw new Misfit("Unable to parse a text as a number.", "Send numbers.");
  throw notConvertible(value, "float64");
}

/** `len(value)`, of what has one. */
function lengthOf(value: Data): number | undefined {
  if (typeof value === "string" || value instanceof Uint8Array || Array.isArray(value)) return value.length;
  return value instanceof NdArray ? value.shape[0] : value instanceof Map ? value.size : undefined;
}
