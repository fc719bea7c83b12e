// What MLflow's scoring server puts under `predictions`: data that JSON can hold. It never knows the wire.
import { type Data, type DataMap, DateTime, NdArray, Table } from "../data/data.ts";
import { itemsOf, toList } from "../data/element-types.ts";

/**
 * A table becomes a list of records, an array nested lists, bytes base64 in lines, a time ISO 8601. Infinities and NaN stay:
 * Python writes them into JSON as they are.
 */
export function scoringOutput(prediction: Data): Data {
  if (prediction instanceof Table) return records(prediction);
  if (prediction instanceof NdArray) return arrayOutput(prediction);
  if (prediction instanceof Uint8Array) return encodeLines(prediction);
  if (prediction instanceof DateTime) return isoTime(prediction);
  if (prediction instanceof Map) {
    const dict = new Map<string, Data>();
    for (const [key, value] of prediction as DataMap) dict.set(key, scoringOutput(value));
    return dict;
  }
  return Array.isArray(prediction) ? prediction.map(scoringOutput) : prediction;
}

function records(table: Table): Data {
  const rows = Array.from({ length: table.rows }, () => new Map<string, Data>());
  for (const { name, values } of table.columns)
    for (const [row, item] of cells(values).entries()) rows[row]?.set(String(name), item);
  return rows;
}

/** A missing text is NaN to pandas, and a missing time NaT. */
function cells(column: NdArray): readonly Data[] {
  const { dtype } = column;
  const items = itemsOf(column);
  if (dtype === "str") return items.map((item) => item ?? Number.NaN);
  if (dtype === "datetime64[ns]") return items.map((item) => (item === null ? "NaT" : scoringOutput(item)));
  return dtype === "object" || dtype === "bytes" ? items.map(scoringOutput) : items;
}

function arrayOutput(array: NdArray): Data {
  const { dtype } = array;
  if (dtype === "datetime64[ns]") return nanoseconds(array);
  const list = toList(array);
  return dtype === "object" || dtype === "bytes" ? scoringOutput(list) : list;
}

/** numpy gives times in nanoseconds as ints. */
function nanoseconds(array: NdArray): Data {
  const ints = itemsOf(NdArray.ofBytes("int64", [array.size], array.bytes)).map((ns) =>
    ns === -(2n ** 63n) ? null : ns,
  );
  return toList(NdArray.ofItems("object", array.shape, ints));
}

/** `base64.encodebytes`: lines of 76 characters, each with its end. */
function encodeLines(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("base64")
    .replace(/.{1,76}/g, "$&\n");
}

/** `isoformat()`: fractions of a second as far as there are any. */
function isoTime({ ns, dateOnly }: DateTime): string {
  const seconds = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  if (dateOnly) return text.slice(0, 10);
  const fraction = (ns - seconds * 1_000_000_000n).toString().padStart(9, "0");
  if (fraction === "000000000") return text;
  return `${text}.${fraction.endsWith("000") ? fraction.slice(0, 6) : fraction}`;
}
