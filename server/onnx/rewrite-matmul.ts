// Which products of quantised weights become modelwire.MatMulInt4, and which weights are to be packed for that. Equal
// weights of two products are packed once.

import {
  elementType,
  intAttribute,
  intOf,
  makeNode,
  makeTensor,
  type NodeProto,
  nameOf,
  type TensorProto,
} from "./graph-proto.ts";
import { countOf, dimsOf, sourceOf } from "./graph-proto-tensors.ts";
import type { TensorSource, WeightPlan } from "./rewrite-result.ts";
import type { GraphView } from "./rewrite-view.ts";

export const productOperator = "com.microsoft.MatMulNBits";

/** A product that can be ours. */
export interface Product {
  readonly node: NodeProto;
  readonly plan: WeightPlan;
  /** Constant float [N]. */
  readonly bias: string | null;
}

const knownAttributes = ["K", "N", "bits", "block_size", "accuracy_level", "weight_prepacked"];
const accuracyInt8 = 4;
/** Values of K that may share a scale. */
const blocks = [16, 32, 64, 128];

/** The products of a graph, and the tensors that stand for their weights. */
export class Products {
  readonly #view: GraphView;
  readonly #freshName: (wanted: string) => string;
  readonly #plans = new Map<string, WeightPlan>();

  /** @param freshName gives a name that no value of the graph has */
  constructor(view: GraphView, freshName: (wanted: string) => string) {
    this.#view = view;
    this.#freshName = freshName;
  }

  get plans(): WeightPlan[] {
    return [...this.#plans.values()];
  }

  /** The initializers that stand for the packed weights. */
  placeholders(): TensorProto[] {
    return this.plans.map(({ name }) => makeTensor(name, elementType.uint8, [0], new Uint8Array()));
  }

  /** The product that a MatMulNBits is, or why it stays what it is. */
  take(node: NodeProto): Product | string {
    const [, weightName = "", scaleName = "", zeroName = "", groups = "", bias = "", ...more] = node.input;
    const int = (name: string) => intOf(node, name, 0);
    const [depth, columns, bits, block] = [int("K"), int("N"), int("bits") || 4, int("block_size")];
    const unknown = node.attribute.filter(({ name }) => !knownAttributes.includes(name));
    if (unknown.length > 0)
      return `has the attribute ${unknown.map(({ name }) => name).join(", ")}, which is not known`;
    if (int("weight_prepacked") !== 0) return "its weights are packed for another processor";
    if (int("accuracy_level") !== accuracyInt8)
      return `computes in float32, as its accuracy_level ${int("accuracy_level")} asks`;
    if (depth < 1 || columns < 1) return `has weights of [${columns}, ${depth}]`;
    if (bits !== 4 && bits !== 8) return `has weights of ${bits} bits`;
    if (bits === 8 && zeroName !== "") return "has weights of 8 bits with zero points"; // their difference has 9
    if (!blocks.includes(block)) return `has blocks of ${block}`;
    if (groups !== "" || more.some((name) => name !== "")) return "has inputs that are not known";
    const perColumn = Math.ceil(depth / block);
    const weights = this.#contents(weightName, elementType.uint8, (columns * perColumn * block * bits) / 8);
    const scales = this.#contents(scaleName, elementType.float, columns * perColumn);
    const zeroPoints =
      zeroName === "" ? null : this.#contents(zeroName, elementType.uint8, columns * Math.ceil((perColumn * bits) / 8));
    const odd = [weights ?? "weights", scales ?? "scales", zeroPoints === undefined ? "zero points" : ""]
      .filter((part) => typeof part === "string" && part !== "")
      .join(", ");
    if (!weights || !scales || zeroPoints === undefined)
      return `its ${odd} are not constant, or not of the type and size that K, N and block_size call for`;
    if (bias !== "" && !this.#isBias(bias, columns)) return "its bias is not constant, or not [N] of float32";
    const key = JSON.stringify([weightName, scaleName, zeroName, columns, depth, bits, block]);
    const plan = this.#plans.get(key) ?? {
      ...{ name: this.#freshName(`${weightName}.packed`), columns, depth, bits, block },
      ...{ weights, scales, zeroPoints },
    };
    this.#plans.set(key, plan);
    return { node, plan, bias: bias === "" ? null : bias };
  }

  /** Undefined when the value is not a constant of this type and number of items. */
  #contents(value: string, type: number, count: number): TensorSource | undefined {
    const tensor = this.#view.constant(value);
    if (tensor?.dataType !== type || countOf(tensor) !== count) return undefined;
    return sourceOf(tensor) ?? undefined;
  }

  #isBias(value: string, columns: number): boolean {
    const tensor = this.#view.constant(value);
    if (tensor?.dataType !== elementType.float) return false;
    const dims = dimsOf(tensor);
    return dims.length === 1 && dims[0] === columns;
  }
}

/** The node of ours that computes a product of `input`. `scale_type` is added when the weights have been looked at. */
export function matMulInt4({ node, plan, bias }: Product, input: string): NodeProto {
  return makeNode({
    domain: "modelwire",
    operator: "MatMulInt4",
    name: nameOf(node),
    inputs: [input, plan.name, ...(bias === null ? [] : [bias])],
    outputs: [node.output[0]!],
    attributes: [
      intAttribute("K", plan.depth),
      intAttribute("N", plan.columns),
      intAttribute("bits", plan.bits),
      intAttribute("block_size", plan.block),
      intAttribute("zero_points", plan.zeroPoints ? 1 : 0),
    ],
  });
}

/** What a product of ours is, for people. */
export function describeProduct({ plan, bias }: Product): string {
  const with_ = [plan.zeroPoints && "zero points", bias !== null && "bias"].filter((part) => part);
  return `int${plan.bits} product, block ${plan.block}${with_.length > 0 ? `, with ${with_.join(" and ")}` : ""}`;
}
