// A graph in the making, for random-models.ts: nodes and constants are added one by one, large constants perhaps to a
// file beside the model. It knows no operator.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { GraphProtoSchema, ModelProtoSchema, StringStringEntryProtoSchema } from "../../server/onnx/gen/onnx_pb.ts";
import {
  type AttributeProto,
  changed,
  elementType,
  type GraphProto,
  type ModelProto,
  makeNode,
  makeOperatorSet,
  makeTensor,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "../../server/onnx/graph-proto.ts";

/** Where each tensor of the file begins. */
const alignment = 64;

export class RandomGraph {
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  readonly #external: boolean;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #data: Uint8Array[] = [];
  #dataBytes = 0;

  constructor({ external }: { readonly external: boolean }) {
    this.#external = external;
  }

  /** The contents of model.onnx.data; null when everything lies in the model. */
  get data(): Uint8Array | null {
    return this.#external ? new Uint8Array(Buffer.concat(this.#data)) : null;
  }

  model(): ModelProto {
    const parts = { node: this.#nodes, initializer: this.#initializers, input: this.inputs, output: this.outputs };
    const model = create(ModelProtoSchema, {
      graph: namedGraph(parts),
      opsetImport: [makeOperatorSet("", 21), makeOperatorSet("com.microsoft", 1)],
    });
    model.$unknown = [{ no: 1, wireType: WireType.Varint, data: Uint8Array.of(10) }]; // ir_version
    return model;
  }

  /** @param operator with its domain: "com.microsoft.MatMulNBits" */
  add(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: readonly AttributeProto[] = [],
  ): void {
    const [, domain, type = operator] = /^(.*)\.([^.]*)$/.exec(operator) ?? [];
    const name = `${outputs[0]}/${type}`;
    this.#nodes.push(makeNode({ ...(domain ? { domain } : {}), operator: type, name, inputs, outputs, attributes }));
  }

  /** A small constant, a list or a single number, in the model itself. @returns its name */
  ints(name: string, values: readonly number[] | number, type: "int64" | "int32" = "int64"): string {
    const list = typeof values === "number" ? [values] : values;
    const dims = typeof values === "number" ? [] : [list.length];
    const items = type === "int64" ? BigInt64Array.from(list, BigInt) : Int32Array.from(list);
    this.#initializers.push(makeTensor(name, elementType[type], dims, bytesOf(items)));
    return name;
  }

  /** @returns the name */
  floats(name: string, dims: readonly number[], values: Float32Array): string {
    return this.store(makeTensor(name, elementType.float, dims, bytesOf(values)));
  }

  /** A constant, in model.onnx.data where that is asked for. @returns its name */
  store(tensor: TensorProto): string {
    const { name, rawData } = tensor;
    if (!this.#external) {
      this.#initializers.push(tensor);
      return name;
    }
    const padding = (alignment - (this.#dataBytes % alignment)) % alignment;
    const offset = this.#dataBytes + padding;
    this.#data.push(new Uint8Array(padding), rawData);
    this.#dataBytes = offset + rawData.length;
    const place = { location: "model.onnx.data", offset: `${offset}`, length: `${rawData.length}` };
    const externalData = Object.entries(place).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    this.#initializers.push(changed(tensor, { rawData: undefined, externalData, dataLocation: 1 }));
    return name;
  }
}

/** A graph with a name, which ONNX Runtime wants and nobody else. */
export function namedGraph(parts: MessageInitShape<typeof GraphProtoSchema>): GraphProto {
  const graph = create(GraphProtoSchema, parts);
  const name = new BinaryWriter().string("random").finish();
  graph.$unknown = [{ no: 2, wireType: WireType.LengthDelimited, data: name }];
  return graph;
}

export function bytesOf(array: Float32Array | Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
