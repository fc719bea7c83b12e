// What MLflow's onnx flavor does around a graph: what it feeds for the data that it is given, the form of what it gives
// back, its session options, and a signature for a model that has none. It never runs a graph.
import { ApiError } from "@modelwire/proto";
import { type Data, type DataMap, type Dtype, NdArray, Table, type TableColumn } from "./data/data.ts";
import { pythonFloat } from "./data/python-json.ts";
import { objectsOf, tableValues, toFloat32 } from "./data/table-values.ts";
import type { Schema, Signature, TensorSpec } from "./schema.ts";
import { isYamlMap, type YamlMap, type YamlValue } from "./yaml/value.ts";

/** An input or output of a graph; the type is ONNX's name, "" for what is no tensor. */
export interface GraphValue {
  readonly name: string;
  readonly type: string;
  /** Sizes, or the names of those that are free; null when the graph does not say how many there are. */
  readonly dims: readonly (number | string)[] | null;
}

/** Numbers as little-endian bytes, or texts. */
export interface OnnxTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: Uint8Array | readonly string[];
}

type OnnxValue =
  | (OnnxTensor & { readonly kind: "tensor" })
  | { readonly kind: "sequence"; readonly items: readonly OnnxValue[] }
  | { readonly kind: "map"; readonly keys: OnnxTensor; readonly values: OnnxTensor }
  /** A sequence of maps with the same keys: values [maps, keys]. */
  | { readonly kind: "maps"; readonly keys: OnnxTensor; readonly values: OnnxTensor };

/** Absent means ONNX Runtime's default. */
export interface OnnxOptions {
  readonly threads?: number;
  readonly interOpThreads?: number;
  readonly executionMode?: "sequential" | "parallel";
  readonly graphOptimization?: number;
  readonly entries?: Readonly<Record<string, string>>;
}

interface Violation {
  readonly field: string;
  readonly description: string;
}

/**
 * What MLflow feeds: of a table the columns by name, or all its values where the graph has one input; one array where
 * the graph has one input; otherwise the arrays as they are named. float64 becomes float32 where the graph wants that.
 * Whether the rest fits is for the graph to say.
 * @throws ApiError PREDICTION_FAILED with every violation
 */
export function onnxFeeds(data: Data, inputs: readonly GraphValue[]): ({ readonly name: string } & OnnxTensor)[] {
  const violations: Violation[] = [];
  const types = new Map(inputs.map(({ name, type }) => [name, type]));
  const feeds = namedArrays(data, inputs, violations).flatMap(([name, value]) => {
    if (!(value instanceof NdArray)) {
      violations.push({ field: name, description: "must be an array" });
      return [];
    }
    const array = value.dtype === "float64" && types.get(name) === "float" ? toFloat32(value) : value;
    const tensor = tensorOf(array);
    if (typeof tensor !== "string") return [{ name, ...tensor }];
    violations.push({ field: name, description: tensor });
    return [];
  });
  if (violations.length > 0) throw failed("the graph cannot be fed", violations);
  return feeds;
}

/**
 * What MLflow gives back: for a table a table whose columns are the outputs, flattened; otherwise the outputs by name.
 * The keys of a map become text, as JSON would make them.
 * @throws ApiError PREDICTION_FAILED when the outputs do not make a table
 */
export function onnxPrediction(outputs: readonly (OnnxValue & { readonly name: string })[], data: Data): Data {
  if (!(data instanceof Table)) return new Map(outputs.map((output) => [output.name, dataOf(output)]));
  const columns = outputs.map((output): TableColumn => ({ name: output.name, values: flattened(output) }));
  const rows = columns[0]?.values.size ?? 0;
  if (columns.every(({ values }) => values.size === rows)) return new Table(columns, rows);
  throw failed(
    "the outputs cannot be put into a table, since they do not have the same length; ask with tensors instead",
    columns.map(({ name, values }) => ({ field: String(name), description: `has ${values.size} items` })),
  );
}

/**
 * Tensors named and typed after the graph. There is no schema of what MLflow cannot write: sequences, maps, bfloat16,
 * and tensors of any number of dimensions.
 */
export function graphSignature(inputs: readonly GraphValue[], outputs: readonly GraphValue[]): Signature {
  return { inputs: tensorSchema(inputs), outputs: tensorSchema(outputs), params: undefined };
}

/**
 * The session options of a model of the onnx flavor, as its MLmodel file says them.
 * @param flavor the entries of the flavor
 * @throws ApiError MODEL_INVALID where MLflow could not load the model either
 */
export function onnxOptions(flavor: YamlMap): OnnxOptions {
  const options = flavor.onnx_session_options ?? {};
  const violations: Violation[] = [];
  const refuse = (field: string, description: string) =>
    violations.push({ field: `onnx_session_options${field}`, description });
  if (!isYamlMap(options)) refuse("", "must be a map");
  const values = isYamlMap(options) ? options : {};
  // MLflow passes over what is false to Python: absent, null, 0 and "".
  const truthy = (key: string) => (Object.hasOwn(values, key) && values[key] ? values[key] : undefined);
  const integer = (key: string, fits: (value: number) => boolean, form: string) => {
    const value = truthy(key);
    if (value === undefined || (typeof value === "number" && Number.isInteger(value) && fits(value))) return value;
    refuse(`.${key}`, `must be ${form}`);
    return undefined;
  };
  const isThreads = (value: number) => value > 0 && value <= 1024;
  const mode = truthy("execution_mode");
  if (mode !== undefined && typeof mode !== "string") refuse(".execution_mode", "must be a text");
  const found = {
    threads: integer("intra_op_num_threads", isThreads, "an integer from 0 to 1024"),
    interOpThreads: integer("inter_op_num_threads", isThreads, "an integer from 0 to 1024"),
    graphOptimization: integer("graph_optimization_level", (value) => LEVELS.has(value), "0, 1, 2, 3 or 99"),
    executionMode: MODES.get(String(mode).toLowerCase()),
    entries: sessionEntries(truthy("extra_session_config"), refuse),
  };
  if (violations.length > 0)
    throw new ApiError("MODEL_INVALID", "the onnx flavor has session options that cannot be used", { violations });
  return found;
}

const LEVELS: ReadonlySet<number> = new Set([0, 1, 2, 3, 99]);
const MODES: ReadonlyMap<string, "sequential" | "parallel"> = new Map([
  ["sequential", "sequential"],
  ["parallel", "parallel"],
]);

const DTYPES: ReadonlyMap<string, Dtype> = new Map([
  ["float", "float32"],
  ["double", "float64"],
  ["string", "str"],
  ...(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16"] as const
  ).map((name): [string, Dtype] => [name, name]),
]);
const ONNX_TYPES = new Map([...DTYPES].map(([onnx, dtype]) => [dtype, onnx]));

function sessionEntries(
  entries: YamlValue | undefined,
  refuse: (field: string, description: string) => void,
): Record<string, string> {
  if (entries === undefined) return {};
  if (!isYamlMap(entries)) {
    refuse(".extra_session_config", "must be a map of texts");
    return {};
  }
  return Object.fromEntries(
    Object.entries(entries).flatMap(([key, value]) => {
      if (typeof value === "string") return [[key, value]];
      refuse(`.extra_session_config.${key}`, "must be a text");
      return [];
    }),
  );
}

/** What is fed by which name, not yet looked at. */
function namedArrays(data: Data, inputs: readonly GraphValue[], violations: Violation[]): (readonly [string, Data])[] {
  const names = inputs.map(({ name }) => name);
  const [only] = names;
  if (data instanceof Map) return [...(data as DataMap)];
  if (data instanceof Table) {
    if (names.length === 1 && only !== undefined) return [[only, tableValues(data)]];
    const columns = new Map(data.columns.map(({ name, values }) => [name, values]));
    return names.flatMap((name) => {
      const values = columns.get(name);
      if (values) return [[name, values] as const];
      violations.push({
        field: name,
        description: "is missing: the graph has an input of this name, the table no column",
      });
      return [];
    });
  }
  if (data instanceof NdArray && names.length === 1 && only !== undefined) return [[only, data]];
  const what =
    data instanceof NdArray
      ? `one array can be fed to a graph with one input only; this one has ${names.join(", ")}`
      : "must be a table, an array, or arrays by name";
  violations.push({ field: "input", description: what });
  return [];
}

/** A tensor for the graph, or why there is none. */
function tensorOf({ dtype, shape, bytes, items }: NdArray): OnnxTensor | string {
  if (dtype === "object" || dtype === "str") {
    const texts = items.map(textOf);
    const at = texts.indexOf(undefined);
    return at < 0
      ? { type: "string", dims: shape, data: texts as string[] }
      : `has an item that is neither text nor number, at ${at}`;
  }
  const type = ONNX_TYPES.get(dtype);
  return type === undefined ? `is of ${dtype}, which no graph takes` : { type, dims: shape, data: bytes };
}

/** Python's str() of what is fed to a graph that takes text; null would silently become "None", so there is none of it. */
function textOf(item: Data): string | undefined {
  switch (typeof item) {
    case "string":
      return item;
    case "bigint":
      return String(item);
    case "boolean":
      return item ? "True" : "False";
    case "number":
      return Number.isFinite(item) ? pythonFloat(item) : undefined;
    default:
      return undefined;
  }
}

function arrayOf({ type, dims, data }: OnnxTensor): NdArray {
  const dtype = DTYPES.get(type);
  if (data instanceof Uint8Array && dtype !== undefined && dtype !== "str" && dtype !== "bytes" && dtype !== "object")
    return NdArray.ofBytes(dtype, dims, data);
  if (!(data instanceof Uint8Array)) return NdArray.ofItems("object", dims, data);
  throw failed(`the graph gave a tensor of ${type}, which has no form here`, []);
}

function dataOf(value: OnnxValue): Data {
  if (value.kind === "tensor") return arrayOf(value);
  if (value.kind === "sequence") return value.items.map(dataOf);
  const keys = objectsOf(arrayOf(value.keys)).map(String);
  const values = objectsOf(arrayOf(value.values));
  const mapFrom = (first: number) => new Map(keys.map((key, i): [string, Data] => [key, values[first + i] ?? null]));
  if (value.kind === "map") return mapFrom(0);
  return Array.from({ length: value.values.dims[0] ?? 0 }, (_, i) => mapFrom(i * keys.length));
}

/** `np.asarray(value).reshape(-1)`, and texts as pandas types them. */
function flattened(value: OnnxValue & { readonly name: string }): NdArray {
  if (value.kind === "map") return NdArray.ofItems("object", [1], [dataOf(value)]);
  if (value.kind === "tensor") return column(arrayOf(value));
  const items = value.kind === "maps" ? (dataOf(value) as readonly Data[]) : value.items.map(dataOf);
  if (items.length === 0) return NdArray.ofBytes("float64", [0], new Uint8Array());
  const arrays = items.filter((item) => item instanceof NdArray);
  if (arrays.length < items.length) return NdArray.ofItems("object", [items.length], items);
  const [first] = arrays;
  if (arrays.some(({ shape }) => shape.join() !== first?.shape.join()))
    throw failed("the outputs cannot be put into a table; ask with tensors instead", [
      { field: value.name, description: "is a sequence of tensors of different shapes" },
    ]);
  return column(joined(arrays));
}

/** Arrays of one type, one behind the other. */
function joined(arrays: readonly NdArray[]): NdArray {
  const size = arrays.reduce((sum, array) => sum + array.size, 0);
  const dtype = arrays[0]?.dtype ?? "object";
  if (dtype === "object" || dtype === "str" || dtype === "bytes")
    return NdArray.ofItems(
      dtype,
      [size],
      arrays.flatMap(({ items }) => items),
    );
  return NdArray.ofBytes(dtype, [size], Buffer.concat(arrays.map(({ bytes }) => bytes)));
}

function column({ dtype, bytes, items, size }: NdArray): NdArray {
  if (dtype !== "object" && dtype !== "str" && dtype !== "bytes") return NdArray.ofBytes(dtype, [size], bytes);
  return NdArray.ofItems(size > 0 && items.every((item) => typeof item === "string") ? "str" : dtype, [size], items);
}

function tensorSchema(values: readonly GraphValue[]): Schema | undefined {
  const tensors = values.flatMap(({ name, type, dims }): TensorSpec[] => {
    const dtype = DTYPES.get(type);
    if (dtype === undefined || dtype === "bfloat16" || dims === null) return [];
    return [{ name, dtype, shape: dims.map((size) => (typeof size === "number" ? size : -1)) }];
  });
  return tensors.length > 0 && tensors.length === values.length ? { kind: "tensors", tensors } : undefined;
}

function failed(message: string, violations: readonly Violation[]): ApiError {
  const list = violations.map(({ field, description }) => `${field} ${description}`).join("; ");
  return new ApiError("PREDICTION_FAILED", list === "" ? message : `${message}: ${list}`, { violations });
}
