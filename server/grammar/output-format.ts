// What an answer can be asked to be made of, as plain data, and the grammar of each.

import { readEbnf } from "./ebnf.ts";
import { InvalidGrammarError } from "./errors.ts";
import {
  choice,
  complement,
  type Expression,
  empty,
  type Grammar,
  optional,
  repeat,
  rule,
  sequence,
  set,
  text,
} from "./expression.ts";
import { readJsonSchema } from "./json-schema.ts";
import { anyObject, jsonRules, only } from "./json-text.ts";
import { readRegex } from "./regex.ts";

/** One call as it is written: `begin`, JSON that fits the schema, `end`. */
export interface CallForm {
  readonly begin: string;
  /** JSON Schema of the arguments, parsed; undefined for any object. */
  readonly schema?: unknown;
  readonly end: string;
}

export type OutputFormat =
  /** JSON text of a JSON Schema. */
  | { readonly type: "json_schema"; readonly schema: string }
  | { readonly type: "json_object" }
  /** The whole text matches. */
  | { readonly type: "regex"; readonly pattern: string }
  /** EBNF with the rule `root`. */
  | { readonly type: "grammar"; readonly grammar: string }
  /**
   * Calls of tools: `open`, calls with `between` them, `close`; and again, `between` them, where `many` says so. With
   * `free` text may stand before, between and after, in which none of the `marks` occurs; a mark begins what `open` and a
   * call's `begin` are together, and what follows it is a call.
   */
  | {
      readonly type: "calls";
      readonly open: string;
      readonly calls: readonly CallForm[];
      readonly between: string;
      readonly close: string;
      /** Calls within one `open` and `close`. */
      readonly several: boolean;
      /** `open` and `close` more than once. */
      readonly many: boolean;
      readonly free: boolean;
      readonly marks: readonly string[];
      /** With `free`: calls are either the whole answer or not there. */
      readonly alone: boolean;
    };

/** Longest source, in characters. */
export const maxSource = 64 << 10;

/** @throws InvalidGrammarError with every violation */
export function grammarOf(format: OutputFormat): Grammar {
  switch (format.type) {
    case "json_object":
      return { root: anyObject, rules: jsonRules };
    case "json_schema":
      return readJsonSchema(parsed(bounded(format.schema)));
    case "regex":
      return { root: readRegex(bounded(format.pattern)), rules: new Map() };
    case "grammar":
      return readEbnf(bounded(format.grammar));
    case "calls":
      return callsGrammar(format);
  }
}

function bounded(source: string): string {
  if (source.length <= maxSource) return source;
  throw new InvalidGrammarError([
    { field: "", description: `has ${source.length} characters; at most ${maxSource} are read.` },
  ]);
}

function parsed(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw new InvalidGrammarError([{ field: "", description: `is not JSON: ${(error as Error).message}.` }]);
  }
}

function callsGrammar(format: OutputFormat & { type: "calls" }): Grammar {
  const rules = new Map(jsonRules);
  const calls = format.calls.map(({ begin, schema, end }, i) => {
    const { root, rules: own } = schema === undefined ? { root: anyObject, rules: jsonRules } : readJsonSchema(schema);
    // Rules of a schema are named by their places in it.
    const names = new Map([...own.keys()].filter((name) => !jsonRules.has(name)).map((name) => [name, `${i} ${name}`]));
    for (const [name, own_] of names) rules.set(own_, renamed(own.get(name)!, names));
    return sequence(text(begin), renamed(root, names), text(end));
  });
  rules.set("call", choice(...calls));
  const call = rule("call");
  const more = format.several ? repeat(sequence(text(format.between), call), 0, Infinity) : empty;
  rules.set("calls", sequence(text(format.open), call, more, text(format.close)));
  const block = rule("calls");
  const again = (between: Expression) => (format.many ? repeat(sequence(between, block), 0, Infinity) : empty);
  if (!format.free) return { root: sequence(block, again(format.several ? empty : text(format.between))), rules };
  const free: Expression = { type: "without", marks: format.marks };
  const root = format.alone
    ? choice(unlessBegun(format), sequence(block, again(text(format.between))))
    : sequence(free, format.many ? repeat(sequence(block, free), 0, Infinity) : choice(empty, sequence(block, free)));
  return { root, rules };
}

/** No text, or one that begins neither with a blank nor as a call does. */
function unlessBegun({ open, calls }: OutputFormat & { type: "calls" }): Expression {
  const first = complement([...calls.map(({ begin }) => only([...(open + begin)][0]!)), [0, 0x20]]);
  return optional(sequence(set(...first), { type: "without", marks: [] }));
}

function renamed(expression: Expression, names: ReadonlyMap<string, string>): Expression {
  switch (expression.type) {
    case "rule":
      return rule(names.get(expression.name) ?? expression.name);
    case "sequence":
    case "choice":
      return { ...expression, items: expression.items.map((item) => renamed(item, names)) };
    case "repeat":
      return { ...expression, item: renamed(expression.item, names) };
    default:
      return expression;
  }
}
