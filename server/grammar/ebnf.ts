// A grammar as text, in the notation of llama.cpp's GBNF and of XGrammar: `name ::= expression`, with "text", [a-z],
// [^"], ".", groups, |, *, +, ?, {2}, {2,}, {2,5} and # comments. It begins with the rule `root`.

import { InvalidGrammarError, type Violation } from "./errors.ts";
import {
  choice,
  complement,
  type Expression,
  empty,
  type Grammar,
  type Range,
  repeat,
  rule,
  sequence,
  set,
  text,
} from "./expression.ts";
import { only } from "./json-text.ts";

const maxCount = 10_000;
const maxDepth = 100;

/** @throws InvalidGrammarError */
export function readEbnf(source: string): Grammar {
  const reader = new EbnfReader(tokens(source));
  const rules = reader.read();
  if (!rules.has("root")) {
    throw new InvalidGrammarError([{ field: "", description: "has no rule root; write root ::= … as its beginning." }]);
  }
  return { root: rule("root"), rules };
}

interface Token {
  /** "name", "define", "text", "class", "count", or the sign itself. */
  readonly type: string;
  readonly value: string;
  readonly line: number;
}

const forms: readonly (readonly [string, RegExp])[] = [
  ["", /(?:[ \t\r\n]+|#[^\n]*)+/y],
  ["define", /::=/y],
  ["name", /[A-Za-z_][A-Za-z0-9_-]*/y],
  ["text", /"(?:[^"\\\n]|\\[^\n])*"/y],
  ["class", /\[(?:[^\]\\\n]|\\[^\n])*\]/y],
  ["count", /\{\s*\d{1,9}\s*(?:,\s*\d{0,9}\s*)?\}/y],
  ["sign", /[()|*+?.]/y],
];

function tokens(source: string): Token[] {
  const found: Token[] = [];
  let line = 1;
  for (let at = 0; at < source.length; ) {
    const match = forms.flatMap(([type, form]) => {
      form.lastIndex = at;
      const value = form.exec(source)?.[0];
      return value === undefined ? [] : [{ type: type === "sign" ? value : type, value }];
    })[0];
    if (!match) refuse(line, `has ${JSON.stringify(source.slice(at, at + 10))}, which is no part of a grammar here.`);
    if (match.type !== "") found.push({ ...match, line });
    line += match.value.split("\n").length - 1;
    at += match.value.length;
  }
  return found;
}

class EbnfReader {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(list: readonly Token[]) {
    this.#tokens = list;
  }

  read(): Map<string, Expression> {
    const rules = new Map<string, Expression>();
    const problems: Violation[] = [];
    while (this.#at < this.#tokens.length) {
      const name = this.#take("name");
      if (!name || !this.#take("define")) this.#refuse("must be a rule: name ::= expression.");
      if (rules.has(name.value)) {
        problems.push({
          field: `line ${name.line}`,
          description: `defines ${name.value} again; use | for alternatives.`,
        });
      }
      rules.set(name.value, this.#alternatives());
    }
    if (problems.length > 0) throw new InvalidGrammarError(problems);
    return rules;
  }

  #alternatives(): Expression {
    const items = [this.#sequence()];
    while (this.#take("|")) items.push(this.#sequence());
    return choice(...items);
  }

  #sequence(): Expression {
    const items: Expression[] = [];
    for (let item = this.#atom(); item; item = this.#atom()) {
      let counted: Expression = item;
      for (let counts = this.#counts(); counts; counts = this.#counts()) counted = repeat(counted, ...counts);
      items.push(counted);
    }
    return items.length === 0 ? empty : sequence(...items);
  }

  #counts(): [number, number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    const count = this.#take("count");
    if (!count) return undefined;
    const [min = "", max] = count.value.slice(1, -1).split(",");
    const counts: [number, number] = [
      Number(min),
      max === undefined ? Number(min) : max.trim() === "" ? Infinity : Number(max),
    ];
    if (counts[0] > counts[1]) this.#refuse(`counts from ${counts[0]} down to ${counts[1]}; put the smaller first.`);
    if (counts[0] > maxCount || (counts[1] !== Infinity && counts[1] > maxCount)) {
      this.#refuse(`counts beyond ${maxCount}; use less.`);
    }
    return counts;
  }

  #atom(): Expression | undefined {
    // A name before ::= is the next rule.
    if (this.#tokens[this.#at]?.type === "name" && this.#tokens[this.#at + 1]?.type === "define") return undefined;
    const name = this.#take("name");
    if (name) return rule(name.value);
    const literal = this.#take("text");
    if (literal)
      return text(
        this.#characters(literal.value.slice(1, -1))
          .map(({ character }) => character)
          .join(""),
      );
    const members = this.#take("class");
    if (members) return this.#class(members.value.slice(1, -1));
    if (this.#take(".")) return set([0, 0x10ffff]);
    if (!this.#take("(")) return undefined;
    if (++this.#depth > maxDepth) this.#refuse(`nests groups deeper than ${maxDepth}.`);
    const inside = this.#alternatives();
    if (!this.#take(")")) this.#refuse("has a ( without its ).");
    this.#depth--;
    return inside;
  }

  #class(inside: string): Expression {
    const negated = inside.startsWith("^");
    const characters = this.#characters(negated ? inside.slice(1) : inside);
    const ranges: Range[] = [];
    for (let i = 0; i < characters.length; i++) {
      const [from, dash, to] = characters.slice(i, i + 3);
      if (to && dash!.character === "-" && !dash!.escaped) {
        const range: Range = [from!.character.codePointAt(0)!, to.character.codePointAt(0)!];
        if (range[0] > range[1])
          this.#refuse(`has the range ${from!.character}-${to.character}, which is out of order.`);
        ranges.push(range);
        i += 2;
      } else ranges.push(only(from!.character));
    }
    return set(...(negated ? complement(ranges) : ranges));
  }

  #characters(source: string): { character: string; escaped: boolean }[] {
    const form = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|u\{([0-9a-fA-F]{1,6})\}|(.))|(.)/gsu;
    return [...source.matchAll(form)].map(([, x, u, U, braced, named, plain]) => {
      if (plain !== undefined) return { character: plain, escaped: false };
      const digits = x ?? u ?? U ?? braced;
      const code = digits === undefined ? undefined : Number.parseInt(digits, 16);
      if (code !== undefined && (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))) {
        this.#refuse(`has \\u${digits}, which is no character.`);
      }
      if (code !== undefined) return { character: String.fromCodePoint(code), escaped: true };
      const controls: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", "0": "\0" };
      const known = controls[named!];
      if (known === undefined && /[A-Za-z0-9]/.test(named!)) this.#refuse(`has \\${named}, which is unknown here.`);
      return { character: known ?? named!, escaped: true };
    });
  }

  #take(type: string): Token | undefined {
    const token = this.#tokens[this.#at];
    if (token?.type !== type) return undefined;
    this.#at++;
    return token;
  }

  #refuse(description: string): never {
    return refuse((this.#tokens[this.#at] ?? this.#tokens.at(-1))?.line ?? 1, description);
  }
}

function refuse(line: number, description: string): never {
  throw new InvalidGrammarError([{ field: `line ${line}`, description }]);
}
