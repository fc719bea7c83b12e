// What the operators that treat every token by itself make of where the tokens lie, each a rule: the layouts of what a
// node makes, or why it mixes tokens. It does not know which operators follow which rule.

import { attributeOf, intOf, intsOf, type NodeProto } from "./graph-proto.ts";
import { areInner, axisOf, broadcast, type Layout, rankOf, reshaped, type Tokens } from "./rewrite-layout.ts";
import type { GraphView } from "./rewrite-view.ts";

/** A node as its rule sees it. */
export interface Site {
  readonly view: GraphView;
  readonly node: NodeProto;
  /** One for each input; undefined where one is left out. */
  readonly inputs: readonly (Layout | undefined)[];
  /** The first input, which is never a constant. */
  readonly first: Tokens;
}

export interface Operator {
  /** What it is, for people. */
  readonly what: string;
  /** The layout of every output that the node may have, or why it mixes tokens. */
  readonly rule: (site: Site) => readonly Layout[] | string;
}

export const elementwise: Operator = { what: "elementwise", rule: ({ inputs }) => one(broadcast(given(inputs))) };
export const normalisation: Operator = {
  what: "normalises each token",
  rule: ({ node, inputs, first }) =>
    inputs.slice(1).every((input) => input?.kind !== "tokens")
      ? within(first, [intOf(node, "axis", -1)], [first, inner(first, 1), inner(first, 1)])
      : "has weights that tokens decide",
};
export const skipNormalisation: Operator = {
  what: "normalises each token",
  rule: ({ inputs }) => {
    const sum = broadcast(given(inputs));
    return typeof sum === "string" ? sum : [sum, inner(sum, 1), inner(sum, 1), sum];
  },
};
export const reduction: Operator = {
  what: "sums up each token",
  rule: ({ node, view, first }) => {
    const axes = axesOf(view, node);
    if (!axes?.length || !areInner(first, axes)) return "sums up over tokens";
    const at = axes.map((axis) => axisOf(first, axis)! - first.axis - 1);
    const keep = intOf(node, "keepdims", 1) === 1;
    const tail = first.tail.map((size, i) => (at.includes(i) ? 1 : size)).filter((_, i) => keep || !at.includes(i));
    return [{ ...first, tail }];
  },
};
export const softmax: Operator = {
  what: "elementwise in each token",
  rule: ({ node, first }) => within(first, [intOf(node, "axis", -1)], [first]),
};
/** Rows of a constant table, by tokens; or a part of every token. */
export const lookup = (axisName: string): Operator => ({
  what: "looks rows up",
  rule: ({ node, view, inputs }) => {
    const [data, index] = inputs;
    const axis = intOf(node, axisName, 0);
    if (data?.kind === "constant" && index?.kind === "tokens") {
      if (!data.dims || axis < 0 || axis >= data.dims.length) return "looks up in a table whose sizes are not known";
      const [before, behind] = [data.dims.slice(0, axis), data.dims.slice(axis + 1)];
      if (before.some((size) => size !== 1)) return "does not look up whole rows";
      // Quantised, several items may lie in one byte.
      const sizes = axisName === "axis" ? behind : behind.map(() => null);
      return [{ ...index, axis: before.length + index.axis, tail: [...index.tail, ...sizes] }];
    }
    if (data?.kind !== "tokens" || index?.kind !== "constant" || !index.dims) return "looks up in what tokens decide";
    const at = axisOf(data, axis);
    if (at === undefined || at <= data.axis) return lastToken(view, node, data, at);
    const place = at - data.axis - 1;
    return [{ ...data, tail: [...data.tail.slice(0, place), ...index.dims, ...data.tail.slice(place + 1)] }];
  },
});

/** A builder that prunes lm_head picks the last token: -1 along the axis of the tokens. */
function lastToken(view: GraphView, node: NodeProto, data: Tokens, axis: number | undefined): Layout[] | string {
  const picked = view.ints(node.input[1] ?? "");
  if (axis !== data.axis || data.fold !== 1 || data.last !== "no" || picked?.length !== 1 || picked[0] !== -1)
    return "picks tokens in a way that is not known";
  return [{ ...data, last: view.constantDims(node.input[1]!)?.length === 0 ? "dropped" : "kept" }];
}

export const slice: Operator = {
  what: "takes a part of each token",
  rule: ({ node, view, first }) => {
    const ints = (name: string, input: number) => intsOf(node, name) ?? view.ints(node.input[input] ?? "");
    const starts = ints("starts", 1);
    const ends = ints("ends", 2);
    const steps = ints("steps", 4) ?? starts?.map(() => 1);
    const axes = ints("axes", 3) ?? starts?.map((_, i) => i);
    if (!starts || !ends || !axes || !steps) return "takes parts that are not constant";
    if (first.last === "no" && first.fold === 1 && axes.length === 1 && axisOf(first, axes[0]!) === first.axis) {
      const last = starts[0] === -1 && ends[0]! >= 2 ** 31 - 1 && steps[0] === 1;
      return last ? [{ ...first, last: "kept" }] : "picks tokens in a way that is not known";
    }
    if (!areInner(first, axes)) return "takes parts across tokens";
    const tail = [...first.tail];
    axes.forEach((axis, i) => {
      const place = axisOf(first, axis)! - first.axis - 1;
      const size = tail[place] ?? null;
      tail[place] =
        size === null || steps[i] !== 1 ? null : Math.max(0, bound(ends[i]!, size) - bound(starts[i]!, size));
    });
    return [{ ...first, tail }];
  },
};

/** An index as Slice takes it, within 0 and the size. */
function bound(index: number, size: number): number {
  return Math.min(size, Math.max(0, index < 0 ? index + size : index));
}

export const split: Operator = {
  what: "takes each token apart",
  rule: ({ node, view, first }) => {
    const axis = axisOf(first, intOf(node, "axis", 0));
    if (axis === undefined || axis <= first.axis) return "splits tokens from each other";
    const place = axis - first.axis - 1;
    const size = first.tail[place] ?? null;
    const sizes = intsOf(node, "split") ?? view.ints(node.input[1] ?? "");
    const part = (i: number) =>
      sizes ? (sizes[i] ?? null) : size !== null && size % node.output.length === 0 ? size / node.output.length : null;
    return node.output.map((_, i) => ({ ...first, tail: first.tail.map((old, at) => (at === place ? part(i) : old)) }));
  },
};
export const concat: Operator = {
  what: "puts parts of each token together",
  rule: ({ node, inputs, first }) => {
    const parts = given(inputs).filter((input) => input.kind === "tokens");
    const axis = axisOf(first, intOf(node, "axis", 0));
    if (axis === undefined || axis <= first.axis) return "puts tokens in a row";
    const same = (part: Tokens) =>
      part.axis === first.axis &&
      part.fold === first.fold &&
      part.last === first.last &&
      rankOf(part) === rankOf(first);
    if (parts.length < inputs.length || !parts.every(same)) return "joins values whose tokens lie on different axes";
    const place = axis - first.axis - 1;
    const sum = parts.reduce<number | null>((all, { tail }) => add(all, tail[place] ?? null), 0);
    return [{ ...first, tail: first.tail.map((size, at) => (at === place ? sum : size)) }];
  },
};
export const reshape: Operator = {
  what: "arranges each token",
  rule: ({ node, view, first }) => {
    const shape = view.ints(node.input[1] ?? "");
    if (!shape || intOf(node, "allowzero", 0) !== 0) return "reshapes tokens in a way that is not known";
    return one(reshaped(first, shape));
  },
};
export const transpose: Operator = {
  what: "arranges each token",
  rule: ({ node, first }) => {
    const perm = intsOf(node, "perm");
    if (perm?.length !== rankOf(first) || perm.slice(0, first.axis + 1).some((from, to) => from !== to))
      return "moves the axis of the tokens";
    return [{ ...first, tail: perm.slice(first.axis + 1).map((from) => first.tail[from - first.axis - 1] ?? null) }];
  },
};
export const unsqueeze: Operator = {
  what: "arranges each token",
  rule: ({ node, view, first }) => {
    const axes = axesOf(view, node);
    if (axes?.length !== 1) return "adds axes in a way that is not known";
    const at = axes[0]! < 0 ? axes[0]! + rankOf(first) + 1 : axes[0]!;
    // The last token without its axis gets it back.
    if (first.last === "dropped")
      return at === first.axis ? [{ ...first, last: "kept" }] : "takes the last token without its axis";
    if (at <= first.axis) return [{ ...first, axis: first.axis + 1 }];
    const place = at - first.axis - 1;
    return [{ ...first, tail: [...first.tail.slice(0, place), 1, ...first.tail.slice(place)] }];
  },
};
export const squeeze: Operator = {
  what: "arranges each token",
  rule: ({ node, view, first }) => {
    const axes = axesOf(view, node);
    const at = axes?.length === 1 ? axisOf(first, axes[0]!) : undefined;
    if (at === undefined || at === first.axis) return "takes axes away in a way that is not known";
    if (at < first.axis) return [{ ...first, axis: first.axis - 1 }];
    return [{ ...first, tail: first.tail.filter((_, i) => i !== at - first.axis - 1) }];
  },
};
export const product: Operator = {
  what: "product of weights that are not quantised",
  rule: ({ inputs, first }) => {
    const weights = inputs[1];
    if (weights?.kind !== "constant" || weights.dims?.length !== 2)
      return "multiplies tokens with what is no constant matrix";
    if (first.tail.length === 0) return "sums up over tokens";
    return [inner(first, weights.dims[1]!)];
  },
};
export const gemm: Operator = {
  what: "product of weights that are not quantised",
  rule: ({ node, inputs, first }) => {
    const [, weights, bias] = inputs;
    if (weights?.kind !== "constant" || weights.dims?.length !== 2 || intOf(node, "transA", 0) !== 0)
      return "multiplies tokens with what is no constant matrix";
    const columns = weights.dims[intOf(node, "transB", 0) === 0 ? 1 : 0]!;
    return one(broadcast([inner(first, columns), ...(bias ? [bias] : [])]));
  },
};
export const blockProduct: Operator = {
  what: "product of quantised weights",
  rule: ({ node, inputs, first }) =>
    inputs.slice(1).every((input) => input?.kind !== "tokens")
      ? [inner(first, intOf(node, "N", 0))]
      : "multiplies tokens with what is no constant matrix",
};
export const experts: Operator = {
  what: "experts, chosen by each token",
  rule: ({ inputs, first }) =>
    inputs.every((input, i) => (input?.kind === "tokens" ? i < 2 && input.fold === 1 : i !== 1))
      ? [first]
      : "has inputs that are not known",
};
export const top: Operator = {
  what: "chooses within each token",
  rule: ({ node, view, first }) => {
    const k = view.ints(node.input[1] ?? "")?.[0] ?? null;
    return within(first, [intOf(node, "axis", -1)], [inner(first, k), inner(first, k)]);
  },
};
export const rotation: Operator = {
  what: "rotates each token by its position",
  rule: ({ node, inputs, first }) => {
    const [, positions, cos, sin] = inputs;
    const single = positions?.kind === "tokens" && positions.tail.length === 0 && positions.axis === 1;
    const tables = cos?.kind === "constant" && sin?.kind === "constant";
    const plain = first.tail.length === 1 && first.axis === 1 && first.fold === 1 && first.last === "no";
    return single && tables && plain && intOf(node, "is_packed_batching", 0) === 0
      ? [first]
      : "rotates in a way that is not known";
  },
};

export function given(inputs: readonly (Layout | undefined)[]): Layout[] {
  return inputs.filter((input) => input !== undefined);
}

function one(layout: Layout | string): readonly Layout[] | string {
  return typeof layout === "string" ? layout : [layout];
}

function within(first: Tokens, axes: readonly number[], layouts: readonly Layout[]): readonly Layout[] | string {
  return areInner(first, axes) ? layouts : "works across tokens";
}

/** The same with another size of the last axis. */
function inner(layout: Tokens, size: number | null): Tokens {
  return { ...layout, tail: [...layout.tail.slice(0, -1), size] };
}

function axesOf(view: GraphView, node: NodeProto): number[] | undefined {
  return attributeOf(node, "axes") ? intsOf(node, "axes") : view.ints(node.input[1] ?? "");
}

function add(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}
