// Ranges of characters as ranges of the bytes that write them in UTF-8, as RFC 3629 has it: no surrogates, nothing
// written longer than it need be.

import type { Range } from "./expression.ts";

/** For each byte of a character its lowest and highest value. */
export type ByteRanges = readonly Range[];

const lengthsEnd = [0x7f, 0x7ff, 0xffff, 0x10ffff]; // the last code point that takes one byte, two, …

/** Alternatives that together write just the characters of the range, in which there are no surrogates. */
export function utf8Ranges([from, to]: Range): ByteRanges[] {
  const found: ByteRanges[] = [];
  let start = from;
  for (const [index, end] of lengthsEnd.entries()) {
    if (start > to) break;
    if (start > end) continue;
    const last = Math.min(to, end);
    split(start, last, index, found);
    start = last + 1;
  }
  return found;
}

/** Of characters of one length: cuts where a leading byte changes unless all that may follow it is meant. */
function split(from: number, to: number, followers: number, found: ByteRanges[]): void {
  for (let count = followers; count > 0; count--) {
    const mask = (1 << (6 * count)) - 1;
    if ((from & ~mask) === (to & ~mask)) continue;
    if ((from & mask) !== 0) {
      split(from, from | mask, followers, found);
      split((from | mask) + 1, to, followers, found);
      return;
    }
    if ((to & mask) !== mask) {
      split(from, (to & ~mask) - 1, followers, found);
      split(to & ~mask, to, followers, found);
      return;
    }
  }
  const [low, high] = [encode(from, followers), encode(to, followers)];
  found.push(low.map((byte, i): Range => [byte, high[i]!]));
}

function encode(code: number, followers: number): number[] {
  if (followers === 0) return [code];
  const lead = [0, 0xc0, 0xe0, 0xf0][followers]!;
  const bytes = [lead | (code >> (6 * followers))];
  for (let i = followers - 1; i >= 0; i--) bytes.push(0x80 | ((code >> (6 * i)) & 0x3f));
  return bytes;
}
