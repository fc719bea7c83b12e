// JSON as expressions: white space, strings, numbers, any value. White space is bounded, and so are the digits of a
// number: a model can write strings and lists without end, but never blanks or digits.

import {
  choice,
  complement,
  type Expression,
  intersection,
  optional,
  type Range,
  repeat,
  rule,
  sequence,
  set,
  text,
} from "./expression.ts";

/** What may stand between two signs: nothing, a blank, or a line's end and its indentation. */
export const space = rule("space");
export const anyString = rule("string");
export const anyValue = rule("value");
export const anyObject = rule("object");
export const anyArray = rule("array");
export const anyNumber = rule("number");
export const anyInteger = rule("integer");
/** A character of a string, escaped where it must be. */
export const anyCharacter = rule("character");

export const digit = set([0x30, 0x39]);
const hex = set([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]);
const quoted: readonly Range[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
];
/** Characters that a string holds as they are. */
const bare = complement(quoted);

export function stringOf(characters: Expression): Expression {
  return sequence(text('"'), characters, text('"'));
}

/** A whole number of at most so many digits. */
function natural(digits: number): Expression {
  return choice(text("0"), sequence(set([0x31, 0x39]), repeat(digit, 0, digits - 1)));
}

export function fraction(digits: number): Expression {
  return sequence(text("."), repeat(digit, 1, digits));
}

function exponent(): Expression {
  return sequence(set(only("e"), only("E")), optional(set(only("+"), only("-"))), repeat(digit, 1, 2));
}

/** Four hexadecimal digits that are no surrogate. */
function hexOfCharacter(): Expression {
  const others = set([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]);
  return choice(sequence(others, hex, hex, hex), sequence(set(only("d"), only("D")), set([0x30, 0x37]), hex, hex));
}

export function only(character: string): Range {
  const code = character.codePointAt(0)!;
  return [code, code];
}

/** `key: value` */
export const pair = (key: Expression, value: Expression): Expression =>
  sequence(key, text(":"), optional(text(" ")), value);

export const comma: Expression = sequence(text(","), space);

export function objectOf(key: Expression, value: Expression, min: number, max: number): Expression {
  return bracketed("{", listed(pair(key, value), min, max), "}");
}

/** `first` in this order, then more of `rest`; `min` and `max` count all. Those of `first` beyond `min` may be missing. */
export function listOf(first: readonly Expression[], rest: Expression, min: number, max: number): Expression {
  let tail: Expression =
    first.length === 0
      ? listed(rest, min, max)
      : repeat(sequence(comma, rest), Math.max(0, min - first.length), Math.max(0, max - first.length));
  for (let i = Math.min(first.length, max) - 1; i >= 0; i--) {
    const from = sequence(...(i > 0 ? [comma] : []), first[i]!, tail);
    tail = i < min ? from : optional(from);
  }
  return bracketed("[", tail, "]");
}

function listed(item: Expression, min: number, max: number): Expression {
  if (max < 1) return repeat(item, 0, 0);
  const some = sequence(item, repeat(sequence(comma, item), Math.max(0, min - 1), max - 1));
  return min === 0 ? optional(some) : some;
}

export function bracketed(open: string, inside: Expression, close: string): Expression {
  return sequence(text(open), space, inside, space, text(close));
}

/** What writes in a JSON string the texts that an expression stands for. */
export function escaped(expression: Expression): Expression {
  switch (expression.type) {
    case "text":
      return text(JSON.stringify(expression.text).slice(1, -1));
    case "set": {
      const escapes = intersection(expression.ranges, quoted).flatMap(([from, to]) =>
        Array.from({ length: to - from + 1 }, (_, i) =>
          text(JSON.stringify(String.fromCodePoint(from + i)).slice(1, -1)),
        ),
      );
      return choice(
        ...[set(...intersection(expression.ranges, bare))].filter((s) => s.type !== "set" || s.ranges.length > 0),
        ...escapes,
      );
    }
    case "sequence":
      return sequence(...expression.items.map(escaped));
    case "choice":
      return choice(...expression.items.map(escaped));
    case "repeat":
      return repeat(escaped(expression.item), expression.min, expression.max);
    default:
      return expression;
  }
}

/** Rules for every grammar of JSON. */
export const jsonRules: ReadonlyMap<string, Expression> = new Map<string, Expression>([
  [
    "space",
    optional(
      choice(
        text(" "),
        sequence(text("\n"), repeat(set([0x20, 0x20]), 0, 20)),
        sequence(text("\n"), repeat(set([9, 9]), 1, 8)),
      ),
    ),
  ],
  [
    "character",
    choice(
      set(...bare),
      sequence(text("\\"), choice(set(...[...'"\\/bfnrt'].map(only)), sequence(text("u"), hexOfCharacter()))),
    ),
  ],
  ["string", stringOf(repeat(anyCharacter, 0, Infinity))],
  ["integer", sequence(optional(text("-")), natural(15))],
  ["number", sequence(optional(text("-")), natural(15), optional(fraction(15)), optional(exponent()))],
  ["object", objectOf(anyString, anyValue, 0, Infinity)],
  ["array", listOf([], anyValue, 0, Infinity)],
  ["value", choice(...["object", "array", "string", "number"].map(rule), ...["true", "false", "null"].map(text))],
]);
