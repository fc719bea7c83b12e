// A decoder graph as the rewriting looks at it: who makes a value, and what is constant. It changes nothing.

import type { GenaiConfig } from "./genai-config.ts";
import {
  attributeOf,
  type GraphProto,
  intOf,
  intsOf,
  labelOf,
  type NodeProto,
  operatorOf,
  type TensorProto,
  type ValueInfoProto,
} from "./graph-proto.ts";
import { dimsOf, smallInts } from "./graph-proto-tensors.ts";

export class GraphView {
  readonly config: GenaiConfig;
  readonly nodes: readonly NodeProto[];
  readonly inputs: ReadonlyMap<string, ValueInfoProto>;
  readonly outputs: ReadonlyMap<string, ValueInfoProto>;
  readonly #constants: ReadonlyMap<string, TensorProto>;
  readonly #makers = new Map<string, NodeProto>();

  constructor(graph: GraphProto, config: GenaiConfig) {
    this.config = config;
    this.nodes = graph.node;
    this.inputs = new Map(graph.input.map((value) => [value.name, value]));
    this.outputs = new Map(graph.output.map((value) => [value.name, value]));
    for (const node of graph.node) for (const output of node.output) if (output) this.#makers.set(output, node);
    // What is an input as well is only the input's default.
    const constants = graph.initializer.filter(({ name }) => !this.inputs.has(name));
    this.#constants = new Map(constants.map((tensor) => [tensor.name, tensor]));
  }

  makerOf(value: string): NodeProto | undefined {
    return this.#makers.get(value);
  }

  /** The tensor behind a value that is an initializer or a Constant. */
  constant(value: string): TensorProto | undefined {
    const tensor = this.#constants.get(value);
    if (tensor) return tensor;
    const maker = this.makerOf(value);
    return maker && operatorOf(maker) === "Constant" ? attributeOf(maker, "value")?.t : undefined;
  }

  /** Sizes of a constant; null when it is none, or of a form whose sizes are not known. */
  constantDims(value: string): number[] | null {
    const tensor = this.constant(value);
    if (tensor) return dimsOf(tensor);
    const maker = this.makerOf(value);
    if (maker === undefined || operatorOf(maker) !== "Constant") return null;
    if (attributeOf(maker, "value_int") || attributeOf(maker, "value_float")) return [];
    const ints = intsOf(maker, "value_ints");
    return ints ? [ints.length] : null;
  }

  /** The numbers of a small constant; undefined when the value is none. */
  ints(value: string): number[] | undefined {
    const tensor = this.constant(value);
    if (tensor) return smallInts(tensor);
    const maker = this.makerOf(value);
    if (maker === undefined || operatorOf(maker) !== "Constant") return undefined;
    return attributeOf(maker, "value_int") ? [intOf(maker, "value_int", 0)] : intsOf(maker, "value_ints");
  }
}

/** Why a graph stays as it is: what is not known, and the node it is about if there is one. */
export class NotKnown {
  readonly what: string;
  readonly node: NodeProto | undefined;

  constructor(what: string, node?: NodeProto) {
    this.what = what;
    this.node = node;
  }

  get reason(): string {
    return this.node ? `${labelOf(this.node)} ${this.what}` : this.what;
  }
}
