// A model in ONNX's own format as messages: read, looked into, made and written. What a field is called in ONNX is what
// it is called here. Large contents are views of the bytes that were read, and are copied once, into the bytes that are
// written. It knows no operator.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ModelFolderError } from "./errors.ts";
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type OperatorSetIdProto,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./gen/onnx_pb.ts";

export type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto };

/** Element types of ONNX, as far as they matter here. */
export const elementType = { float: 1, uint8: 2, int32: 6, int64: 7, float16: 10 } as const;

/** Types of an attribute. */
const attributeType = { float: 1, int: 2, string: 3, tensor: 4, ints: 7 } as const;

/** Contents from this size on are written without passing through the writer of messages, which copies several times. */
const largeBytes = 4096;

/** @param field what a violation calls the file; @throws ModelFolderError when it is no model */
export function decodeModel(bytes: Uint8Array, field: string): ModelProto {
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new ModelFolderError("The graph cannot be loaded.", [
      { field, description: `is no ONNX file: its protobuf is broken (${(error as Error).message}).` },
    ]);
  }
  if (model.graph) return model;
  throw new ModelFolderError("The graph cannot be loaded.", [{ field, description: "holds no graph." }]);
}

/**
 * The bytes of a model. Protobuf joins the parts of a message that comes in several, so the large tensors follow the
 * rest as further parts of the graph.
 */
export function encodeModel(model: ModelProto): Uint8Array {
  const { graph } = model;
  const large = graph?.initializer.filter((tensor) => tensor.rawData.length >= largeBytes) ?? [];
  const small = graph?.initializer.filter((tensor) => tensor.rawData.length < largeBytes) ?? [];
  const rest = toBinary(ModelProtoSchema, changed(model, { graph: graph && changed(graph, { initializer: small }) }));
  return joined([rest, ...large.flatMap(graphWithTensor)]);
}

/** A model with nothing but a graph with nothing but this tensor, in pieces; the last one is the contents. */
function graphWithTensor(tensor: TensorProto): Uint8Array[] {
  const { rawData } = tensor;
  const fields = toBinary(TensorProtoSchema, changed(tensor, { rawData: undefined }));
  const contents = tagged(9, rawData.length);
  const initializer = tagged(5, fields.length + contents.length + rawData.length);
  const graph = tagged(7, initializer.length + fields.length + contents.length + rawData.length);
  return [graph, initializer, fields, contents, rawData];
}

/** The beginning of a field of `length` bytes. */
function tagged(field: number, length: number): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(length).finish();
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** A copy with some fields set, or taken away; the rest, fields that are not known included, is shared. */
export function changed<T extends object>(message: T, fields: { readonly [K in keyof T]?: T[K] | undefined }): T {
  const copy: T = Object.assign(Object.create(Object.getPrototypeOf(message)), message, fields);
  for (const key of Object.keys(fields) as (keyof T)[]) if (fields[key] === undefined) delete copy[key];
  return copy;
}

/** "com.microsoft.MatMulNBits"; operators of ONNX itself without a domain. */
export function operatorOf({ domain, opType }: NodeProto): string {
  return domain === "" || domain === "ai.onnx" ? opType : `${domain}.${opType}`;
}

/** The node's name, or what it makes first. */
export function nameOf(node: NodeProto): string {
  return node.name || (node.output.find((output) => output !== "") ?? "");
}

/** How a message calls a node. */
export function labelOf(node: NodeProto): string {
  return `${operatorOf(node)} ${JSON.stringify(nameOf(node))}`;
}

export function attributeOf(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((attribute) => attribute.name === name);
}

/** A whole number; `absent` where the node has no such attribute. */
export function intOf(node: NodeProto, name: string, absent: number): number {
  const attribute = attributeOf(node, name);
  return attribute ? Number(attribute.i) : absent;
}

export function floatOf(node: NodeProto, name: string, absent: number): number {
  return attributeOf(node, name)?.f ?? absent;
}

/** A list of whole numbers; undefined where the node has no such attribute. */
export function intsOf(node: NodeProto, name: string): number[] | undefined {
  return attributeOf(node, name)?.ints.map(Number);
}

export interface NodeParts {
  readonly domain?: string;
  readonly operator: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: readonly AttributeProto[];
}

export function makeNode({ domain, operator, name, inputs, outputs, attributes = [] }: NodeParts): NodeProto {
  return create(NodeProtoSchema, {
    input: [...inputs],
    output: [...outputs],
    name,
    opType: operator,
    attribute: [...attributes],
    ...(domain === undefined ? {} : { domain }),
  });
}

export function intAttribute(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, i: BigInt(value), type: attributeType.int });
}

export function intsAttribute(name: string, values: readonly number[]): AttributeProto {
  return create(AttributeProtoSchema, { name, ints: values.map(BigInt), type: attributeType.ints });
}

export function floatAttribute(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, f: value, type: attributeType.float });
}

export function tensorAttribute(name: string, value: TensorProto): AttributeProto {
  return create(AttributeProtoSchema, { name, t: value, type: attributeType.tensor });
}

/** Which version of a domain's operators a model is written for. */
export function makeOperatorSet(domain: string, version: number): OperatorSetIdProto {
  return create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) });
}

/** @param data little-endian, row-major */
export function makeTensor(name: string, type: number, dims: readonly number[], data: Uint8Array): TensorProto {
  return create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt), rawData: data });
}

/** A tensor's name, type and shape as an input or output states them; a text is a size that is free. */
export function makeValue(name: string, type: number, dims: readonly (number | string)[]): ValueInfoProto {
  const dim = dims.map((size) => (typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size }));
  return create(ValueInfoProtoSchema, { name, type: { tensorType: { elemType: type, shape: { dim } } } });
}

/** Element type of a graph's input or output; 0 when it is no tensor. */
export function valueType(value: ValueInfoProto | undefined): number {
  return value?.type?.tensorType?.elemType ?? 0;
}
