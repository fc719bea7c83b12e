// JSON as Python's json module reads and writes it: the text of signatures, example files and scoring requests. It never
// knows what a text is about.
import type { Data, DataMap } from "./data.ts";

/** What JSON can hold. Numbers without a fraction are written as integers. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** `json.dumps(value)`: ", " and ": " between, everything but ASCII escaped. */
export function pythonJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (value !== null && typeof value === "object")
    return `{${Object.entries(value)
      .map(([key, item]) => `${jsonText(key)}: ${pythonJson(item)}`)
      .join(", ")}}`;
  return typeof value === "string" ? jsonText(value) : JSON.stringify(value);
}

/** `json.dumps(data)`. @throws TypeError for bytes, datetimes, arrays and tables, as Python does. */
export function writePythonJson(data: Data): string {
  if (data === null) return "null";
  switch (typeof data) {
    case "boolean":
    case "bigint":
      return String(data);
    case "string":
      return jsonText(data);
    case "number":
      if (Number.isFinite(data)) return pythonFloat(data);
      return Number.isNaN(data) ? "NaN" : data > 0 ? "Infinity" : "-Infinity";
  }
  if (Array.isArray(data)) return `[${data.map(writePythonJson).join(", ")}]`;
  if (!(data instanceof Map)) throw new TypeError(`JSON cannot hold a ${data.constructor.name}`);
  const entries: string[] = [];
  for (const [key, value] of data as DataMap) entries.push(`${jsonText(key)}: ${writePythonJson(value)}`);
  return `{${entries.join(", ")}}`;
}

/** `repr` of a finite float: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e16 on. */
export function pythonFloat(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e16) {
    const text = String(value);
    return text.includes(".") ? text : `${text}.0`;
  }
  if (size === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [digits, exponent] = value.toExponential().split("e");
  return `${digits}e${exponent?.replace(/^([+-])(\d)$/, "$10$2")}`;
}

/** What is no JSON to Python, or too much of it; says where. */
export class JsonError extends Error {
  override readonly name = "JsonError";
}

export interface ParseOptions {
  /** How deep lists and objects may lie in each other. Default 200. */
  readonly maxDepth?: number;
  /** How many values there may be in all. Default ten million. */
  readonly maxValues?: number;
}

/**
 * `json.loads(text)`: whole numbers of any size stay whole, NaN, Infinity and -Infinity are numbers, halves of surrogate
 * pairs stay, and of two equal keys the last counts, at the place of the first.
 * @throws JsonError
 */
export function parsePythonJson(text: string, options: ParseOptions = {}): Data {
  return new Parser(text, options).document();
}

/** Digits of the longest int that Python reads. */
const MAX_INT_DIGITS = 4300;

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const CONSTANT = /NaN|-?Infinity|null|true|false/y;
const CONSTANTS: ReadonlyMap<string, Data> = new Map<string, Data>([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
  ["null", null],
  ["true", true],
  ["false", false],
]);
const PLAIN_TEXT = /[ !#-[\]-\uffff]*/y;
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|["\\/bfnrt])/y;
const ESCAPES: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

class Parser {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #maxValues: number;
  #at = 0;
  #values = 0;

  constructor(text: string, { maxDepth = 200, maxValues = 10_000_000 }: ParseOptions) {
    this.#text = text;
    this.#maxDepth = maxDepth;
    this.#maxValues = maxValues;
  }

  document(): Data {
    this.#skipSpace();
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#error("nothing may follow the value");
    return value;
  }

  #value(depth: number): Data {
    if (++this.#values > this.#maxValues) throw this.#error(`there are more than ${this.#maxValues} values`);
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x22:
        return this.#string();
      case 0x5b:
        return this.#list(depth + 1);
      case 0x7b:
        return this.#object(depth + 1);
    }
    return this.#number() ?? this.#constant();
  }

  #list(depth: number): Data[] {
    const items: Data[] = [];
    this.#open(depth);
    if (this.#take(0x5d)) return items;
    for (;;) {
      items.push(this.#value(depth));
      this.#skipSpace();
      if (this.#take(0x5d)) return items;
      if (!this.#take(0x2c)) throw this.#error('a list goes on with "," or ends with "]"');
      this.#skipSpace();
    }
  }

  #object(depth: number): Map<string, Data> {
    const entries = new Map<string, Data>();
    this.#open(depth);
    if (this.#take(0x7d)) return entries;
    for (;;) {
      if (this.#text.charCodeAt(this.#at) !== 0x22) throw this.#error("a key is a text in double quotes");
      const key = this.#string();
      this.#skipSpace();
      if (!this.#take(0x3a)) throw this.#error('a ":" follows a key');
      this.#skipSpace();
      entries.set(key, this.#value(depth));
      this.#skipSpace();
      if (this.#take(0x7d)) return entries;
      if (!this.#take(0x2c)) throw this.#error('an object goes on with "," or ends with "}"');
      this.#skipSpace();
    }
  }

  #open(depth: number): void {
    if (depth > this.#maxDepth) throw this.#error(`it is nested more than ${this.#maxDepth} deep`);
    this.#at++;
    this.#skipSpace();
  }

  #string(): string {
    let result = "";
    for (this.#at++; ; ) {
      const plain = this.#match(PLAIN_TEXT);
      if (plain) result = result === "" ? plain[0] : result + plain[0];
      if (this.#take(0x22)) return result;
      const found = this.#match(ESCAPE);
      if (found === undefined) throw this.#error(this.#badText());
      const letter = found[0].charAt(1);
      result += found[1] ? String.fromCharCode(Number.parseInt(found[1], 16)) : (ESCAPES[letter] ?? letter);
    }
  }

  #badText(): string {
    if (this.#at >= this.#text.length) return "a text has no end";
    return this.#text.charCodeAt(this.#at) === 0x5c ? "no such escape" : "a control character in a text";
  }

  #number(): bigint | number | undefined {
    const start = this.#at;
    const found = this.#match(NUMBER);
    if (found === undefined) return undefined;
    const [text, fraction, exponent] = found;
    if (fraction !== undefined || exponent !== undefined) return Number(text);
    if (text.length < 16) return BigInt(Number(text));
    if (text.length - (text.startsWith("-") ? 1 : 0) <= MAX_INT_DIGITS) return BigInt(text);
    this.#at = start;
    throw this.#error(`an integer has more than ${MAX_INT_DIGITS} digits`);
  }

  #constant(): Data {
    const found = this.#match(CONSTANT);
    const value = found && CONSTANTS.get(found[0]);
    if (value === undefined) throw this.#error("a value is expected");
    return value;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at += found[0].length;
    return found;
  }

  #take(character: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (; ; this.#at++) {
      const character = this.#text.charCodeAt(this.#at);
      if (character !== 0x20 && character !== 0x0a && character !== 0x0d && character !== 0x09) return;
    }
  }

  #error(message: string): JsonError {
    const before = this.#text.slice(0, this.#at);
    const line = before.split("\n").length;
    const column = this.#at - before.lastIndexOf("\n");
    return new JsonError(`${message}: line ${line}, column ${column}`);
  }
}

const PLAIN_ASCII = /^[ !#-[\]-~]*$/;

function jsonText(text: string): string {
  return PLAIN_ASCII.test(text) ? `"${text}"` : JSON.stringify(text).replace(/[^\0-~]/g, escaped);
}

/** Half of a surrogate pair at a time, as Python does; DEL too, which JSON.stringify leaves as it is. */
function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
