// Where the tokens lie in a value of the graph. A batch of ours is one row of tokens of many sequences, so an operator
// may stay as it is exactly when it treats every token by itself. For that, and for picking the tokens whose logits are
// wanted, one axis has to be followed through the graph.

/**
 * A value with one entry per token: [1, …, 1, tokens × fold, …tail].
 * `fold` is more than 1 where an axis of a token, such as its heads, has been merged into that of the tokens.
 */
export interface Tokens {
  readonly kind: "tokens";
  /** How many axes of size 1 lie before that of the tokens. */
  readonly axis: number;
  readonly fold: number;
  /** Sizes behind the axis of the tokens; null where not known. */
  readonly tail: readonly (number | null)[];
  /** Only the last token of a sequence was picked by the graph: "kept" as an axis of size 1, or "dropped" with its axis. */
  readonly last: "no" | "kept" | "dropped";
}

/** A value that is the same whatever the tokens are; sizes are null where not known. */
export interface Constant {
  readonly kind: "constant";
  readonly dims: readonly number[] | null;
}

export type Layout = Tokens | Constant;

export function tokens(axis: number, tail: readonly (number | null)[], fold = 1): Tokens {
  return { kind: "tokens", axis, fold, tail, last: "no" };
}

export function constant(dims: readonly number[] | null): Constant {
  return { kind: "constant", dims };
}

export function rankOf({ axis, tail }: Tokens): number {
  return axis + 1 + tail.length;
}

/** Items of one token; null where not known. */
export function sizeOf({ fold, tail }: Tokens): number | null {
  return tail.reduce<number | null>(
    (product, size) => (product === null || size === null ? null : product * size),
    fold,
  );
}

/** An axis counted from the front; undefined when the value has no such axis. */
export function axisOf(layout: Tokens, axis: number): number | undefined {
  const rank = rankOf(layout);
  const at = axis < 0 ? axis + rank : axis;
  return at >= 0 && at < rank ? at : undefined;
}

/** Whether every one of these axes lies within a token. */
export function areInner(layout: Tokens, axes: readonly number[]): boolean {
  return axes.every((axis) => (axisOf(layout, axis) ?? -1) > layout.axis);
}

/** What an elementwise operator makes of its inputs, or why it does not treat every token by itself. */
export function broadcast(inputs: readonly Layout[]): Tokens | string {
  const rows = inputs.filter((input) => input.kind === "tokens");
  const [first] = rows;
  if (first === undefined) return "has no tokens";
  const inner = first.tail.length;
  if (rows.some(({ tail, fold }) => tail.length !== inner || fold !== first.fold))
    return "joins values whose tokens lie on different axes";
  if (rows.some(({ last }) => last !== first.last)) return "joins the last token with all of them";
  if (first.last === "dropped") return "takes the last token without its axis";
  let axis = Math.max(...rows.map((row) => row.axis));
  const tails = rows.map(({ tail }) => tail);
  for (const input of inputs) {
    if (input.kind === "tokens") continue;
    if (input.dims === null) return "joins tokens with a constant whose sizes are not known";
    const outer = input.dims.slice(0, Math.max(0, input.dims.length - inner));
    if (outer.some((size) => size !== 1)) return "joins tokens with a constant that has an axis of tokens";
    axis = Math.max(axis, outer.length - 1);
    tails.push(input.dims.slice(outer.length));
  }
  const tail = first.tail.map((_, i) => widest(tails.map((sizes) => aligned(sizes, inner, i))));
  return { ...first, axis, tail };
}

/** The size at place `i` of `count`, counted as broadcasting does, from the back. */
function aligned(sizes: readonly (number | null)[], count: number, i: number): number | null {
  const at = i - (count - sizes.length);
  return at < 0 ? 1 : sizes[at]!;
}

function widest(sizes: readonly (number | null)[]): number | null {
  const more = sizes.find((size) => size !== null && size !== 1);
  return more ?? (sizes.includes(null) ? null : 1);
}

/** What Reshape makes of tokens, `shape` being constant, or why it is not known. 0 copies a size, -1 takes what is left. */
export function reshaped(layout: Tokens, shape: readonly number[]): Tokens | string {
  if (layout.last === "dropped") return "takes the last token without its axis";
  const size = sizeOf(layout);
  // The axis of the tokens is the first that can be longer than 1.
  const copies =
    shape[layout.axis] === 0 && shape.slice(0, layout.axis).every((length) => length === 0 || length === 1);
  const axis = copies ? layout.axis : shape.indexOf(-1);
  if (axis < 0 || shape.slice(0, axis).some((length, i) => length !== 1 && !(length === 0 && i < layout.axis)))
    return "reshapes tokens in a way that is not known";
  const inner = shape.slice(axis + 1).map((length, i) => {
    if (length !== 0) return length;
    const from = axis + 1 + i - (layout.axis + 1);
    return from >= 0 ? (layout.tail[from] ?? null) : null;
  });
  const known = inner.filter((length) => length !== -1);
  const product = known.includes(null) ? null : (known as number[]).reduce((all, length) => all * length, 1);
  if (copies) {
    const left = size === null || product === null ? null : size / layout.fold / product;
    return { ...layout, tail: inner.map((length) => (length === -1 ? left : length)) };
  }
  const fold = size === null || product === null || product === 0 ? Number.NaN : size / product;
  if (!Number.isInteger(fold) || fold < 1) return "reshapes tokens in a way that is not known";
  return { ...layout, axis, fold, tail: inner };
}
