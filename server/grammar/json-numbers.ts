// Numbers between two bounds, as decimal digits.

import { choice, type Expression, nothing, optional, repeat, sequence, set, text } from "./expression.ts";
import { digit, fraction } from "./json-text.ts";

/** Digits behind the point: few enough that a number next to a bound is not read as the bound. */
const fractionDigits = 6;

/** Bounds of numbers that are not whole: so far out, six digits behind the point are still told apart. */
export const maxNumberBound = 1e9;

export interface Bounds {
  /** Whole numbers, or -Infinity and Infinity. */
  readonly min: number;
  readonly max: number;
  /** The bound itself does not count. */
  readonly aboveMin: boolean;
  readonly belowMax: boolean;
}

/** Whole numbers from `min` to `max`, both at most 2^53 - 1 in size or infinite. */
export function integerBetween(min: number, max: number): Expression {
  const largest = 999_999_999_999_999;
  const low = min === -Infinity ? -Math.max(largest, Math.abs(max) === Infinity ? 0 : Math.abs(max)) : min;
  const high = max === Infinity ? Math.max(largest, Math.abs(low)) : max;
  if (low > high) return nothing;
  const parts: Expression[] = [];
  if (high >= 0) parts.push(naturalBetween(Math.max(0, low), high));
  if (low < 0) parts.push(sequence(text("-"), naturalBetween(Math.max(1, -high), -low)));
  return choice(...parts);
}

/** Numbers with at most six digits behind the point. */
export function numberBetween({ min, max, aboveMin, belowMax }: Bounds): Expression {
  const low = min === -Infinity ? -maxNumberBound : min;
  const high = max === Infinity ? maxNumberBound : max;
  if (low > high) return nothing;
  const parts: Expression[] = [];
  if (high >= 0) {
    const open = { from: low >= 0 && aboveMin, to: belowMax };
    parts.push(magnitudeBetween(Math.max(0, low), high, open));
  }
  if (low < 0) {
    const open = { from: high < 0 ? belowMax : true, to: aboveMin };
    const size = magnitudeBetween(Math.max(0, -high), -low, open);
    parts.push(sequence(text("-"), size));
  }
  return choice(...parts.filter((part) => !(part.type === "choice" && part.items.length === 0)));
}

/** Numbers of no sign from `from` to `to`; `open` says which of the two is not meant itself. */
function magnitudeBetween(from: number, to: number, open: { from: boolean; to: boolean }): Expression {
  const zeros = sequence(text("."), repeat(text("0"), 1, fractionDigits));
  const parts: Expression[] = [];
  if (from < to) {
    parts.push(sequence(text(String(from)), open.from ? positiveFraction() : optional(fraction(fractionDigits))));
    if (from + 1 < to) parts.push(sequence(naturalBetween(from + 1, to - 1), optional(fraction(fractionDigits))));
    if (!open.to) parts.push(sequence(text(String(to)), optional(zeros)));
  } else if (!open.from && !open.to) parts.push(sequence(text(String(from)), optional(zeros)));
  return parts.length === 0 ? nothing : choice(...parts);
}

/** A point and digits that are not all zero. */
function positiveFraction(): Expression {
  const alternatives = Array.from({ length: fractionDigits }, (_, zeros) =>
    sequence(text("0".repeat(zeros)), set([0x31, 0x39]), repeat(digit, 0, fractionDigits - zeros - 1)),
  );
  return sequence(text("."), choice(...alternatives));
}

/** Whole numbers of no sign from `from` to `to`, without leading zeros. */
function naturalBetween(from: number, to: number): Expression {
  const parts: Expression[] = [];
  for (let low = BigInt(from), end = BigInt(to); low <= end; ) {
    const longest = 10n ** BigInt(String(low).length) - 1n;
    const high = longest < end ? longest : end;
    parts.push(sameLength(String(low), String(high)));
    low = high + 1n;
  }
  return choice(...parts);
}

function sameLength(low: string, high: string): Expression {
  if (low === high) return text(low);
  if (/^0*$/.test(low) && /^9*$/.test(high)) return repeat(digit, low.length, low.length);
  const [first, last] = [low.charCodeAt(0), high.charCodeAt(0)];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  if (low.length === 1) return set([first, last]);
  if (first === last) return sequence(text(low[0]!), sameLength(lowRest, highRest));
  const [zeros, nines] = ["0".repeat(lowRest.length), "9".repeat(lowRest.length)];
  const wholeFrom = lowRest === zeros ? first : first + 1;
  const wholeTo = highRest === nines ? last : last - 1;
  const parts: Expression[] = [];
  if (wholeFrom > first) parts.push(sequence(text(low[0]!), sameLength(lowRest, nines)));
  if (wholeFrom <= wholeTo)
    parts.push(sequence(set([wholeFrom, wholeTo]), repeat(digit, lowRest.length, lowRest.length)));
  if (wholeTo < last) parts.push(sequence(text(high[0]!), sameLength(zeros, highRest)));
  return choice(...parts);
}
