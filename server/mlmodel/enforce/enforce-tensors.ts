// Arrays and tables against tensors: mlflow.models.utils._enforce_tensor_schema. Elements are looked at only where a table
// becomes a tensor; an array that fits is passed on as it is. It never knows where data came from.

import { type Data, type DataMap, type Dtype, NdArray, Table } from "../data/data.ts";
import { itemAt, itemsOf, KINDS, NO_DIMENSIONS, packed } from "../data/element-types.ts";
import { className, nameText, shapeText } from "../data/python-words.ts";
import type { TensorSpec } from "../schema.ts";
import { arrayAs, arrayOf, promoted } from "./array-of.ts";
import { isScalar } from "./enforce-value.ts";
import { type Findings, Misfit } from "./findings.ts";
import { dtypeOf } from "./schema-inputs.ts";

/** Tensors by name. What does not fit is noted in `findings`, and then the result means nothing. */
export function enforceNamedTensors(data: Data, specs: readonly TensorSpec[], findings: Findings): DataMap {
  const enforced = new Map<string, Data>();
  for (const spec of specs) {
    const name = spec.name ?? "";
    const tensor = findings.within(name, () => findings.attempt(() => namedTensor(data, name, spec)));
    if (tensor !== undefined) enforced.set(name, tensor);
  }
  return enforced;
}

function namedTensor(data: Data, name: string, spec: TensorSpec): NdArray | undefined {
  if (data instanceof Table) {
    const columns = data.columns.filter((column) => column.name === name);
    const [column] = columns;
    if (columns.length > 1) throw new Misfit("There are several columns of this name.", "Send one.");
    return column && tensorOfColumn(name, column.values, spec);
  }
  if (!(data instanceof Map))
    throw new Misfit(
      `This model contains a tensor-based model signature with input names, which suggests a dictionary input mapping input name to tensor, or a pandas DataFrame input containing columns mapping input name to flattened list value from tensor, but an input of type ${className(data)} was found.`,
      "Send arrays by name.",
    );
  const value = (data as DataMap).get(name);
  if (value === undefined) return undefined;
  if (!isArray(value))
    throw new Misfit(
      `This model contains a tensor-based model signature with input names, which suggests a dictionary input mapping input name to a numpy array, but a dict with value type ${className(value)} was found.`,
      "Send an array.",
    );
  return enforceTensor(value, spec);
}

/** The one tensor of a schema without names. What does not fit is noted in `findings`. */
export function enforceOnlyTensor(data: Data, spec: TensorSpec, findings: Findings): Data {
  return findings.attempt(() => onlyTensor(data, spec)) ?? data;
}

function onlyTensor(data: Data, spec: TensorSpec): NdArray {
  if (isArray(data)) return enforceTensor(data, spec);
  if (!(data instanceof Table))
    throw new Misfit(
      `This model contains a tensor-based model signature with no input names, which suggests a numpy array input or a pandas dataframe input with proper column values, but an input of type ${className(data)} was found.`,
      "Send one array.",
    );
  const [first, ...others] = data.columns;
  if (first === undefined || data.rows === 0) throw new Misfit("Input DataFrame is empty.", "Send at least one row.");
  if (others.length === 0) return tensorOfColumn("", first.values, spec);
  const width = data.columns.length;
  if (spec.shape.length !== 2 || spec.shape[0] !== -1 || spec.shape[1] !== width)
    throw new Misfit(
      `This model contains a model signature with an unnamed input. Since the input data is a pandas DataFrame containing multiple columns, the input shape must be of the structure (-1, number_of_dataframe_columns). Instead, the input DataFrame passed had ${width} columns and an input shape of ${shapeText(spec.shape)}.`,
      "Send as many columns.",
    );
  return enforceTensor(matrixOf(data), spec);
}

function isArray(value: Data): value is NdArray {
  return value instanceof NdArray && !isScalar(value);
}

/** The array itself. @throws Misfit when shape or element type is another. */
function enforceTensor(array: NdArray, spec: TensorSpec): NdArray {
  const { shape, dtype } = array;
  if (spec.dtype === "object" && spec.shape.length === 1 && spec.shape[0] === -1) return array;
  // Ragged arrays are arrays of objects; their inner sizes are not looked at.
  if (spec.shape.slice(1).includes(-1) && shape.length === 1 && dtype === "object") return array;
  if (spec.shape.length !== shape.length || spec.shape.some((size, at) => size !== -1 && size !== shape[at]))
    throw new Misfit(
      `Shape of input ${shapeText(shape)} does not match expected shape ${shapeText(spec.shape)}.`,
      "-1 takes any size.",
    );
  if (dtype !== spec.dtype)
    throw new Misfit(
      `dtype of input ${dtype} does not match expected dtype ${spec.dtype}`,
      "The elements of a tensor are never converted.",
    );
  return array;
}

function tensorOfColumn(name: string, column: NdArray, spec: TensorSpec): NdArray {
  if (spec.shape[0] !== -1 || spec.shape.slice(1).includes(-1))
    throw new Misfit(
      `For pandas dataframe input, the first dimension of shape must be a variable dimension and other dimensions must be fixed, but in model signature the shape of ${name === "" ? "the unnamed input" : `input ${nameText(name)}`} is ${shapeText(spec.shape)}.`,
      "Send an array.",
    );
  const first = column.size > 0 ? itemAt(column, 0) : undefined;
  if (first === undefined) throw new Misfit("The table has no rows.", "Send at least one row.");
  const text = column.dtype === "str" && first === null;
  if (KINDS[column.dtype] !== "M" && (text || isScalar(first))) return tensorOfScalars(name, column, spec);
  const cells = itemsOf(column);
  const inner = Array.isArray(first) ? first[0] : undefined;
  if (inner !== undefined && isScalar(inner)) {
    const stacked = stack(cells, spec, name);
    return arrayAs(stacked, dtypeOf(spec.dtype));
  }
  if (isArray(first)) return stack(cells, spec, name);
  throw new Misfit(
    "Because the model signature requires tensor spec input, the input pandas dataframe values should be either scalar value, python list containing scalar values or numpy array containing scalar values, other types are not supported.",
    "Send numbers, or a flat list of them in each row.",
  );
}

function tensorOfScalars(name: string, column: NdArray, spec: TensorSpec): NdArray {
  if (spec.shape.length !== 1 && !(spec.shape.length === 2 && spec.shape[1] === 1))
    throw new Misfit(
      `The input pandas dataframe column '${name}' contains scalar values, which requires the shape to be (-1,) or (-1, 1), but got tensor spec shape of ${shapeText(spec.shape)}.`,
      "Send a list in each row.",
    );
  const shape = spec.shape.length === 1 ? column.shape : [column.size, 1];
  return enforceTensor(reshaped(arrayAs(column, dtypeOf(spec.dtype)), shape), spec);
}

function reshaped(array: NdArray, shape: readonly number[]): NdArray {
  return KINDS[array.dtype] === "O" || KINDS[array.dtype] === "U" || KINDS[array.dtype] === "S"
    ? NdArray.ofItems(array.dtype as "object", shape, array.items)
    : NdArray.ofBytes(array.dtype as "bool", shape, array.bytes);
}

/** `numpy.vstack(cells).reshape(shape)`. @throws Misfit when cells differ in length or do not fill the shape. */
function stack(cells: readonly Data[], spec: TensorSpec, name: string): NdArray {
  const size = spec.shape.slice(1).reduce((product, each) => product * each, 1);
  const arrays = cells.map((cell) => (Array.isArray(cell) || cell instanceof NdArray ? arrayOf(cell) : undefined));
  let dtype: Dtype | undefined;
  for (const array of arrays) {
    if (array === undefined || array.size !== size || array.shape === NO_DIMENSIONS)
      throw new Misfit(
        `The value in the Input DataFrame column '${name}' could not be converted to the expected shape of: '${shapeText(spec.shape)}'.`,
        "Ensure that each of the lists is of the same length and fills the shape.",
      );
    dtype = dtype === undefined ? array.dtype : promoted(dtype, array.dtype);
  }
  const type = dtype ?? "float64";
  const items = arrays.flatMap((array) => (array === undefined ? [] : itemsOf(arrayAs(array, type))));
  return packed(type, [cells.length, ...spec.shape.slice(1)], items);
}

/** `table.to_numpy()`. */
function matrixOf(table: Table): NdArray {
  const types = table.columns.map(({ values }) => (KINDS[values.dtype] === "U" ? "object" : values.dtype));
  const type = types.reduce(commonType);
  const columns = table.columns.map(({ values }) => itemsOf(arrayAs(values, type)));
  const items: Data[] = [];
  for (let row = 0; row < table.rows; row++) for (const column of columns) items.push(column[row] ?? null);
  return packed(type, [table.rows, columns.length], items);
}

/** Columns of bools and numbers together are objects in pandas. */
function commonType(a: Dtype, b: Dtype): Dtype {
  return a !== b && (KINDS[a] === "b" || KINDS[b] === "b") ? "object" : promoted(a, b);
}
