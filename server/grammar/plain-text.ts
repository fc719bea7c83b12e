// Characters that may stand in any text and in any JSON string as they are. Most tokens are made of nothing else, so a
// place in a grammar that takes so many of any of them need not be asked about each token.

import { complement, type Expression, type Range, union } from "./expression.ts";

/** No control characters, no quote, no backslash, no line and paragraph separators. */
export const plainRanges: readonly Range[] = union(
  complement([
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
    [0x7f, 0x9f],
    [0x2028, 0x2029],
  ]),
);

/** Whether it may be any one plain character. */
export function takesAnyPlain(expression: Expression, rules: ReadonlyMap<string, Expression>, depth = 8): boolean {
  if (depth === 0) return false;
  switch (expression.type) {
    case "set":
      return plainRanges.every(([from, to]) => expression.ranges.some(([low, high]) => low <= from && to <= high));
    case "choice":
      return expression.items.some((item) => takesAnyPlain(item, rules, depth - 1));
    case "rule": {
      const named = rules.get(expression.name);
      return named !== undefined && takesAnyPlain(named, rules, depth - 1);
    }
    default:
      return false;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** How many characters, where they are all plain; else undefined. */
export function plainLength(bytes: Uint8Array): number | undefined {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return undefined;
  }
  let length = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (!plainRanges.some(([from, to]) => from <= code && code <= to)) return undefined;
    length++;
  }
  // A decoder drops a byte order mark.
  return length > 0 && !(bytes[0] === 0xef && bytes[1] === 0xbb) ? length : undefined;
}
