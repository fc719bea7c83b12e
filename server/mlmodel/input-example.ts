// The example of an input that lies beside a model: input_example.json, the same as a scoring request, and what the
// MLmodel file says of them; written as MLflow 3.17.2 writes them, and read as it reads them. It never knows a disk.
import { ApiError } from "@modelwire/proto";
import { type Data, type DataMap, DateTime, type Dtype, NdArray, Table } from "./data/data.ts";
import { itemsOf } from "./data/element-types.ts";
import { isoDatetime } from "./data/python-datetime.ts";
import { JsonError, parsePythonJson, writePythonJson } from "./data/python-json.ts";
import { readScoringInput } from "./enforce/scoring-input.ts";
import type { Signature } from "./schema.ts";
import { denseArray } from "./sparse-matrix.ts";
import type { YamlMap } from "./yaml/value.ts";

const EXAMPLE_FILE = "input_example.json";
const SERVING_FILE = "serving_input_example.json";

export interface InputExample {
  /** File name to text. */
  readonly files: Readonly<Record<string, string>>;
  /** `saved_input_example_info` of the MLmodel file. */
  readonly info: YamlMap;
}

/** Keys with which a dict is a request to an LLM as it stands. */
const LLM_KEYS = ["messages", "prompt", "input"];

/**
 * @param data A table, an array, a dict of arrays, a dict, a list, a single value or a datetime.
 * @param params Of the prediction; in MLflow the second of a pair.
 * @throws ApiError INVALID_FIELD for what MLflow takes for no example.
 */
export function inputExampleFiles(data: Data, params?: DataMap): InputExample {
  const { kind, stored, serving } = exampleOf(data);
  const options = params && mapped(params, jsonable);
  const isWhole = stored === serving;
  const beside: DataMap = options === undefined ? new Map() : isWhole ? options : new Map([["params", options]]);
  const example = options
    ? new Map<string, Data>([
        ["inputs", stored],
        ["params", options],
      ])
    : stored;
  return {
    files: {
      [EXAMPLE_FILE]: writePythonJson(example),
      [SERVING_FILE]: indentedJson(new Map([...(serving as DataMap), ...beside])),
    },
    info: {
      artifact_path: EXAMPLE_FILE,
      ...(params && params.size > 0 ? { params: "true" } : {}),
      ...kind,
      serving_input_path: SERVING_FILE,
    },
  };
}

export interface ReadExample {
  readonly data: Data;
  readonly params: DataMap | undefined;
}

/**
 * The example that a model brings, as MLflow's load_input_example gives it; a sparse matrix comes as the array it stands for.
 *
 * @param info `saved_input_example_info` of the MLmodel file.
 * @param readText Gives the text of a file of the model, undefined when there is none.
 * @param signature Of the model: MLflow casts tables and arrays by it.
 * @throws ApiError MODEL_INVALID when the file is missing, or not what `info` says.
 */
export async function readInputExample(
  info: YamlMap,
  readText: (path: string) => Promise<string | undefined>,
  signature?: Signature,
): Promise<ReadExample> {
  const { type, artifact_path: path, params: hasParams } = info;
  if (typeof type !== "string" || !TYPES.has(type)) throw unreadable(`MLflow has no examples of the type ${type}`);
  const text = typeof path === "string" ? await readText(path) : undefined;
  if (text === undefined) throw unreadable(`there is no file ${path}`);
  try {
    const stored = parsePythonJson(text);
    if (!hasParams) return { data: readData(type, stored, signature), params: undefined };
    const params = stored instanceof Map ? (stored as DataMap).get("params") : undefined;
    const data = stored instanceof Map ? (stored as DataMap).get("inputs") : undefined;
    if (data === undefined || !(params instanceof Map)) throw unreadable("it has no inputs, or no params");
    return { data: readData(type, data, signature), params };
  } catch (error) {
    if (error instanceof JsonError || error instanceof RangeError) throw unreadable(error.message);
    if (error instanceof ApiError && error.reason !== "MODEL_INVALID") throw unreadable(error.message);
    throw error;
  }
}

const TYPES = new Set(["dataframe", "ndarray", "json_object", "sparse_matrix_csr", "sparse_matrix_csc"]);

function readData(type: string, stored: Data, signature: Signature | undefined): Data {
  if (type === "json_object") return stored;
  if (type === "ndarray") return readScoringInput({ form: "inputs", value: stored }, signature).data;
  if (type !== "dataframe") return denseArray(stored, type === "sparse_matrix_csr" ? "rows" : "columns");
  const text = writePythonJson(new Map([["dataframe_split", stored]]));
  return readScoringInput({ form: "json", text }, signature).data;
}

function unreadable(message: string): ApiError {
  return new ApiError("MODEL_INVALID", `the model's input example cannot be read: ${message}`);
}

interface Example {
  readonly kind: YamlMap;
  readonly stored: Data;
  /** The request that asks for it; the same object as `stored` when that is a request as it stands. */
  readonly serving: Data;
}

function exampleOf(data: Data): Example {
  if (data instanceof Table) {
    const stored = splitTable(data);
    const kind = { type: "dataframe", pandas_orient: stored.has("columns") ? "split" : "values" };
    return { kind, stored, serving: new Map([["dataframe_split", stored]]) };
  }
  const values = data instanceof Map ? [...(data as DataMap).values()] : [];
  if (isArray(data) || (values.length > 0 && values.every(isArray))) {
    const stored = data instanceof Map ? mapped(data, withoutNaN) : withoutNaN(data);
    return { kind: { type: "ndarray" }, stored, serving: new Map([["inputs", stored]]) };
  }
  if (values.some(isArray)) throw refused("a dict may hold arrays, or other values, but not both");
  if (data === null || (data instanceof DateTime && data.dateOnly) || (Array.isArray(data) && holdsArray(data)))
    throw refused("it must be a table, an array, a dict, a list without arrays, a single value or a datetime");
  const stored = jsonable(data);
  const isWhole = data instanceof Map && LLM_KEYS.some((key) => data.has(key));
  return { kind: { type: "json_object" }, stored, serving: isWhole ? stored : new Map([["inputs", stored]]) };
}

/** numpy's scalars, which have no dimensions, are no arrays. */
function isArray(data: Data): data is NdArray {
  return data instanceof NdArray && data.shape.length > 0;
}

function holdsArray(data: Data): boolean {
  if (Array.isArray(data)) return (data as readonly Data[]).some(holdsArray);
  return data instanceof Map ? [...(data as DataMap).values()].some(holdsArray) : isArray(data);
}

/** `to_dict("split")` without the index, and without columns that are only numbered. */
function splitTable({ columns, rows }: Table): Map<string, Data> {
  const cells = columns.map(({ values }) => itemsOf(values).map((item) => cellOf(item, values.dtype)));
  const data = Array.from({ length: rows }, (_, row) => cells.map((column) => column[row] ?? null));
  const isNumbered = columns.every(({ name }, at) => name === at);
  const names = columns.map(({ name }): Data => (typeof name === "number" ? BigInt(name) : name));
  return new Map<string, Data>(
    isNumbered
      ? [["data", data]]
      : [
          ["columns", names],
          ["data", data],
        ],
  );
}

/** What is missing is NaN in a column of text, "NaT" among times, and null in a column of objects. */
function cellOf(item: Data, dtype: Dtype): Data {
  if (item === null && dtype === "str") return Number.NaN;
  if (item === null && dtype === "datetime64[ns]") return "NaT";
  return dtype === "object" && typeof item === "number" && Number.isNaN(item) ? null : jsonable(item);
}

/** `tolist()` of an array of numbers has null for NaN here. */
function withoutNaN(array: Data): Data {
  if (!(array instanceof NdArray)) return jsonable(array);
  const isNumber = !["str", "bytes", "object"].includes(array.dtype);
  return nestedLists(itemsOf(array), array.shape, (item) =>
    isNumber && typeof item === "number" && Number.isNaN(item) ? null : listItem(item, array.dtype),
  );
}

/** The JSON that MLflow's encoder makes of a value. */
function jsonable(data: Data): Data {
  if (data instanceof NdArray) return nestedLists(itemsOf(data), data.shape, (item) => listItem(item, data.dtype));
  if (data instanceof Uint8Array) return base64Lines(data);
  if (data instanceof DateTime) return isoNanoseconds(data);
  if (data instanceof Table) throw refused("a table must stand alone");
  if (data instanceof Map) return mapped(data, jsonable);
  return Array.isArray(data) ? (data as readonly Data[]).map(jsonable) : data;
}

/** An item of `tolist()`, which has times as numbers of nanoseconds. */
function listItem(item: Data, dtype: Dtype): Data {
  return dtype === "datetime64[ns]" && item instanceof DateTime ? item.ns : jsonable(item);
}

function nestedLists(items: readonly Data[], shape: readonly number[], write: (item: Data) => Data): Data {
  const [size, ...inner] = shape;
  if (size === undefined) return write(items[0] ?? null);
  if (inner.length === 0) return items.map(write);
  const stride = inner.reduce((product, size) => product * size, 1);
  return Array.from({ length: size }, (_, at) =>
    nestedLists(items.slice(at * stride, (at + 1) * stride), inner, write),
  );
}

function mapped(map: DataMap, write: (value: Data) => Data): Map<string, Data> {
  return new Map([...map].map(([key, value]) => [key, write(value)]));
}

/** Python's `base64.encodebytes`. */
function base64Lines(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  return text.replace(/.{1,76}/g, "$&\n");
}

/** `isoformat()` of pandas' Timestamp. */
function isoNanoseconds(time: DateTime): string {
  const rest = ((time.ns % 1000n) + 1000n) % 1000n;
  const text = isoDatetime(time);
  if (rest === 0n || time.dateOnly) return text;
  return `${text.includes(".") ? text : `${text}.000000`}${String(rest).padStart(3, "0")}`;
}

/** `json.dumps(data, indent=2)`. */
function indentedJson(data: Data, indent = ""): string {
  const inner = `${indent}  `;
  let items: string[];
  if (data instanceof Map)
    items = [...(data as DataMap)].map(([key, value]) => `${writePythonJson(key)}: ${indentedJson(value, inner)}`);
  else if (Array.isArray(data)) items = (data as readonly Data[]).map((item) => indentedJson(item, inner));
  else return writePythonJson(data);
  const [open, close] = data instanceof Map ? "{}" : "[]";
  if (items.length === 0) return `${open}${close}`;
  return `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`;
}

function refused(message: string): ApiError {
  return new ApiError("INVALID_FIELD", `the input example cannot be written: ${message}`);
}
