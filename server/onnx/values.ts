// Values that ORT makes and owns: texts that go in, and whatever a graph gives. Each is copied once, out of ORT's memory
// into JavaScript's. With runtime.ts beside it, it sees pointers; it knows no session.

import { setImmediate } from "node:timers/promises";
import koffi from "koffi";
import { type CApi, callOut, check, type Pointer } from "./c-api.ts";
import { isTensorType, itemBytes, type OnnxType, onnxName, typeCode, typeOfCode } from "./element-types.ts";
import { OrtError } from "./errors.ts";

/** Numbers as little-endian bytes, row-major, or the items of a tensor of "string". */
export interface TensorValue {
  readonly kind: "tensor";
  readonly type: OnnxType;
  readonly dims: readonly number[];
  readonly data: Uint8Array | readonly string[];
}

/** What a graph gives. The n-th key of a map belongs to its n-th value. */
export type Value =
  | TensorValue
  | { readonly kind: "sequence"; readonly items: readonly Value[] }
  | { readonly kind: "map"; readonly keys: TensorValue; readonly values: TensorValue }
  /** A sequence of maps from the same keys to numbers, as classifiers give them: values [maps, keys]. */
  | { readonly kind: "maps"; readonly keys: TensorValue; readonly values: TensorValue };

const notImplemented = 9; // ORT_NOT_IMPLEMENTED
/** Most items of a sequence; each costs some 20 µs and memory of its own. */
const maxItems = 200_000;
/** Items that are read without letting anybody else have the thread. */
const itemsAtATime = 200;

/** A tensor of texts in ORT's own memory. The caller releases it. A text ends before its first NUL. */
export function stringValue(api: CApi, allocator: Pointer, texts: readonly string[], dims: readonly number[]): Pointer {
  const shape = BigInt64Array.from(dims.length > 0 ? dims : [0], BigInt);
  const pointer = callOut(api, api.createOwnTensor, allocator, shape, dims.length, typeCode("string"));
  try {
    const bytes = Buffer.from(`${texts.join("\0")}\0`);
    const base = koffi.address(bytes);
    const starts = new BigUint64Array(Math.max(texts.length, 1));
    let start = 0;
    for (let i = 0; i < texts.length; i++) {
      starts[i] = base + BigInt(start);
      start = bytes.indexOf(0, start) + 1;
    }
    check(api, api.fillStrings(pointer, starts, texts.length));
    return pointer;
  } catch (error) {
    api.releaseValue(pointer);
    throw error;
  }
}

/** Copies a value out. The caller releases it. @throws OrtError for what has no form here */
export async function readValue(api: CApi, allocator: Pointer, value: Pointer): Promise<Value> {
  const kind = Number(callOut(api, api.valueKind, value));
  if (kind === 1) return readTensor(api, value);
  const count = Number(callOut(api, api.partCount, value));
  if (count > maxItems)
    throw new OrtError(`The graph gave a sequence of ${count} items; at most ${maxItems} are read.`, notImplemented);
  const parts: Value[] = [];
  for (let index = 0; index < count; index++) {
    if (index % itemsAtATime === itemsAtATime - 1) await setImmediate();
    const part = callOut(api, api.part, value, index, allocator);
    try {
      parts.push(kind === 2 ? await readValue(api, allocator, part) : readTensor(api, part));
    } finally {
      api.releaseValue(part);
    }
  }
  if (kind === 2) return packed(parts) ?? { kind: "sequence", items: parts };
  const [keys, values] = parts;
  if (kind === 3 && keys?.kind === "tensor" && values?.kind === "tensor") return { kind: "map", keys, values };
  throw new OrtError(`The graph gave a value of kind ${kind}, which cannot be read.`, notImplemented);
}

/** Maps from the same keys to numbers, or undefined when the items are something else. */
function packed(items: readonly Value[]): Value | undefined {
  const [first] = items;
  if (first?.kind !== "map") return undefined;
  const blocks: Uint8Array[] = [];
  for (const item of items) {
    if (item.kind !== "map" || !(item.values.data instanceof Uint8Array)) return undefined;
    if (item.values.type !== first.values.type || !sameData(item.keys.data, first.keys.data)) return undefined;
    blocks.push(item.values.data);
  }
  const data = Uint8Array.from(Buffer.concat(blocks));
  const dims = [items.length, ...first.values.dims];
  return { kind: "maps", keys: first.keys, values: { ...first.values, dims, data } };
}

function sameData(a: TensorValue["data"], b: TensorValue["data"]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

function readTensor(api: CApi, value: Pointer): TensorValue {
  const info = callOut(api, api.tensorInfo, value);
  try {
    const code = Number(callOut(api, api.elementType, info));
    const type = typeOfCode(code);
    const rank = Number(callOut(api, api.dimCount, info));
    const sizes = new BigInt64Array(rank + 1);
    check(api, api.dims(info, sizes, rank));
    const dims = Array.from(sizes.subarray(0, rank), Number);
    const size = dims.reduce((product, dim) => product * dim, 1);
    if (type === "string") return { kind: "tensor", type, dims, data: readStrings(api, value, size) };
    if (!isTensorType(type)) throw new OrtError(`The graph gave a tensor of element type ${code}.`, notImplemented);
    const bytes = size * itemBytes[type];
    const data = bytes === 0 ? new Uint8Array() : koffi.decode(callOut(api, api.tensorData, value), "uint8", bytes);
    return { kind: "tensor", type: onnxName(type), dims, data };
  } finally {
    api.releaseTensorInfo(info);
  }
}

function readStrings(api: CApi, value: Pointer, count: number): string[] {
  if (count === 0) return [];
  const length = Number(callOut(api, api.stringBytes, value));
  const bytes = Buffer.alloc(length + 1); // never empty
  const starts = new BigUint64Array(count);
  check(api, api.strings(value, bytes, length, starts, count));
  return Array.from(starts, (start, i) =>
    bytes.toString("utf8", Number(start), i + 1 < count ? Number(starts[i + 1]) : length),
  );
}
