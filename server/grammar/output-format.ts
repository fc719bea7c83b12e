// What an answer can be asked to be made of, as plain data, and the grammar of each.

import { readEbnf } from "./ebnf.ts";
import { InvalidGrammarError, type Violation } from "./errors.ts";
import {
  choice,
  complement,
  type Expression,
  empty,
  type Grammar,
  nothing,
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
  /** JSON Schema of the arguments as JSON text; absent: any object. */
  readonly schema?: string;
  readonly end: string;
}

/** Calls of tools: one of `open`, a call, more with `between` before each, `close`; and all of it again behind `next`. */
export interface CallsFormat {
  readonly type: "calls";
  readonly open: readonly string[];
  readonly calls: readonly CallForm[];
  /** Absent: one call within `open` and `close`. */
  readonly between?: string;
  readonly close: string;
  /** Absent: all of it once. */
  readonly next?: string;
  /**
   * The answer may be text instead, or text with calls in it. `mark` is what every `open` begins with, and what stands in
   * no text; where it is "", an answer that begins as a call does is a call and nothing else. Absent: there is no text.
   */
  readonly free?: { readonly mark: string };
}

export type OutputFormat =
  /** JSON text of a JSON Schema. */
  | { readonly type: "json_schema"; readonly schema: string }
  | { readonly type: "json_object" }
  /** The whole text matches. */
  | { readonly type: "regex"; readonly pattern: string }
  /** EBNF with the rule `root`. */
  | { readonly type: "grammar"; readonly grammar: string }
  | CallsFormat;

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

function callsGrammar({ open, calls, between, close, next, free }: CallsFormat): Grammar {
  const rules = new Map(jsonRules);
  const problems: Violation[] = [];
  const written = calls.map(({ begin, schema, end }, i) => {
    try {
      const own =
        schema === undefined ? { root: anyObject, rules: jsonRules } : readJsonSchema(parsed(bounded(schema)));
      return sequence(text(begin), adopt(own, `tool ${i}: `, rules), text(end));
    } catch (error) {
      if (!(error instanceof InvalidGrammarError)) throw error;
      problems.push(
        ...error.violations.map(({ field, description }) => ({ field: `tools[${i}].parameters${field}`, description })),
      );
      return nothing;
    }
  });
  if (problems.length > 0) throw new InvalidGrammarError(problems);
  rules.set("call", choice(...written));
  const call = rule("call");
  const more = between === undefined ? empty : repeat(sequence(text(between), call), 0, Infinity);
  rules.set("calls", sequence(choice(...open.map(text)), call, more, text(close)));
  const block = rule("calls");
  if (free && free.mark !== "") {
    const prose: Expression = { type: "without", marks: [free.mark] };
    // Of calls that come once, nothing comes behind them.
    return {
      root: sequence(prose, next === undefined ? optional(block) : repeat(sequence(block, prose), 0, Infinity)),
      rules,
    };
  }
  const all = next === undefined ? block : sequence(block, repeat(sequence(text(next), block), 0, Infinity));
  return { root: free ? choice(proseUnlikeCalls(open, calls), all) : all, rules };
}

/** No text, or one that begins neither with a blank nor as a call does. */
function proseUnlikeCalls(open: readonly string[], calls: readonly CallForm[]): Expression {
  const begins = open.flatMap((before) => calls.map(({ begin }) => only([...(before + begin)][0]!)));
  const first = set(...complement([...begins, [0, 0x20]]));
  return optional(sequence(first, { type: "without", marks: [] }));
}

/** Takes the rules of one grammar into another's, under names of their own. @returns its beginning */
function adopt({ root, rules }: Grammar, prefix: string, into: Map<string, Expression>): Expression {
  const names = new Map([...rules.keys()].filter((name) => !jsonRules.has(name)).map((name) => [name, prefix + name]));
  for (const [name, own] of names) into.set(own, renamed(rules.get(name)!, names));
  return renamed(root, names);
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
