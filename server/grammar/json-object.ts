// An object of a JSON schema as an expression: its properties in the schema's order, then others where they are allowed.

import {
  choice,
  complement,
  type Expression,
  empty,
  nothing,
  repeat,
  rule,
  sequence,
  set,
  text,
} from "./expression.ts";
import type { SchemaReader } from "./json-schema.ts";
import { anyString, bracketed, comma, objectOf, only, pair, stringOf } from "./json-text.ts";
import { plainRanges } from "./plain-text.ts";
import { isRecord, pointer, type Schema, shown } from "./schema-parts.ts";

const maxNameLength = 200; // characters

export function objectRule(reader: SchemaReader, schema: Schema, at: string, depth: number): Expression {
  const { properties = {}, required = [], additionalProperties } = schema;
  if (!isRecord(properties)) return reader.wrong(`${at}/properties`, "must be an object of schemas.");
  if (!Array.isArray(required) || !required.every((name) => typeof name === "string")) {
    return reader.wrong(`${at}/required`, "must be a list of names.");
  }
  const names = Object.keys(properties);
  for (const name of names.filter((long) => long.length > maxNameLength)) {
    reader.wrong(`${at}/properties`, `has a name of ${name.length} characters; at most ${maxNameLength} are kept to.`);
  }
  const values = names.map((name) => reader.read(properties[name], `${at}/properties/${pointer(name)}`, depth + 1));
  // Of an object that names nothing, anything may be in it; beside names, only what is asked for.
  const open = additionalProperties ?? schema.properties === undefined;
  const others = open === false ? nothing : reader.read(open, `${at}/additionalProperties`, depth + 1);
  const more = open !== false;
  const missing = [...new Set(required as string[])].filter((name) => !names.includes(name));
  if (missing.length > 0 && !more) {
    return reader.wrong(`${at}/required`, `names ${shown(missing)}, which properties does not describe.`);
  }
  const all = [
    ...names.map((name, i) => ({ name, value: values[i]!, needed: required.includes(name) })),
    ...missing.map((name) => ({ name, value: others, needed: true })),
  ];
  const min = reader.count(schema, "minProperties", at, 0);
  const max = reader.count(schema, "maxProperties", at, Infinity);
  const needed = all.filter((property) => property.needed).length;
  if (min > needed && !(min === 1 && all.length === 0)) {
    reader.wrong(`${at}/minProperties`, "cannot be kept to beyond what is required; list names in required.");
  }
  if (reader.problems.length > 0) return nothing;
  if (all.length === 0) return more ? objectOf(anyString, others, min, max) : bracketed("{", empty, "}");
  if (max < all.length || (more && max !== Infinity)) {
    reader.wrong(`${at}/maxProperties`, "cannot be kept to beside properties; leave it out.");
  }
  const keys = all.map(({ name }) => name);
  const rest = more ? pair(otherKey(keys), others) : nothing;
  return bracketed("{", listing(reader, all, rest), "}");
}

interface Property {
  readonly name: string;
  readonly value: Expression;
  readonly needed: boolean;
}

/** Each place has two rules, one for when something stands before it: so a list of a thousand is a thousand rules. */
function listing(reader: SchemaReader, properties: readonly Property[], rest: Expression): Expression {
  const object = reader.rules.size;
  const name = (index: number, begun: boolean) => `object ${object}, ${index}${begun ? " begun" : ""}`;
  properties.forEach(({ name: key, value, needed }, i) => {
    const written = pair(text(JSON.stringify(key)), value);
    for (const begun of [false, true]) {
      const present = sequence(...(begun ? [comma] : []), written, rule(name(i + 1, true)));
      reader.rules.set(name(i, begun), needed ? present : choice(present, rule(name(i + 1, begun))));
    }
  });
  const more = repeat(sequence(comma, rest), 0, Infinity);
  reader.rules.set(name(properties.length, true), more);
  reader.rules.set(name(properties.length, false), choice(empty, sequence(rest, more)));
  return rule(name(0, false));
}

/** A key of plain characters that is none of the names, however they could be written. */
function otherKey(names: readonly string[]): Expression {
  const plain = repeat(set(...plainRanges), 0, Infinity);
  const after = (prefixLength: number, group: readonly (readonly string[])[]): Expression => {
    const ended = group.some((name) => name.length === prefixLength);
    const next = new Map<string, (readonly string[])[]>();
    for (const name of group) {
      const character = name[prefixLength];
      if (character !== undefined) next.set(character, [...(next.get(character) ?? []), name]);
    }
    const taken = complement([...complement(plainRanges), ...[...next.keys()].map(only)]);
    return choice(
      ...(ended ? [] : [empty]),
      sequence(set(...taken), plain),
      ...[...next].map(([character, longer]) => sequence(text(character), after(prefixLength + 1, longer))),
    );
  };
  // A name that plain characters cannot write cannot be met.
  const met = names.map((name) => [...name]).filter((name) => name.every((c) => !/["\\\p{Cc}]/u.test(c)));
  return stringOf(after(0, met));
}
