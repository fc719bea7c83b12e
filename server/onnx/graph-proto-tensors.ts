// Where the contents of a model's tensors lie, and the few small ones that decide what an operator does. Nothing is read
// from a file here; a place that a model folder may not name is a violation.

import type { Violation } from "./errors.ts";
import {
  type AttributeProto,
  elementType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "./graph-proto.ts";
import type { TensorSource } from "./rewrite-result.ts";

const externalLocation = 1;
/** With it ONNX Runtime takes the offset for an address in memory. */
const memoryMarker = "*/_ORT_MEM_ADDR_/*";
/** Bytes of an item, of the types whose contents may be asked for. */
const width: Readonly<Record<number, number>> = {
  [elementType.float]: 4,
  [elementType.uint8]: 1,
  [elementType.int32]: 4,
  [elementType.int64]: 8,
};

export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === externalLocation;
}

/** Sizes of a tensor, as numbers. */
export function dimsOf(tensor: TensorProto): number[] {
  return tensor.dims.map(Number);
}

export function countOf(tensor: TensorProto): number {
  return tensor.dims.reduce((product, dim) => product * Number(dim), 1);
}

/**
 * Where the contents of a tensor of float32 or uint8 lie.
 * @returns null when they are not as many as the tensor's sizes say, or of another type
 */
export function sourceOf(tensor: TensorProto): TensorSource | null {
  const expected = countOf(tensor) * (width[tensor.dataType] ?? Number.NaN);
  if (isExternal(tensor)) {
    const { location, offset, length } = externalOf(tensor);
    if (length !== undefined && length !== expected) return null;
    return Number.isSafeInteger(expected) ? { file: location, offset, length: expected } : null;
  }
  const bytes = contentsOf(tensor);
  return bytes?.length === expected ? { bytes } : null;
}

/** The numbers of a small tensor of int64 or int32; undefined when it is another one, or lies in a file. */
export function smallInts(tensor: TensorProto): number[] | undefined {
  const { dataType } = tensor;
  if (isExternal(tensor) || (dataType !== elementType.int64 && dataType !== elementType.int32)) return undefined;
  const bytes = contentsOf(tensor);
  const count = countOf(tensor);
  if (bytes === undefined || count > 64 || bytes.length !== count * width[dataType]!) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: count }, (_, i) =>
    dataType === elementType.int64 ? Number(view.getBigInt64(8 * i, true)) : view.getInt32(4 * i, true),
  );
}

/** The contents that lie in the model's own file, little-endian. */
function contentsOf(tensor: TensorProto): Uint8Array | undefined {
  const { dataType, rawData, floatData, int32Data, int64Data } = tensor;
  if (rawData.length > 0 || countOf(tensor) === 0) return rawData;
  const bytes = (array: { buffer: ArrayBufferLike }) => new Uint8Array(array.buffer);
  if (dataType === elementType.float) return bytes(Float32Array.from(floatData));
  if (dataType === elementType.uint8) return Uint8Array.from(int32Data);
  if (dataType === elementType.int32) return bytes(Int32Array.from(int32Data));
  if (dataType === elementType.int64) return bytes(BigInt64Array.from(int64Data));
  return undefined;
}

/** `length` is undefined where the file does not say: the tensor's sizes do. */
function externalOf(tensor: TensorProto): { location: string; offset: number; length: number | undefined } {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const length = entries.get("length");
  return {
    location: (entries.get("location") ?? "").replace(/^(\.\/+)+/, ""),
    offset: Number(entries.get("offset") ?? 0),
    length: length === undefined ? undefined : Number(length),
  };
}

/** What is wrong with where the tensors of a model, and of the graphs and functions inside it, lie. */
export function tensorViolations({ graph, functions }: ModelProto): Violation[] {
  const violations: Violation[] = [];
  const check = (tensor: TensorProto) => {
    const refuse = (description: string) =>
      violations.push({ field: `tensor ${JSON.stringify(tensor.name)}`, description });
    if (tensor.dims.some((dim) => dim < 0n)) refuse(`has the negative size [${tensor.dims}].`);
    else if (!Number.isSafeInteger(countOf(tensor))) refuse(`has too many items: [${tensor.dims}].`);
    if (isExternal(tensor)) checkExternal(tensor, refuse);
  };
  graph?.initializer.forEach(check);
  eachNode([...(graph?.node ?? []), ...functions.flatMap(({ node }) => node)], ({ attribute }) => {
    for (const one of attribute) {
      for (const tensor of one.t ? [one.t, ...one.tensors] : one.tensors) check(tensor);
      for (const { initializer } of graphsOf(one)) initializer.forEach(check);
    }
  });
  return violations;
}

function checkExternal(tensor: TensorProto, refuse: (description: string) => void): void {
  const keys = tensor.externalData.map(({ key }) => key);
  const twice = keys.filter((key, i) => keys.indexOf(key) !== i);
  if (twice.length > 0) refuse(`says twice where its data lies: ${twice.join(", ")}.`);
  for (const { key, value } of tensor.externalData) {
    if (key === "location") {
      const parts = value.split(/[/\\]/);
      if (value.startsWith(memoryMarker)) refuse("names an address in memory in place of a file.");
      else if (/^[/\\]|^[A-Za-z]:/.test(value) || parts.includes("..") || value.includes("\0"))
        refuse(`must lie in a file below the model's folder, not in ${JSON.stringify(value)}.`);
    }
    if ((key === "offset" || key === "length") && !(/^\d+$/.test(value) && Number.isSafeInteger(Number(value))))
      refuse(`has the ${key} ${JSON.stringify(value)}, which is no number of bytes.`);
  }
  const location = tensor.externalData.find(({ key }) => key === "location")?.value ?? "";
  if (location === "") refuse("does not say in which file its data lies.");
}

/** Every node, those of the graphs inside included. */
export function eachNode(nodes: readonly NodeProto[], visit: (node: NodeProto) => void): void {
  for (const node of nodes) {
    visit(node);
    for (const attribute of node.attribute) for (const inner of graphsOf(attribute)) eachNode(inner.node, visit);
  }
}

function graphsOf({ g, graphs }: AttributeProto): GraphProto[] {
  return g ? [g, ...graphs] : graphs;
}
