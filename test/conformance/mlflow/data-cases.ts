// Data as JSON and back, for comparisons with real MLflow; data_cases.py turns the same JSON into Python's objects. It
// never knows what is compared. Each kind has one text, so that equal data is equal JSON:
//   None, bool, str, list   as JSON has them
//   int, float              {"int": "12"}, {"float": "1e+16"}: Python's repr; nan, inf, -inf
//   bytes                   {"bytes": base64}
//   datetime, date          {"datetime": nanoseconds since 1970 as text}, {"date": the same}
//   dict                    {"dict": [[key, value], …]}
//   ndarray                 {"ndarray": {"dtype", "shape", "data": base64}}, or "items" for str, bytes and object; without
//                           dimensions it is a numpy scalar
//   DataFrame               {"table": {"rows", "columns": [[name, array], …]}}, an array like those of ndarray; one of str
//                           is pandas' str (object before pandas 3), and null in it is a missing value
import {
  type Data,
  DateTime,
  type Dtype,
  NdArray,
  NUMBER_BYTES,
  type NumberDtype,
  Table,
} from "../../../server/mlmodel/data/data.ts";
import { pythonFloat } from "../../../server/mlmodel/data/python-json.ts";

interface CodedArray {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data?: string;
  readonly items?: readonly unknown[];
}

interface Coded {
  readonly int?: string;
  readonly float?: string;
  readonly bytes?: string;
  readonly datetime?: string;
  readonly date?: string;
  readonly dict?: readonly (readonly [string, unknown])[];
  readonly ndarray?: CodedArray;
  readonly table?: { readonly rows: number; readonly columns: readonly (readonly [string | number, CodedArray])[] };
}

export function encodeData(data: Data): unknown {
  if (data === null || typeof data === "boolean" || typeof data === "string") return data;
  if (typeof data === "bigint") return { int: String(data) };
  if (typeof data === "number") return { float: floatText(data) };
  if (data instanceof Uint8Array) return { bytes: base64(data) };
  if (data instanceof DateTime) return { [data.dateOnly ? "date" : "datetime"]: String(data.ns) };
  if (data instanceof NdArray) return { ndarray: encodeArray(data) };
  if (data instanceof Table)
    return { table: { rows: data.rows, columns: data.columns.map((c) => [c.name, encodeArray(c.values)]) } };
  if (data instanceof Map) return { dict: [...data].map(([key, value]) => [key, encodeData(value)]) };
  return (data as readonly Data[]).map(encodeData);
}

/** @throws TypeError for what {@link encodeData} does not write. */
export function decodeData(value: unknown): Data {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(decodeData);
  const coded = value as Coded;
  if (coded.int !== undefined) return BigInt(coded.int);
  if (coded.float !== undefined) return Number(coded.float.replace("inf", "Infinity").replace("nan", "NaN"));
  if (coded.bytes !== undefined) return Buffer.from(coded.bytes, "base64");
  if (coded.datetime !== undefined) return new DateTime(BigInt(coded.datetime));
  if (coded.date !== undefined) return new DateTime(BigInt(coded.date), true);
  if (coded.dict !== undefined) return new Map(coded.dict.map(([key, item]) => [key, decodeData(item)]));
  if (coded.ndarray !== undefined) return decodeArray(coded.ndarray);
  if (coded.table === undefined) throw new TypeError(`${JSON.stringify(value)} is no encoded data`);
  const { rows, columns } = coded.table;
  return new Table(
    columns.map(([name, array]) => ({ name, values: decodeArray(array) })),
    rows,
  );
}

function encodeArray({ dtype, shape, bytes, items }: NdArray): CodedArray {
  return dtype in NUMBER_BYTES ? { dtype, shape, data: base64(bytes) } : { dtype, shape, items: items.map(encodeData) };
}

function decodeArray({ dtype, shape, data, items = [] }: CodedArray): NdArray {
  if (data !== undefined) return NdArray.ofBytes(dtype as NumberDtype, shape, Buffer.from(data, "base64"));
  return NdArray.ofItems(dtype as "str" | "bytes" | "object", shape, items.map(decodeData));
}

function floatText(value: number): string {
  if (Number.isFinite(value)) return pythonFloat(value);
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
