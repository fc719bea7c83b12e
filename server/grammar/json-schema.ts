// A JSON schema as a grammar: every text of the grammar is JSON that the schema accepts. Not every such JSON is a text of
// it: properties come in the schema's order, ones that it does not name only where `additionalProperties` says so, and
// white space and digits are bounded. What cannot be kept to is refused, each keyword by its place.

import { InvalidGrammarError, type Violation } from "./errors.ts";
import { choice, type Expression, type Grammar, isNothing, nothing, repeat, rule, text } from "./expression.ts";
import { integerBetween, maxNumberBound, numberBetween } from "./json-numbers.ts";
import { objectRule } from "./json-object.ts";
import {
  anyArray,
  anyCharacter,
  anyInteger,
  anyNumber,
  anyObject,
  anyString,
  anyValue,
  escaped,
  jsonRules,
  listOf,
  stringOf,
} from "./json-text.ts";
import { readRegex, readSearch } from "./regex.ts";
import { annotations, formats, harmless, keywordsOf, known, type TypeName, typeNames } from "./schema-keywords.ts";
import { allTogether, apart, isRecord, pointer, type Schema, shown, typesOf } from "./schema-parts.ts";

const maxDepth = 64;
const maxProblems = 50;
const maxCount = 10_000;

/** @param schema parsed JSON. @throws InvalidGrammarError with every violation, fields are JSON pointers */
export function readJsonSchema(schema: unknown): Grammar {
  const reader = new SchemaReader(schema);
  const root = reader.read(schema, "", 0);
  if (reader.problems.length > 0) throw new InvalidGrammarError(reader.problems);
  return { root, rules: reader.rules };
}

export class SchemaReader {
  readonly rules = new Map<string, Expression>(jsonRules);
  readonly problems: Violation[] = [];
  readonly #document: unknown;

  constructor(document: unknown) {
    this.#document = document;
  }

  /** @param at JSON pointer of the schema */
  read(schema: unknown, at: string, depth: number): Expression {
    const expression = this.#read(schema, at, depth);
    if (expression.type === "rule" || expression.type === "text" || isNothing(expression)) return expression;
    // A list writes its items in two places, and so on within: as a rule, each is there once.
    const name = `part ${this.rules.size}`;
    this.rules.set(name, expression);
    return rule(name);
  }

  #read(schema: unknown, at: string, depth: number): Expression {
    if (schema === true) return anyValue;
    if (schema === false) return nothing;
    if (!isRecord(schema)) return this.wrong(at, "must be a schema: an object, true or false.");
    if (depth > maxDepth) return this.wrong(at, `is nested deeper than ${maxDepth} schemas; use $ref.`);
    this.#checkKeywords(schema, at);
    if (schema.$ref !== undefined) return this.#reference(schema, at, depth);
    if (schema.const !== undefined || schema.enum !== undefined) return this.#values(schema, at);
    if (schema.allOf !== undefined) return this.#all(schema, at, depth);
    if (schema.anyOf !== undefined || schema.oneOf !== undefined) return this.#any(schema, at, depth);
    const types = typesOf(schema);
    if (types === undefined) return this.wrong(`${at}/type`, `must be one or more of ${typeNames.join(", ")}.`);
    if (types === "any") return anyValue;
    return choice(...types.map((type) => this.#typed(type, schema, at, depth)));
  }

  /** Notes a violation. @returns what stands for the faulty part */
  wrong(field: string, description: string): Expression {
    if (this.problems.length < maxProblems) this.problems.push({ field: field === "" ? "/" : field, description });
    return nothing;
  }

  /** A count that is none is noted. */
  count(schema: Schema, keyword: string, at: string, otherwise: number): number {
    const value = schema[keyword];
    if (value === undefined) return otherwise;
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxCount) return value as number;
    this.wrong(`${at}/${keyword}`, `must be a whole number from 0 to ${maxCount}; found ${shown(value)}.`);
    return otherwise;
  }

  #checkKeywords(schema: Schema, at: string): void {
    for (const [keyword, value] of Object.entries(schema)) {
      if (known.has(keyword) || value === undefined) continue;
      if (keyword in harmless && harmless[keyword] === value) continue;
      // Names of a vendor's own.
      if (keyword.startsWith("x-")) continue;
      this.wrong(`${at}/${pointer(keyword)}`, "is a keyword that an answer cannot be kept to here; leave it out.");
    }
  }

  #reference(schema: Schema, at: string, depth: number): Expression {
    this.#alone(schema, "$ref", at);
    const { $ref } = schema;
    if (typeof $ref !== "string" || !/^#(\/|$)/.test($ref)) {
      return this.wrong(`${at}/$ref`, "must be a place in this schema, such as #/$defs/name.");
    }
    const target = this.#target($ref);
    if (target === undefined) return this.wrong(`${at}/$ref`, `names ${shown($ref)}, which is not there.`);
    const name = `schema ${$ref}`;
    if (!this.rules.has(name)) {
      this.rules.set(name, nothing); // for those that come back to it
      this.rules.set(name, this.read(target, decodeURI($ref).slice(1), depth + 1));
    }
    return rule(name);
  }

  #target($ref: string): unknown {
    let path: string;
    try {
      path = decodeURI($ref.slice(1));
    } catch {
      return undefined;
    }
    return path
      .split("/")
      .slice(1)
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
      .reduce<unknown>((value, part) => {
        if (Array.isArray(value)) return value[Number(part)] as unknown;
        return isRecord(value) && Object.hasOwn(value, part) ? value[part] : undefined;
      }, this.#document);
  }

  #values(schema: Schema, at: string): Expression {
    const beside = Object.keys(schema).filter(
      (key) => !annotations.has(key) && !["const", "enum", "type"].includes(key),
    );
    for (const key of beside) this.wrong(`${at}/${pointer(key)}`, "cannot stand beside const or enum; leave one out.");
    if (schema.enum !== undefined && !Array.isArray(schema.enum)) return this.wrong(`${at}/enum`, "must be a list.");
    const listed = schema.enum as unknown[] | undefined;
    const texts = new Set((listed ?? [schema.const]).map((value) => JSON.stringify(value)));
    if (schema.const !== undefined && listed) {
      for (const value of texts) if (value !== JSON.stringify(schema.const)) texts.delete(value);
    }
    const types = schema.type === undefined ? "any" : typesOf(schema);
    if (types === undefined) return this.wrong(`${at}/type`, `must be one or more of ${typeNames.join(", ")}.`);
    const fitting = [...texts].filter(
      (value) => types === "any" || types.some((type) => hasType(JSON.parse(value), type)),
    );
    return choice(...fitting.map(text));
  }

  #any(schema: Schema, at: string, depth: number): Expression {
    const keyword = schema.anyOf !== undefined ? "anyOf" : "oneOf";
    const parts = schema[keyword];
    if (!Array.isArray(parts) || parts.length === 0)
      return this.wrong(`${at}/${keyword}`, "must be a list of schemas.");
    this.#alone(schema, keyword, at, ["type"]);
    if (
      keyword === "oneOf" &&
      !parts.every((a, i) => parts.slice(i + 1).every((b) => apart(a, b, (s) => this.#resolved(s))))
    ) {
      this.wrong(
        `${at}/oneOf`,
        "has schemas that one value might fulfil together; use anyOf, or tell them apart by type or by a required constant.",
      );
    }
    const types = schema.type === undefined ? undefined : schema.type;
    return choice(
      ...(parts as unknown[]).map((part, i) => {
        const typed = types !== undefined && isRecord(part) && part.type === undefined && part.$ref === undefined;
        if (types !== undefined && !typed && !(isRecord(part) && shown(part.type) === shown(types))) {
          return this.wrong(`${at}/type`, `cannot stand beside ${keyword} whose schemas have types of their own.`);
        }
        return this.read(typed ? { ...part, type: types } : part, `${at}/${keyword}/${i}`, depth + 1);
      }),
    );
  }

  #all(schema: Schema, at: string, depth: number): Expression {
    const { allOf, ...rest } = schema;
    if (!Array.isArray(allOf) || allOf.length === 0) return this.wrong(`${at}/allOf`, "must be a list of schemas.");
    const merged = allTogether([rest, ...(allOf as unknown[]).map((part) => this.#resolved(part))]);
    if (merged === undefined) {
      return this.wrong(`${at}/allOf`, "says the same keyword more than once; write it as one schema.");
    }
    return this.read(merged, at, depth + 1);
  }

  /** What a schema that is nothing but a reference stands for. */
  #resolved(schema: unknown): unknown {
    let at = schema;
    for (let hops = 0; hops < 16 && isRecord(at) && typeof at.$ref === "string"; hops++) {
      if (Object.keys(at).some((key) => key !== "$ref" && !annotations.has(key))) return at;
      at = this.#target(at.$ref);
    }
    return at;
  }

  #alone(schema: Schema, keyword: string, at: string, also: readonly string[] = []): void {
    for (const key of Object.keys(schema)) {
      if (key === keyword || annotations.has(key) || also.includes(key) || !known.has(key)) continue;
      this.wrong(`${at}/${pointer(key)}`, `cannot stand beside ${keyword}; put it into the schema there.`);
    }
  }

  #typed(type: TypeName, schema: Schema, at: string, depth: number): Expression {
    const asked = keywordsOf[type].some((keyword) => schema[keyword] !== undefined);
    switch (type) {
      case "null":
        return text("null");
      case "boolean":
        return choice(text("true"), text("false"));
      case "string":
        return asked ? this.#string(schema, at) : anyString;
      case "integer":
        return asked ? this.#number(schema, at, true) : anyInteger;
      case "number":
        return asked ? this.#number(schema, at, false) : anyNumber;
      case "array":
        return asked ? this.#array(schema, at, depth) : anyArray;
      case "object":
        return asked ? objectRule(this, schema, at, depth) : anyObject;
    }
  }

  #string(schema: Schema, at: string): Expression {
    const { pattern, format } = schema;
    const min = this.count(schema, "minLength", at, 0);
    const max = this.count(schema, "maxLength", at, Infinity);
    if (min > max) return this.wrong(`${at}/maxLength`, `is less than minLength, which is ${min}.`);
    if (pattern === undefined && format === undefined) return stringOf(repeat(anyCharacter, min, max));
    const keyword = pattern === undefined ? "format" : "pattern";
    for (const other of ["format", "minLength", "maxLength"]) {
      if (other !== keyword && schema[other] !== undefined) {
        this.wrong(`${at}/${other}`, `cannot be kept to together with ${keyword}; leave one out.`);
      }
    }
    const source = keyword === "pattern" ? pattern : formats[String(format)];
    if (typeof source !== "string") {
      const kept = keyword === "pattern" ? "a text" : `one of ${Object.keys(formats).join(", ")}`;
      return this.wrong(`${at}/${keyword}`, `must be ${kept}; found ${shown(schema[keyword])}.`);
    }
    try {
      return stringOf(escaped(keyword === "pattern" ? readSearch(source) : readRegex(source)));
    } catch (error) {
      if (!(error instanceof InvalidGrammarError)) throw error;
      return this.wrong(`${at}/pattern`, error.violations.map((v) => `at ${v.field} ${v.description}`).join(" "));
    }
  }

  #number(schema: Schema, at: string, whole: boolean): Expression {
    const limit = whole ? Number.MAX_SAFE_INTEGER : maxNumberBound;
    const bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].map((keyword) => {
      const value = schema[keyword];
      if (value === undefined) return undefined;
      const fits = typeof value === "number" && Math.abs(value) <= limit && (whole || Number.isInteger(value));
      if (fits) return value;
      const kind = whole ? "a number" : "a whole number";
      this.wrong(`${at}/${keyword}`, `must be ${kind} of at most ${limit} in size; found ${shown(value)}.`);
      return undefined;
    });
    const [min = -Infinity, max = Infinity, above = -Infinity, below = Infinity] = bounds;
    if (whole) {
      const low = Math.max(Math.ceil(min), Math.floor(above) + 1);
      return integerBetween(low, Math.min(Math.floor(max), Math.ceil(below) - 1));
    }
    const numbers = numberBetween({
      min: Math.max(min, above),
      max: Math.min(max, below),
      aboveMin: above >= min,
      belowMax: below <= max,
    });
    return numbers;
  }

  #array(schema: Schema, at: string, depth: number): Expression {
    const { items, prefixItems = [] } = schema;
    if (!Array.isArray(prefixItems)) return this.wrong(`${at}/prefixItems`, "must be a list of schemas.");
    if (Array.isArray(items)) return this.wrong(`${at}/items`, "must be one schema; for a list use prefixItems.");
    const min = this.count(schema, "minItems", at, 0);
    const max = this.count(schema, "maxItems", at, Infinity);
    const first = prefixItems.map((item, i) => this.read(item, `${at}/prefixItems/${i}`, depth + 1));
    const rest = items === undefined ? anyValue : this.read(items, `${at}/items`, depth + 1);
    return min > max ? nothing : listOf(first, rest, min, max);
  }
}

function hasType(value: unknown, type: TypeName): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isRecord(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}
