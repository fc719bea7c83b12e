// A regular expression in JavaScript's notation as an expression. What looks around or remembers (lookahead, lookbehind,
// back references, word boundaries) is refused; laziness makes no difference to what matches.

import { InvalidGrammarError } from "./errors.ts";
import {
  choice,
  complement,
  type Expression,
  empty,
  nothing,
  type Range,
  repeat,
  sequence,
  set,
  text,
} from "./expression.ts";
import { only } from "./json-text.ts";

const maxCount = 10_000;
const maxDepth = 100;

export interface Pattern {
  readonly expression: Expression;
  /** It says itself that it matches from the very beginning, up to the very end. */
  readonly fromStart: boolean;
  readonly toEnd: boolean;
}

/** Text that the pattern matches as a whole. @throws InvalidGrammarError */
export const readRegex = (source: string): Expression => new RegexReader(source).read().expression;

/** Text in which the pattern matches somewhere, as JSON Schema has it. @throws InvalidGrammarError */
export function readSearch(source: string): Expression {
  const { expression, fromStart, toEnd } = new RegexReader(source).read();
  const anything = repeat(set([0, 0x10ffff]), 0, Infinity);
  return sequence(...(fromStart ? [] : [anything]), expression, ...(toEnd ? [] : [anything]));
}

const digits: readonly Range[] = [[0x30, 0x39]];
const words: readonly Range[] = [[0x30, 0x39], [0x41, 0x5a], only("_"), [0x61, 0x7a]];
const spaces: readonly Range[] = [
  [9, 13],
  ...[" ", "\u00a0", "\u1680", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff"].map(only),
  [0x2000, 0x200a],
];
const lineEnds: readonly Range[] = [only("\n"), only("\r"), [0x2028, 0x2029]];
const controls: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", "0": "\0" };

class RegexReader {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#characters = [...source];
  }

  read(): Pattern {
    const fromStart = this.#take("^");
    const first = this.#sequence();
    const alternatives = [first];
    let toEnd = this.#take("$");
    if (this.#peek() === "|") {
      if (fromStart || toEnd) {
        this.#refuse("has ^ or $ in one alternative only; put the alternatives into a group, as in ^(?:a|b)$.");
      }
      while (this.#take("|")) alternatives.push(this.#sequence());
      toEnd = false;
    }
    if (this.#peek() !== undefined) this.#refuse(`has ${JSON.stringify(this.#peek())} where nothing opens it.`);
    return { expression: choice(...alternatives), fromStart, toEnd };
  }

  #alternatives(): Expression {
    const items = [this.#sequence()];
    while (this.#take("|")) items.push(this.#sequence());
    return choice(...items);
  }

  #sequence(): Expression {
    const items: Expression[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
      if (next === "$" && this.#depth === 0 && this.#at === this.#characters.length - 1) break;
      items.push(this.#counted(this.#atom()));
    }
    return items.length === 0 ? empty : sequence(...items);
  }

  #counted(item: Expression): Expression {
    const next = this.#peek();
    let counts: [number, number] | undefined;
    if (next === "*") counts = [0, Infinity];
    else if (next === "+") counts = [1, Infinity];
    else if (next === "?") counts = [0, 1];
    if (counts) this.#at++;
    else if (next === "{") counts = this.#braces();
    if (!counts) return item;
    this.#take("?");
    const again = this.#peek();
    if (again !== undefined && "*+?{".includes(again)) this.#refuse("has a count behind a count; use a group.");
    return repeat(item, ...counts);
  }

  #braces(): [number, number] {
    const end = this.#characters.indexOf("}", this.#at);
    const inside = this.#characters.slice(this.#at + 1, end < 0 ? undefined : end).join("");
    const match = /^(\d{1,9})(,(\d{0,9}))?$/.exec(inside);
    if (end < 0 || !match) this.#refuse("has a { that is no count; write \\{ for the character.");
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === "" ? Infinity : Number(match[3]);
    if (min > max) this.#refuse(`counts from ${min} down to ${max}; put the smaller number first.`);
    if (min > maxCount || (max !== Infinity && max > maxCount)) this.#refuse(`counts beyond ${maxCount}; use less.`);
    this.#at = end + 1;
    return [min, max];
  }

  #atom(): Expression {
    const character = this.#characters[this.#at++]!;
    switch (character) {
      case "(":
        return this.#group();
      case "[":
        return this.#class();
      case ".":
        return set(...complement(lineEnds));
      case "\\": {
        const escaped = this.#escape(false);
        return typeof escaped === "string" ? text(escaped) : set(...escaped);
      }
      case "^":
      case "$":
        return this.#refuse(`has ${character} inside; it can stand at the very beginning or end only.`);
      case "*":
      case "+":
      case "?":
        return this.#refuse(`has ${character} with nothing before it; write \\${character} for the character.`);
      case "]":
      case "{":
      case "}":
        return this.#refuse(`has a lone ${character}; write \\${character} for the character.`);
      default:
        return text(character);
    }
  }

  #group(): Expression {
    if (++this.#depth > maxDepth) this.#refuse(`has groups nested deeper than ${maxDepth}.`);
    if (this.#take("?")) {
      const kind = this.#characters.slice(this.#at, this.#at + 2).join("");
      if (kind.startsWith(":")) this.#at++;
      else if (kind.startsWith("<") && kind !== "<=" && kind !== "<!") {
        const end = this.#characters.indexOf(">", this.#at);
        if (end < 0) this.#refuse("has a group whose name does not end.");
        this.#at = end + 1;
      } else this.#refuse("looks ahead or behind, or sets flags, which is not possible here; say it otherwise.");
    }
    const inside = this.#alternatives();
    if (!this.#take(")")) this.#refuse("has a ( without its ).");
    this.#depth--;
    return inside;
  }

  #class(): Expression {
    const negated = this.#take("^");
    const ranges: Range[] = [];
    while (!this.#take("]")) {
      const from = this.#member();
      if (this.#peek() === "-" && this.#characters[this.#at + 1] !== "]" && this.#peek(1) !== undefined) {
        this.#at++;
        const to = this.#member();
        if (typeof from !== "string" || typeof to !== "string") this.#refuse("has a range whose end is a class.");
        const range: Range = [from.codePointAt(0)!, to.codePointAt(0)!];
        if (range[0] > range[1]) this.#refuse(`has the range ${from}-${to}, which is out of order.`);
        ranges.push(range);
      } else ranges.push(...(typeof from === "string" ? [only(from)] : from));
    }
    const members = set(...(negated ? complement(ranges) : ranges));
    return members.type === "set" && members.ranges.length === 0 ? nothing : members;
  }

  #member(): string | readonly Range[] {
    const character = this.#characters[this.#at++];
    if (character === undefined) this.#refuse("has a [ without its ].");
    return character === "\\" ? this.#escape(true) : character;
  }

  #escape(inClass: boolean): string | readonly Range[] {
    const character = this.#characters[this.#at++];
    if (character === undefined) this.#refuse("ends in a backslash.");
    const classes: Readonly<Record<string, readonly Range[]>> = { d: digits, w: words, s: spaces };
    const lower = character.toLowerCase();
    const members = classes[lower];
    if (members) return character === lower ? members : complement(members);
    if (inClass && character === "b") return "\b";
    const control = controls[character];
    if (control !== undefined && !(character === "0" && /\d/.test(this.#peek() ?? ""))) return control;
    if (character === "x") return this.#code(/^[0-9a-fA-F]{2}/);
    if (character === "u") return this.#take("{") ? this.#code(/^[0-9a-fA-F]{1,6}(?=\})/, 1) : this.#utf16();
    if (character === "c" && /[a-zA-Z]/.test(this.#peek() ?? "")) {
      return String.fromCharCode(this.#characters[this.#at++]!.charCodeAt(0) % 32);
    }
    if (/[a-zA-Z0-9]/.test(character)) {
      this.#refuse(`has \\${character}, which is not possible here; boundaries, back references and \\p{…} are not.`);
    }
    return character;
  }

  /** \uXXXX, and two of them where they are the halves of one character. */
  #utf16(): string {
    const first = this.#code(/^[0-9a-fA-F]{4}/);
    if (first < "\ud800" || first > "\udfff") return first;
    const second = this.#take("\\") && this.#take("u") ? this.#code(/^[0-9a-fA-F]{4}/) : "";
    const both = [...(first + second)];
    if (both.length !== 1 || second === "") this.#refuse("has half a character.");
    return both[0]!;
  }

  #code(form: RegExp, behind = 0): string {
    const digitsOf = form.exec(this.#characters.slice(this.#at, this.#at + 7).join(""))?.[0];
    const code = Number.parseInt(digitsOf ?? "", 16);
    if (digitsOf === undefined || code > 0x10ffff) this.#refuse("has a \\x or \\u without the digits of a character.");
    this.#at += digitsOf.length + behind;
    return String.fromCodePoint(code);
  }

  #peek(ahead = 0): string | undefined {
    return this.#characters[this.#at + ahead];
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #refuse(description: string): never {
    throw new InvalidGrammarError([{ field: `character ${this.#at}`, description }]);
  }
}
