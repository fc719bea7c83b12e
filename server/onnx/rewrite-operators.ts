// The operators of a decoder that treat every token by itself. One that is not here may mix tokens, and keeps its graph
// with ONNX Runtime.

import { intsOf, type NodeProto, operatorOf } from "./graph-proto.ts";
import { constant, type Layout } from "./rewrite-layout.ts";
import {
  blockProduct,
  concat,
  elementwise,
  experts,
  gemm,
  given,
  lookup,
  normalisation,
  type Operator,
  product,
  reduction,
  reshape,
  rotation,
  skipNormalisation,
  slice,
  softmax,
  split,
  squeeze,
  top,
  transpose,
  unsqueeze,
} from "./rewrite-rules.ts";
import type { GraphView } from "./rewrite-view.ts";

const named = (operator: Operator, names: string) => names.split(/\s+/).map((name) => [name, operator] as const);
const operators: ReadonlyMap<string, Operator> = new Map([
  ...named(
    elementwise,
    `Abs Add And Cast Ceil Celu Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish
    Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round
    Selu Sigmoid Sign Sin Softplus Softsign Sqrt Sub Swish Tanh Where Xor com.microsoft.BiasGelu com.microsoft.FastGelu
    com.microsoft.Gelu com.microsoft.QuickGelu`,
  ),
  ...named(normalisation, "LayerNormalization RMSNormalization SimplifiedLayerNormalization LpNormalization"),
  ...named(skipNormalisation, "com.microsoft.SkipLayerNormalization com.microsoft.SkipSimplifiedLayerNormalization"),
  ...named(reduction, "ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare"),
  ...named(softmax, "Softmax LogSoftmax"),
  ["Gather", lookup("axis")],
  ["com.microsoft.GatherBlockQuantized", lookup("gather_axis")],
  ["Slice", slice],
  ["Split", split],
  ["Concat", concat],
  ["Reshape", reshape],
  ["Transpose", transpose],
  ["Unsqueeze", unsqueeze],
  ["Squeeze", squeeze],
  ["MatMul", product],
  ["Gemm", gemm],
  ["com.microsoft.MatMulNBits", blockProduct],
  ...named(experts, "com.microsoft.MoE com.microsoft.QMoE"),
  ["TopK", top],
  ["com.microsoft.RotaryEmbedding", rotation],
]);
/** What may be made of constants alone and is the same at every run. */
const folding = ["Constant", "ConstantOfShape", "DequantizeLinear", "QuantizeLinear", "Shape", "Range"];

export function operatorKind(node: NodeProto): string {
  return operators.get(operatorOf(node))?.what ?? "constant";
}

/** Where the tokens lie in what a node makes, or why it may mix them. */
export function layoutsOf(
  view: GraphView,
  node: NodeProto,
  inputs: readonly (Layout | undefined)[],
): readonly Layout[] | string {
  const name = operatorOf(node);
  const operator = operators.get(name);
  if (inputs.every((input) => input?.kind !== "tokens")) {
    if (!operator && !folding.includes(name)) return "is not known to give the same at every run";
    const dims = name === "Constant" ? view.constantDims(node.output[0]!) : constantDims(view, node, inputs);
    return node.output.map(() => constant(dims));
  }
  if (!operator) return "is not known to treat every token by itself";
  const first = inputs[0]?.kind === "tokens" ? inputs[0] : inputs.find((input) => input?.kind === "tokens");
  // Those that take any input elementwise may begin with a constant; Gather looks itself.
  const anyOrder = operator === elementwise || name === "Gather" || name === "com.microsoft.GatherBlockQuantized";
  if (inputs[0]?.kind !== "tokens" && !anyOrder) return "has a constant where tokens are expected";
  if (first!.last === "dropped" && operator !== unsqueeze) return "takes the last token without its axis";
  return operator.rule({ view, node, inputs, first: first! });
}

/** Sizes of what is made of constants; null where not worked out. */
function constantDims(
  view: GraphView,
  node: NodeProto,
  inputs: readonly (Layout | undefined)[],
): readonly number[] | null {
  const [first] = inputs;
  const dims = first?.kind === "constant" ? first.dims : null;
  const name = operatorOf(node);
  if (["DequantizeLinear", "QuantizeLinear"].includes(name)) return dims;
  if (name === "Transpose" && dims)
    return (intsOf(node, "perm") ?? dims.map((_, i) => dims.length - 1 - i)).map((i) => dims[i]!);
  if (name === "Reshape") {
    const shape = view.ints(node.input[1] ?? "");
    return shape?.every((size) => size > 0) ? shape : null;
  }
  if (operators.get(name) !== elementwise) return null;
  const all = given(inputs).map((input) => (input.kind === "constant" ? input.dims : null));
  const rank = Math.max(0, ...all.map((one) => one?.length ?? 0));
  const known = all.filter((one) => one !== null);
  if (known.length < all.length) return null;
  return Array.from({ length: rank }, (_, i) => Math.max(...known.map((one) => one[i - (rank - one.length)] ?? 1)));
}
