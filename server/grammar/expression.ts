// What texts a grammar stands for, as a tree. Everything that a caller can ask for, a JSON schema, a regular expression,
// a grammar of his own or calls of tools, becomes one of these. It knows no tokens and no syntax.

/** Code points from the first to the second, both included. */
export type Range = readonly [number, number];

export type Expression =
  /** One character of these. Surrogates are no characters. Ranges ascend and do not touch. */
  | { readonly type: "set"; readonly ranges: readonly Range[] }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "sequence"; readonly items: readonly Expression[] }
  /** One of them; of none of them nothing can be made. */
  | { readonly type: "choice"; readonly items: readonly Expression[] }
  /** `max` may be Infinity. */
  | { readonly type: "repeat"; readonly item: Expression; readonly min: number; readonly max: number }
  | { readonly type: "rule"; readonly name: string }
  /** Any bytes in which none of these texts occurs. */
  | { readonly type: "without"; readonly marks: readonly string[] };

export interface Grammar {
  readonly root: Expression;
  readonly rules: ReadonlyMap<string, Expression>;
}

/** Fulfilled by no text at all. */
export const nothing: Expression = { type: "choice", items: [] };
export const empty: Expression = { type: "sequence", items: [] };

export const text = (value: string): Expression => ({ type: "text", text: value });
export const rule = (name: string): Expression => ({ type: "rule", name });

/** One character of the ranges, which may come in any order and overlap. */
export const set = (...ranges: Range[]): Expression => ({ type: "set", ranges: union(ranges) });

export function sequence(...items: Expression[]): Expression {
  if (items.some(isNothing)) return nothing;
  const flat = items.flatMap((item) => (item.type === "sequence" ? item.items : [item]));
  return flat.length === 1 ? flat[0]! : { type: "sequence", items: flat };
}

export function choice(...items: Expression[]): Expression {
  const flat = items.flatMap((item) => (item.type === "choice" ? item.items : [item]));
  return flat.length === 1 ? flat[0]! : { type: "choice", items: flat };
}

export function repeat(item: Expression, min: number, max: number): Expression {
  if (max === 0) return empty;
  if (isNothing(item)) return min === 0 ? empty : nothing;
  if (min === 1 && max === 1) return item;
  // (x*)* is x*, and so on: the fewer ways there are to read a text, the less there is to keep in mind.
  if (item.type === "repeat" && item.max === Infinity && item.min <= 1 && (min <= 1 || item.min === 0) && max > 1) {
    return repeat(item.item, Math.min(item.min, min), Infinity);
  }
  return { type: "repeat", item, min, max };
}

export const optional = (item: Expression): Expression => repeat(item, 0, 1);

export function isNothing(expression: Expression): boolean {
  if (expression.type === "set") return expression.ranges.length === 0;
  return expression.type === "choice" && expression.items.length === 0;
}

const firstSurrogate = 0xd800;
const lastSurrogate = 0xdfff;
const lastCodePoint = 0x10ffff;

/** Ascending, apart from each other, without surrogates. */
export function union(ranges: readonly Range[]): Range[] {
  const whole = ranges.flatMap(([from, to]): Range[] => {
    if (to < firstSurrogate || from > lastSurrogate) return [[from, to]];
    return [
      [from, firstSurrogate - 1],
      [lastSurrogate + 1, to],
    ];
  });
  const sorted = whole.filter(([from, to]) => from <= to).sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = joined.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}

/** All characters but these. */
export function complement(ranges: readonly Range[]): Range[] {
  const gaps: Range[] = [];
  let next = 0;
  for (const [from, to] of union(ranges)) {
    gaps.push([next, from - 1]);
    next = to + 1;
  }
  gaps.push([next, lastCodePoint]);
  return union(gaps);
}

/** Those in both. */
export const intersection = (a: readonly Range[], b: readonly Range[]): Range[] =>
  complement([...complement(a), ...complement(b)]);
