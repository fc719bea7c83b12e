// The values of a table as one array, with the element type that pandas gives them: `DataFrame.values`. It knows no
// model and no schema.
import { type Data, DateTime, type Dtype, NdArray, NUMBER_BYTES, type NumberDtype, type Table } from "./data.ts";

/** [rows, columns]. A table of one column of numbers is not copied; one without columns is of float64, as pandas has it. */
export function tableValues({ columns, rows }: Table): NdArray {
  const shape = [rows, columns.length];
  if (columns.length === 0) return NdArray.ofBytes("float64", shape, new Uint8Array());
  const dtype = commonDtype(columns.map(({ values }) => values.dtype));
  const [first] = columns;
  if (dtype === "object") {
    const items = columns.map(({ values }) => objectsOf(values));
    return NdArray.ofItems("object", shape, rowMajor(items, rows));
  }
  if (first && columns.length === 1) return NdArray.ofBytes(dtype, shape, first.values.bytes);
  const width = NUMBER_BYTES[dtype];
  const bytes = new Uint8Array(rows * columns.length * width);
  columns.forEach(({ values }, column) => {
    const put = writerOf(dtype, bytes);
    const get = values.dtype === dtype ? undefined : readerOf(values.dtype as NumberDtype, values.bytes);
    for (let row = 0; row < rows; row++) {
      const to = row * columns.length + column;
      if (get) put(to, get(row));
      else bytes.set(values.bytes.subarray(row * width, (row + 1) * width), to * width);
    }
  });
  return NdArray.ofBytes(dtype, shape, bytes);
}

/** float64 as float32, rounded as numpy does: too large a number becomes an infinity. */
export function toFloat32({ shape, bytes }: NdArray): NdArray {
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  const floats = new Float32Array(new Float64Array(aligned.buffer, aligned.byteOffset, aligned.length / 8));
  return NdArray.ofBytes("float32", shape, new Uint8Array(floats.buffer));
}

/** The items as Python's objects: whole numbers, floats, booleans, texts … */
export function objectsOf({ dtype, bytes, items, size }: NdArray): readonly Data[] {
  if (dtype === "str" || dtype === "bytes" || dtype === "object") return items;
  const get = readerOf(dtype, bytes);
  return Array.from({ length: size }, (_, i): Data => {
    const item = get(i);
    if (dtype === "bool") return item === 1;
    if (dtype === "datetime64[ns]") return new DateTime(BigInt(item));
    return isFloat(dtype) ? Number(item) : BigInt(item);
  });
}

/** numpy's promotion, but that booleans, texts and times do not mix with anything else. */
function commonDtype(dtypes: readonly Dtype[]): NumberDtype | "object" {
  const distinct = new Set(dtypes);
  const [only] = distinct;
  if (only === undefined || !isNumber(only)) return "object";
  if (distinct.size === 1) return only;
  let float = 0;
  let signed = 0;
  let unsigned = 0;
  for (const dtype of distinct) {
    if (!isNumber(dtype) || dtype === "bool" || dtype === "datetime64[ns]" || dtype === "bfloat16") return "object";
    const width = NUMBER_BYTES[dtype];
    if (isFloat(dtype)) float = Math.max(float, width);
    else if (dtype.startsWith("u")) unsigned = Math.max(unsigned, width);
    else signed = Math.max(signed, width);
  }
  // A float holds every whole number of half its width.
  if (float > 0) return floats[Math.min(8, Math.max(float, 2 * signed, 2 * unsigned))] ?? "float64";
  if (signed === 0) return `uint${8 * unsigned}` as NumberDtype;
  const width = unsigned < signed ? signed : 2 * unsigned;
  return width > 8 ? "float64" : (`int${8 * width}` as NumberDtype);
}

const floats: Readonly<Record<number, NumberDtype>> = { 2: "float16", 4: "float32", 8: "float64" };

function isNumber(dtype: Dtype): dtype is NumberDtype {
  return Object.hasOwn(NUMBER_BYTES, dtype);
}

function isFloat(dtype: NumberDtype): boolean {
  return dtype === "float16" || dtype === "float32" || dtype === "float64" || dtype === "bfloat16";
}

function rowMajor(columns: readonly (readonly Data[])[], rows: number): Data[] {
  return Array.from({ length: rows }, (_, row) => columns.map((items) => items[row] ?? null)).flat();
}

function readerOf(dtype: NumberDtype, bytes: Uint8Array): (index: number) => number | bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (dtype) {
    case "bool":
    case "uint8":
      return (i) => view.getUint8(i);
    case "int8":
      return (i) => view.getInt8(i);
    case "uint16":
      return (i) => view.getUint16(2 * i, true);
    case "int16":
      return (i) => view.getInt16(2 * i, true);
    case "uint32":
      return (i) => view.getUint32(4 * i, true);
    case "int32":
      return (i) => view.getInt32(4 * i, true);
    case "uint64":
      return (i) => view.getBigUint64(8 * i, true);
    case "int64":
    case "datetime64[ns]":
      return (i) => view.getBigInt64(8 * i, true);
    case "float16":
      return (i) => numberOfHalf(view.getUint16(2 * i, true));
    case "float32":
      return (i) => view.getFloat32(4 * i, true);
    case "float64":
      return (i) => view.getFloat64(8 * i, true);
    case "bfloat16": {
      const word = new DataView(new ArrayBuffer(4));
      return (i) => {
        word.setUint16(2, view.getUint16(2 * i, true), true);
        return word.getFloat32(0, true);
      };
    }
  }
}

/** Writers of the types that other types are promoted to. */
function writerOf(dtype: NumberDtype, bytes: Uint8Array): (index: number, item: number | bigint) => void {
  const view = new DataView(bytes.buffer);
  switch (dtype) {
    case "float64":
      return (i, item) => view.setFloat64(8 * i, Number(item), true);
    case "float32":
      return (i, item) => view.setFloat32(4 * i, Number(item), true);
    case "float16":
      return (i, item) => view.setUint16(2 * i, halfOfSmall(Number(item)), true);
    case "int64":
    case "uint64":
      return (i, item) => view.setBigInt64(8 * i, BigInt(item), true);
    case "int32":
    case "uint32":
      return (i, item) => view.setInt32(4 * i, Number(item), true);
    default:
      return (i, item) => view.setInt16(2 * i, Number(item), true);
  }
}

/** IEEE 754 binary16. */
function numberOfHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent < 31) return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  return fraction === 0 ? sign * Infinity : Number.NaN;
}

/** binary16 of a whole number of 8 bits, which it holds exactly. */
function halfOfSmall(value: number): number {
  const size = Math.abs(value);
  if (size === 0) return 0;
  const exponent = 31 - Math.clz32(size);
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((size << (10 - exponent)) & 0x3ff);
}
