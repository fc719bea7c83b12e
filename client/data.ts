// JavaScript's data ⇄ values of the wire, which keep whole and floating-point numbers apart as MLflow does. It must never
// know a signature.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { NullValue, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { FieldViolation, ObjectValue, Value, ValueSchema } from "@modelwire/proto";
import { invalidFields } from "@modelwire/proto";
import { elementTypeOf, fromTensorMessage, Tensor, type TensorArrays, tensorMessage } from "./tensor.ts";

/**
 * What can be sent. A number is an int when it is whole and at most 2^53 - 1 either way, else a float, and a bigint is
 * always an int; the server casts columns as MLflow's scoring server does, but nothing inside arrays, objects and maps.
 * A Uint8Array is bytes, any other typed array a tensor of one dimension. An entry that is undefined is left out.
 */
export type ModelInput =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | Tensor
  | TensorArrays[keyof TensorArrays]
  | readonly ModelInput[]
  | { readonly [key: string]: ModelInput | undefined };

/** What comes back. An int is a number where that is exact, else a bigint. */
export type ModelOutput =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | Tensor
  | ModelOutput[]
  | { [key: string]: ModelOutput };

export type ValueInit = MessageInitShape<typeof ValueSchema>;
export interface ObjectInit {
  entries: { key: string; value: ValueInit }[];
}

/** Lists and objects within each other. Protobuf takes a hundred messages within each other, and an object is three. */
const MAX_DEPTH = 30;

/** Reports of one input: who sends a thousand wrong rows needs no thousand lines. */
const MAX_PROBLEMS = 100;

/** @throws ApiError INVALID_ARGUMENT with the place of everything that is no data. */
export function toValue(data: unknown, place: string): ValueInit {
  return checked((writer) => writer.value(data, place));
}

/** @throws ApiError INVALID_ARGUMENT with the place of everything that is no data, and for what is no plain object. */
export function toObject(data: unknown, place: string): ObjectInit {
  return checked((writer) => writer.object(data, place));
}

/** Runs a writer. @throws ApiError INVALID_ARGUMENT with everything that it found wrong. */
export function checked<T>(write: (writer: ValueWriter) => T): T {
  const writer = new ValueWriter();
  const written = write(writer);
  if (writer.problems.length > 0) throw invalidFields(writer.problems);
  return written;
}

/** Writes values and gathers what is wrong with them. */
export class ValueWriter {
  readonly problems: FieldViolation[] = [];
  /** The lists and objects that the present place lies in. */
  readonly #inside = new Set<object>();

  value(data: unknown, place: string): ValueInit {
    return { kind: this.#kind(data, place) };
  }

  object(data: unknown, place: string): ObjectInit {
    if (isPlainObject(data)) return this.entries(data, place, (value, at) => this.value(value, at));
    this.wrong(place, `must be a plain object, not ${nameOf(data)}`);
    return { entries: [] };
  }

  /** @param write makes the value of each entry that is not undefined */
  entries(data: object, place: string, write: (value: unknown, place: string, key: string) => ValueInit): ObjectInit {
    return this.within(data, place, { entries: [] }, () => ({
      entries: Object.entries(data)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => ({ key: this.text(key, place), value: write(value, `${place}${step(key)}`, key) })),
    }));
  }

  /** @param write makes the value of each item */
  items(data: readonly unknown[], place: string, write: (value: unknown, place: string) => ValueInit): ValueInit[] {
    // Array.from also visits the places that a sparse array has nothing at.
    return this.within(data, place, [], () => Array.from(data, (item, i) => write(item, `${place}[${i}]`)));
  }

  wrong(place: string, description: string): void {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push({ field: place, description });
  }

  #kind(data: unknown, place: string): NonNullable<ValueInit["kind"]> {
    switch (typeof data) {
      case "boolean":
        return { case: "boolValue", value: data };
      case "bigint":
        if (BigInt.asIntN(64, data) !== data) this.wrong(place, `${data} does not fit into 64 bits`);
        return { case: "intValue", value: BigInt.asIntN(64, data) };
      case "number":
        if (Number.isSafeInteger(data) && !Object.is(data, -0)) return { case: "intValue", value: BigInt(data) };
        return { case: "doubleValue", value: data };
      case "string":
        return { case: "stringValue", value: this.text(data, place) };
      default:
    }
    if (data === null) return NOTHING;
    if (data instanceof Uint8Array) return { case: "binaryValue", value: data };
    if (data instanceof Tensor) return { case: "tensorValue", value: tensorMessage(data) };
    if (data instanceof Date) {
      if (!Number.isNaN(data.getTime())) return { case: "datetimeValue", value: timestampFromDate(data) };
      this.wrong(place, "is an invalid Date");
      return NOTHING;
    }
    if (Array.isArray(data)) {
      const values = this.items(data, place, (item, at) => this.value(item, at));
      return { case: "listValue", value: { values } };
    }
    const array = asTensor(data);
    if (array) return { case: "tensorValue", value: tensorMessage(array) };
    if (isPlainObject(data)) return { case: "objectValue", value: this.object(data, place) };
    this.wrong(place, `is ${nameOf(data)}, which no model takes`);
    return NOTHING;
  }

  /** Half of a surrogate pair would come out as another character. */
  text(data: string, place: string): string {
    if (/\p{Surrogate}/u.test(data)) this.wrong(place, "holds half a surrogate pair, which is no text");
    return data;
  }

  /** Runs `inner` unless this is a cycle or too deep. */
  within<T>(data: object, place: string, otherwise: T, inner: () => T): T {
    if (this.#inside.has(data)) {
      this.wrong(place, "is a cycle: it lies within itself");
      return otherwise;
    }
    if (this.#inside.size >= MAX_DEPTH) {
      this.wrong(place, `lies deeper than ${MAX_DEPTH} lists and objects; send it as JSON text`);
      return otherwise;
    }
    this.#inside.add(data);
    try {
      return inner();
    } finally {
      this.#inside.delete(data);
    }
  }
}

/** JavaScript's data of a value. */
export function fromValue({ kind }: Value): ModelOutput {
  switch (kind.case) {
    case "intValue": {
      const number = Number(kind.value);
      return Number.isSafeInteger(number) ? number : kind.value;
    }
    case "datetimeValue":
      return timestampDate(kind.value);
    case "listValue":
      return kind.value.values.map(fromValue);
    case "objectValue":
      return fromObject(kind.value);
    case "tensorValue":
      return fromTensorMessage(kind.value);
    case "nullValue":
    case undefined:
      return null;
    default:
      return kind.value;
  }
}

/** JavaScript's object of a dict. A key is never more than a key, `__proto__` included. */
function fromObject({ entries }: ObjectValue): { [key: string]: ModelOutput } {
  // Unlike an assignment, this makes an entry of `__proto__` as of any other.
  return Object.fromEntries(entries.map(({ key, value }) => [key, value ? fromValue(value) : null]));
}

/** Whether it is an object as `{}` makes it, of whatever realm. */
export function isPlainObject(data: unknown): data is Record<string, unknown> {
  if (typeof data !== "object" || data === null) return false;
  const prototype = Object.getPrototypeOf(data);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A tensor, or a typed array as one of one dimension; undefined for anything else, a Uint8Array included. */
export function asTensor(data: unknown): Tensor | undefined {
  if (data instanceof Tensor) return data;
  if (!ArrayBuffer.isView(data) || data instanceof Uint8Array) return undefined;
  const type = elementTypeOf(data);
  const elements = data as unknown as Float32Array;
  return type && new Tensor(type, [elements.length], elements);
}

const NOTHING = { case: "nullValue", value: NullValue.NULL_VALUE } as const;

/** How a key goes on from a place: `.a`, or `["a b"]`. */
function step(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function nameOf(data: unknown): string {
  if (data === null || data === undefined) return String(data);
  if (typeof data !== "object") return `a ${typeof data}`;
  if (Array.isArray(data)) return "a list";
  const name: unknown = Object.getPrototypeOf(data)?.constructor?.name;
  return typeof name === "string" && name !== "" ? `a ${name}` : "an object of no known class";
}
