// Python's data, as MLflow's signature rules tell it apart. Whole and floating-point numbers are different things here,
// arrays and tables know their element types, and the order of keys is kept. It knows no wire and no file.

/** Anything that a model can take or give. */
export type Data =
  | null
  | boolean
  /** int */
  | bigint
  /** float, NaN and infinities included */
  | number
  /** str */
  | string
  /** bytes */
  | Uint8Array
  | DateTime
  | NdArray
  | Table
  /** list */
  | readonly Data[]
  /** dict with text keys, in their order */
  | DataMap;

export type DataMap = ReadonlyMap<string, Data>;

/** A datetime.datetime without a time zone, or a datetime.date. */
export class DateTime {
  /** Nanoseconds since 1970-01-01 00:00. */
  readonly ns: bigint;
  /** Whether it is a datetime.date. */
  readonly dateOnly: boolean;

  constructor(ns: bigint, dateOnly = false) {
    this.ns = ns;
    this.dateOnly = dateOnly;
  }
}

/** Element types whose items have a fixed width, by numpy's name, and that width in bytes. */
export const NUMBER_BYTES = {
  bool: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  uint16: 2,
  uint32: 4,
  uint64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  /** ONNX's; numpy has it only with ml_dtypes. */
  bfloat16: 2,
  /** Nanoseconds since 1970 in 64 bits; the smallest number is NaT. */
  "datetime64[ns]": 8,
} as const;

export type NumberDtype = keyof typeof NUMBER_BYTES;

/** "str" and "bytes" stand for numpy's of any width, and for pandas' str; "object" holds anything. */
export type Dtype = NumberDtype | "str" | "bytes" | "object";

/**
 * A numpy array, or a pandas column. Numbers stay in the bytes that they came in, which may begin anywhere in a buffer:
 * what is never looked at is never copied.
 */
export class NdArray {
  readonly dtype: Dtype;
  /** Empty for a numpy scalar. */
  readonly shape: readonly number[];
  /** Little-endian, row-major, without gaps; empty for "str", "bytes" and "object". */
  readonly bytes: Uint8Array;
  /** The items of "str", "bytes" and "object", row-major; empty for numbers. */
  readonly items: readonly Data[];

  private constructor(dtype: Dtype, shape: readonly number[], bytes: Uint8Array, items: readonly Data[]) {
    this.dtype = dtype;
    this.shape = shape;
    this.bytes = bytes;
    this.items = items;
  }

  /** @throws RangeError when the bytes are not those of the shape. */
  static ofBytes(dtype: NumberDtype, shape: readonly number[], bytes: Uint8Array): NdArray {
    const wanted = sizeOf(shape) * NUMBER_BYTES[dtype];
    if (bytes.length !== wanted)
      throw new RangeError(`a ${dtype} array of shape [${shape.join(", ")}] has ${wanted} bytes, not ${bytes.length}`);
    return new NdArray(dtype, shape, bytes, []);
  }

  /** @throws RangeError when there are not as many items as the shape says. */
  static ofItems(dtype: "str" | "bytes" | "object", shape: readonly number[], items: readonly Data[]): NdArray {
    if (items.length !== sizeOf(shape))
      throw new RangeError(
        `a ${dtype} array of shape [${shape.join(", ")}] has ${sizeOf(shape)} items, not ${items.length}`,
      );
    return new NdArray(dtype, shape, new Uint8Array(), items);
  }

  /** How many items. */
  get size(): number {
    return sizeOf(this.shape);
  }
}

/** A pandas DataFrame. The index is not kept: MLflow drops it wherever it writes or reads one. */
export class Table {
  readonly columns: readonly TableColumn[];
  readonly rows: number;

  /** @throws RangeError when a column has another number of rows. */
  constructor(columns: readonly TableColumn[], rows: number) {
    for (const { name, values } of columns)
      if (values.shape.length !== 1 || values.shape[0] !== rows)
        throw new RangeError(`column ${name} has ${values.shape[0]} rows, not ${rows}`);
    this.columns = columns;
    this.rows = rows;
  }
}

export interface TableColumn {
  /** A number in a table without column names, where they are 0, 1, 2 and so on. */
  readonly name: string | number;
  /** One dimension. */
  readonly values: NdArray;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
