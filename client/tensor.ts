// Arrays of numbers, truth values or texts with a shape, and their way over the wire without a copy. It must never know
// what they mean to a model.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { Tensor as TensorMessage, TensorSchema } from "@modelwire/proto";
import { ApiError, invalidFields, TensorType } from "@modelwire/proto";

/** Element types, by numpy's names, and what holds their elements here. */
export interface TensorArrays {
  float32: Float32Array;
  float64: Float64Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint16: Uint16Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
  /** One byte each, 0 or 1. */
  bool: Uint8Array;
  /** The 16 bits of each number. */
  float16: Uint16Array;
  /** The upper 16 bits of each 32-bit number. */
  bfloat16: Uint16Array;
  string: readonly string[];
}

export type ElementType = keyof TensorArrays;

/** A tensor. Made by {@link tensor}. */
export class Tensor<T extends ElementType = ElementType> {
  readonly type: T;
  /** Its size in each dimension; empty for a single value. */
  readonly shape: readonly number[];
  /** The elements, the last dimension running fastest. */
  readonly data: TensorArrays[T];

  /** @throws ApiError INVALID_ARGUMENT when there are not as many elements as the shape says. */
  constructor(type: T, shape: readonly number[], data: TensorArrays[T]) {
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
      throw invalidFields([{ field: "shape", description: `[${shape.join(", ")}] must hold whole numbers from 0` }]);
    const wanted = shape.reduce((product, size) => product * size, 1);
    if (data.length !== wanted) {
      const description = `[${shape.join(", ")}] is ${wanted} elements, and there are ${data.length}`;
      throw invalidFields([{ field: "shape", description }]);
    }
    this.type = type;
    this.shape = shape;
    this.data = data;
  }
}

/** Arrays that say themselves of what type they are. */
type NaturalType<Data> = Data extends Float32Array
  ? "float32"
  : Data extends Float64Array
    ? "float64"
    : Data extends Int8Array
      ? "int8"
      : Data extends Int16Array
        ? "int16"
        : Data extends Int32Array
          ? "int32"
          : Data extends BigInt64Array
            ? "int64"
            : Data extends Uint8Array
              ? "uint8"
              : Data extends Uint16Array
                ? "uint16"
                : Data extends Uint32Array
                  ? "uint32"
                  : Data extends BigUint64Array
                    ? "uint64"
                    : Data extends readonly string[]
                      ? "string"
                      : "bool";

type Natural = TensorArrays[ElementType] | readonly boolean[];

/** What a plain list of a type may hold. */
type ItemOf<T extends ElementType> = T extends "string"
  ? string
  : T extends "bool"
    ? boolean
    : T extends "int64" | "uint64"
      ? bigint | number
      : T extends "float16" | "bfloat16"
        ? never
        : number;

/**
 * A tensor of a typed array, of texts or of truth values, which is not copied unless it must be.
 *
 * @param shape one dimension when absent
 * @throws ApiError INVALID_ARGUMENT when the shape does not fit.
 */
export function tensor<D extends Natural>(data: D, shape?: readonly number[]): Tensor<NaturalType<D>>;
/**
 * The same with its type said: for plain lists of numbers, and for bool, float16 and bfloat16 in the arrays that hold
 * their bits.
 *
 * @throws ApiError INVALID_ARGUMENT also for a number that the type cannot hold.
 */
export function tensor<T extends ElementType>(
  data: TensorArrays[T] | readonly ItemOf<T>[],
  shape: readonly number[] | undefined,
  type: T,
): Tensor<T>;
export function tensor(data: Natural | readonly unknown[], shape?: readonly number[], type?: ElementType): Tensor {
  const chosen = type ?? elementTypeOf(data);
  if (chosen === undefined)
    throw invalidFields([{ field: "type", description: "must be said for a list of numbers, such as float32" }]);
  return new Tensor(chosen, shape ?? [data.length], elements(data, chosen));
}

/** The element type that a typed array, a list of texts or one of truth values has; undefined for anything else. */
export function elementTypeOf(data: unknown): ElementType | undefined {
  if (ArrayBuffer.isView(data)) return ARRAY_TYPES.get(Object.getPrototypeOf(data)?.constructor?.name);
  if (!Array.isArray(data)) return undefined;
  if (data.length > 0 && data.every((item) => typeof item === "boolean")) return "bool";
  return data.every((item) => typeof item === "string") ? "string" : undefined;
}

/** The message of a tensor; it shares the elements. */
export function tensorMessage({ type, shape, data }: Tensor): MessageInitShape<typeof TensorSchema> {
  const init = { type: WIRE_TYPES[type], shape: shape.map(BigInt) };
  if (!ArrayBuffer.isView(data)) return { ...init, strings: [...data] };
  return { ...init, data: new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength) };
}

/**
 * The tensor of a message. It shares the message's bytes when they lie where such elements may begin.
 *
 * @throws ApiError INTERNAL for what is no tensor.
 */
export function fromTensorMessage({ type, shape, data, strings }: TensorMessage): Tensor {
  const name = TYPE_NAMES.get(type);
  if (name === undefined) throw broken(`a tensor of the type ${type}, which this client does not know`);
  if (name === "string") return sized(name, shape, strings);
  const Elements = ARRAYS[name];
  const width = Elements.BYTES_PER_ELEMENT;
  if (data.byteLength % width !== 0) throw broken(`${data.byteLength} bytes of ${name}`);
  // An array of wide elements cannot begin at any byte.
  const bytes = data.byteOffset % width === 0 ? data : data.slice();
  return sized(name, shape, new Elements(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / width));
}

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
} as const;

/** Name of a typed array's class to the type it naturally has. Node.js's Buffer is a Uint8Array. */
const ARRAY_TYPES: ReadonlyMap<unknown, ElementType> = new Map([
  ...Object.entries(ARRAYS)
    .filter(([name]) => name !== "bool" && !name.endsWith("float16"))
    .map(([name, array]) => [array.name, name as ElementType] as const),
  ["Buffer", "uint8"] as const,
]);

const WIRE_TYPES: Readonly<Record<ElementType, TensorType>> = {
  float32: TensorType.FLOAT,
  float64: TensorType.DOUBLE,
  int8: TensorType.INT8,
  int16: TensorType.INT16,
  int32: TensorType.INT32,
  int64: TensorType.INT64,
  uint8: TensorType.UINT8,
  uint16: TensorType.UINT16,
  uint32: TensorType.UINT32,
  uint64: TensorType.UINT64,
  bool: TensorType.BOOL,
  float16: TensorType.FLOAT16,
  bfloat16: TensorType.BFLOAT16,
  string: TensorType.STRING,
};

const TYPE_NAMES: ReadonlyMap<TensorType, ElementType> = new Map(
  Object.entries(WIRE_TYPES).map(([name, type]) => [type, name as ElementType]),
);

/** @throws ApiError INVALID_ARGUMENT for a list that an array of the type cannot hold. */
function elements(data: Natural | readonly unknown[], type: ElementType): TensorArrays[ElementType] {
  const wrong = (description: string) => invalidFields([{ field: "data", description }]);
  if (type === "string") {
    if (Array.isArray(data) && data.every((item) => typeof item === "string")) return data;
    throw wrong("must be texts");
  }
  const Elements = ARRAYS[type];
  if (ArrayBuffer.isView(data)) {
    if (data instanceof Elements) return data;
    throw wrong(`must be a ${Elements.name} for ${type}, not a ${data.constructor.name}`);
  }
  if (type === "float16" || type === "bfloat16") throw wrong("must be the bits of the numbers, in a Uint16Array");
  const made = new Elements(data.length);
  for (const [i, item] of data.entries()) {
    if (!isItem(item, type)) throw wrong(`[${i}] is ${String(item)}, which is no ${type}`);
    if (made instanceof BigInt64Array || made instanceof BigUint64Array) made[i] = BigInt(item);
    else made[i] = Number(item);
    // A whole number that does not fit would wrap around without a word.
    if (type !== "float32" && type !== "float64" && Number(made[i]) !== Number(item))
      throw wrong(`[${i}] is ${String(item)}, which no ${type} can hold`);
  }
  return made;
}

/** Whether a list of that type may hold it, as far as its kind goes. */
function isItem(item: unknown, type: ElementType): item is number | bigint | boolean {
  if (type === "bool") return typeof item === "boolean";
  if (!type.endsWith("int64")) return typeof item === "number";
  return typeof item === "bigint" || Number.isSafeInteger(item);
}

function sized(type: ElementType, shape: readonly bigint[], data: TensorArrays[ElementType]): Tensor {
  try {
    return new Tensor(type, shape.map(Number), data);
  } catch (cause) {
    throw broken(`a ${type} tensor whose ${cause instanceof Error ? cause.message : ""}`, cause);
  }
}

function broken(what: string, cause?: unknown): ApiError {
  return new ApiError({ code: status.INTERNAL }, `the server sent ${what}`, { cause });
}
