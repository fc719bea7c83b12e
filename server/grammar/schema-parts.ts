// What schemas say about each other: whether two can never hold together, and several as one. Pure.

import { annotations, keywordsOf, type TypeName, typeNames } from "./schema-keywords.ts";

export type Schema = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Types that a value may have; "any" where nothing is said. Without `type` those that the other keywords speak of.
 * Undefined where `type` is none.
 */
export function typesOf(schema: Schema): readonly TypeName[] | "any" | undefined {
  const { type } = schema;
  if (type === undefined) {
    const spoken = (["object", "array", "string", "number"] as const).filter((name) =>
      keywordsOf[name].some((keyword) => schema[keyword] !== undefined),
    );
    return spoken.length === 0 ? "any" : spoken;
  }
  const names = Array.isArray(type) ? type : [type];
  const fine = names.length > 0 && names.every((name) => typeNames.includes(name as TypeName));
  if (!fine) return undefined;
  const unique = [...new Set(names as TypeName[])];
  // Every integer is a number.
  return unique.includes("number") ? unique.filter((name) => name !== "integer") : unique;
}

/** Whether no value fulfils both, as far as it can be seen: by type, by constants, or by a property that both require. */
export function apart(a: unknown, b: unknown, resolve: (schema: unknown) => unknown, depth = 4): boolean {
  const [left, right] = [resolve(a), resolve(b)];
  if (left === false || right === false) return true;
  if (!isRecord(left) || !isRecord(right) || depth === 0) return false;
  const [leftValues, rightValues] = [valuesOf(left), valuesOf(right)];
  if (leftValues && rightValues) return !leftValues.some((value) => rightValues.includes(value));
  const [leftTypes, rightTypes] = [statedTypes(left, leftValues), statedTypes(right, rightValues)];
  if (leftTypes && rightTypes && !leftTypes.some((type) => rightTypes.includes(type))) return true;
  if (!onlyObject(leftTypes) || !onlyObject(rightTypes)) return false;
  return requiredOf(left).some((name) => {
    if (!requiredOf(right).includes(name)) return false;
    return apart(propertyOf(left, name), propertyOf(right, name), resolve, depth - 1);
  });
}

/** Values that may be, each as JSON text whose keys are in the order in which they stand. */
function valuesOf(schema: Schema): string[] | undefined {
  // Objects and lists that are equal may be written in more than one way.
  const listed =
    schema.const !== undefined ? [schema.const] : Array.isArray(schema.enum) ? (schema.enum as unknown[]) : [];
  if (listed.length === 0 || listed.some((value) => typeof value === "object" && value !== null)) return undefined;
  return listed.map((value) => JSON.stringify(value));
}

function statedTypes(schema: Schema, values: readonly string[] | undefined): string[] | undefined {
  if (values) return values.map((value) => (value === "null" ? "null" : typeof JSON.parse(value)));
  if (schema.type === undefined) return undefined;
  const types = typesOf(schema);
  if (types === undefined || types === "any") return undefined;
  return types.map((type) => (type === "integer" ? "number" : type));
}

const onlyObject = (types: readonly string[] | undefined) => types?.length === 1 && types[0] === "object";

const requiredOf = (schema: Schema): unknown[] =>
  Array.isArray(schema.required) ? (schema.required as unknown[]) : [];

function propertyOf(schema: Schema, name: unknown): unknown {
  const { properties } = schema;
  return isRecord(properties) && Object.hasOwn(properties, String(name)) ? properties[String(name)] : true;
}

/** One schema that says what all of them say; undefined where they would have to be weighed against each other. */
export function allTogether(parts: readonly unknown[]): Schema | undefined {
  const merged: Record<string, unknown> = {};
  // What is not named is refused unless it is allowed, in one object; each of several would refuse the others' properties.
  const speaking = parts.filter((part) => !isRecord(part) || Object.keys(part).some((key) => !annotations.has(key)));
  for (const part of speaking) {
    if (part === true) continue;
    if (!isRecord(part)) return undefined;
    for (const [key, value] of Object.entries(part)) {
      if (key === "additionalProperties" && speaking.length > 1) return undefined;
      if (annotations.has(key)) merged[key] ??= value;
      else if (!Object.hasOwn(merged, key)) merged[key] = value;
      else if (key === "type" && merged.type === value) continue;
      else if (key === "required" && Array.isArray(value) && Array.isArray(merged.required)) {
        merged.required = [...new Set([...(merged.required as unknown[]), ...(value as unknown[])])];
      } else if (key === "properties" && isRecord(value) && isRecord(merged.properties)) {
        if (Object.keys(value).some((name) => Object.hasOwn(merged.properties as Schema, name))) return undefined;
        merged.properties = { ...merged.properties, ...value };
      } else return undefined;
    }
  }
  return merged;
}

/** A key as it stands in a JSON pointer. */
export const pointer = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

export function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? "nothing";
  return json.length > 80 ? `${json.slice(0, 77)}…` : json;
}
