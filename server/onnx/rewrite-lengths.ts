// Works out what a graph computes from the width of the attention mask: how long a sequence is, and which rotary table
// that calls for. Each number is `times` × width + `plus`. A mask is all ones here: whoever runs the graph pads nothing.

import { attributeOf, intOf, intsOf, type NodeProto, operatorOf, type TensorProto } from "./graph-proto.ts";
import type { GraphView } from "./rewrite-view.ts";

export interface Length {
  readonly times: number;
  readonly plus: number;
}

/** Longer chains than this are no way to compute a length. */
const maxSteps = 16;

/** Whether a value is, of a mask of any width, the width plus `plus`. */
export function isWidth(view: GraphView, value: string, plus: number): boolean {
  const lengths = lengthsOf(view, value);
  return lengths?.length === 1 && lengths[0]!.times === 1 && lengths[0]!.plus === plus;
}

/** The numbers of a value that depends on nothing but the mask's width; undefined when it is something else. */
function lengthsOf(view: GraphView, value: string, steps = 0): readonly Length[] | undefined {
  const numbers = view.ints(value);
  if (numbers) return numbers.map((plus) => ({ times: 0, plus }));
  const node = view.makerOf(value);
  if (node === undefined || steps > maxSteps) return undefined;
  const input = (index: number) => lengthsOf(view, node.input[index] ?? "", steps + 1);
  const mask = isMask(view, node.input[0] ?? "");
  switch (operatorOf(node)) {
    case "Cast":
    case "Identity":
    case "Squeeze":
    case "Unsqueeze":
      return input(0);
    case "Shape":
      if (!mask || attributeOf(node, "start") || attributeOf(node, "end")) return undefined;
      return [
        { times: 0, plus: 1 },
        { times: 1, plus: 0 },
      ];
    case "ReduceSum": {
      const axes = intsOf(node, "axes") ?? view.ints(node.input[1] ?? "");
      return mask && axes?.length === 1 && (axes[0] === 1 || axes[0] === -1) ? [{ times: 1, plus: 0 }] : undefined;
    }
    case "Gather": {
      const list = input(0);
      const picked = view.ints(node.input[1] ?? "");
      if (!list || picked?.length !== 1 || intOf(node, "axis", 0) !== 0) return undefined;
      const one = list.at(picked[0]!);
      return one && [one];
    }
    case "Add":
      return combined(input(0), input(1), 1);
    case "Sub":
      return combined(input(0), input(1), -1);
    default:
      return undefined;
  }
}

function combined(
  left: readonly Length[] | undefined,
  right: readonly Length[] | undefined,
  sign: number,
): readonly Length[] | undefined {
  if (left?.length !== 1 || right?.length !== 1) return undefined;
  return [{ times: left[0]!.times + sign * right[0]!.times, plus: left[0]!.plus + sign * right[0]!.plus }];
}

function isMask(view: GraphView, value: string): boolean {
  return comesFrom(view, value, view.config.decoder.inputs.attentionMask);
}

/** Whether a value is an input of the graph, perhaps in another type. */
export function comesFrom(view: GraphView, value: string, input: string): boolean {
  let name = value;
  for (let step = 0; step <= maxSteps; step++) {
    if (name === input) return view.inputs.has(name);
    const node = view.makerOf(name);
    if (!node || !["Cast", "Identity"].includes(operatorOf(node))) return false;
    name = node.input[0] ?? "";
  }
  return false;
}

/**
 * An If that switches rotary tables where the mask grows wider than `limit`, as graphs of LongRoPE models have it.
 * `tables` are what it gives up to there, by the names of its outputs.
 */
export interface RotarySwitch {
  readonly node: NodeProto;
  readonly limit: number;
  readonly tables: ReadonlyMap<string, TensorProto>;
}

/** The switch that a node is; undefined when it is none, or of another form. */
export function rotarySwitch(view: GraphView, node: NodeProto): RotarySwitch | undefined {
  if (operatorOf(node) !== "If") return undefined;
  const condition = view.makerOf(node.input[0] ?? "");
  if (!condition || operatorOf(condition) !== "Greater" || !isWidth(view, condition.input[0] ?? "", 0))
    return undefined;
  const limit = view.ints(condition.input[1] ?? "");
  const short = attributeOf(node, "else_branch")?.g;
  if (limit?.length !== 1 || !short || short.output.length !== node.output.length) return undefined;
  const made = new Map(short.initializer.map((tensor) => [tensor.name, tensor]));
  for (const inner of short.node) {
    const tensor = operatorOf(inner) === "Constant" ? attributeOf(inner, "value")?.t : undefined;
    if (!tensor) return undefined;
    made.set(inner.output[0] ?? "", tensor);
  }
  const tables = new Map<string, TensorProto>();
  for (const [i, { name }] of short.output.entries()) {
    const tensor = made.get(name);
    if (!tensor) return undefined;
    tables.set(node.output[i] ?? "", tensor);
  }
  return { node, limit: limit[0]!, tables };
}
