// The JSON of a type, in a column or a param. It never knows whether it is required.
import type { Data, DataMap } from "../data/data.ts";
import { nameText, typeName } from "../data/python-words.ts";
import { type DataType, type Property, SCALAR_NAMES, type ScalarName } from "../schema.ts";
import { isMap, type Problems } from "./signature-problems.ts";

/** How deep arrays, objects and maps may lie in each other: a signature must fit into a message, which nests 100 deep. */
export const MAX_TYPE_DEPTH = 32;

/** The type of an object with `type`, and `items`, `values` or `properties`; undefined when it is none. */
export function readType(spec: DataMap, at: string, depth: number, problems: Problems): DataType | undefined {
  if (depth > MAX_TYPE_DEPTH) return problems.add(at, `types are nested more than ${MAX_TYPE_DEPTH} deep`);
  const type = spec.get("type");
  const inner = (key: "items" | "values") => {
    const item = spec.get(key);
    if (isMap(item)) return readType(item, `${at}.${key}`, depth + 1, problems);
    return problems.add(at, `${JSON.stringify(type)} needs ${key}, an object with a type`);
  };
  switch (type) {
    case "array": {
      const items = inner("items");
      return items && { kind: "array", items };
    }
    case "map": {
      // MLflow reads a map of such vectors as one vector.
      const values = inner("values");
      return values && (values.kind === "sparkml_vector" ? values : { kind: "map", values });
    }
    case "object":
      return readObject(spec, at, depth, problems);
    case "any":
    case "sparkml_vector":
      return { kind: type };
  }
  if (isScalarName(type)) return { kind: "scalar", name: type };
  return problems.add(
    at,
    type === undefined
      ? "a type is missing"
      : `${typeof type === "string" ? nameText(type) : typeName(type)} is no type`,
  );
}

export function readObject(spec: DataMap, at: string, depth: number, problems: Problems): DataType | undefined {
  const specs = spec.get("properties");
  if (!isMap(specs) || specs.size === 0)
    return problems.add(at, '"object" needs properties, an object with at least one entry');
  const properties: Property[] = [];
  for (const [name, property] of specs) {
    const place = `${at}.properties.${name}`;
    if (!isMap(property)) problems.add(place, `an object with a type is wanted, not ${typeName(property)}`);
    else if (name === "cls") problems.add(place, "MLflow cannot read a property of this name");
    else {
      const type = readType(property, place, depth + 1, problems);
      const required = property.has("required") ? property.get("required") : true;
      if (type?.kind === "sparkml_vector") problems.add(place, "a property cannot be a vector of Spark's");
      else if (required !== null && typeof required !== "boolean") problems.add(place, "required is true or false");
      else if (type) properties.push({ name, type, required: required === true });
    }
  }
  return { kind: "object", properties: properties.sort((a, b) => byCodePoint(a.name, b.name)) };
}

/** As MLflow orders its keys; what follows it in a column or property is set on the result. */
export function typeData(type: DataType): Map<string, Data> {
  switch (type.kind) {
    case "scalar":
      return new Map([["type", type.name]]);
    case "array":
      return new Map<string, Data>([["type", "array"]]).set("items", typeData(type.items));
    case "map":
      return new Map<string, Data>([["type", "map"]]).set("values", typeData(type.values));
    case "object": {
      const properties = type.properties.map(({ name, type, required }): [string, Data] => [
        name,
        typeData(type).set("required", required),
      ]);
      return new Map<string, Data>([["type", "object"]]).set("properties", new Map(properties));
    }
    case "any":
    case "sparkml_vector":
      return new Map([["type", type.kind]]);
  }
}

/** Python's order of texts, which differs from JavaScript's beyond U+FFFF. */
export function byCodePoint(a: string, b: string): number {
  for (let i = 0; ; i++) {
    const x = a.codePointAt(i) ?? -1;
    const y = b.codePointAt(i) ?? -1;
    if (x !== y) return x - y;
    if (x === -1) return 0;
  }
}

export function isScalarName(value: Data | undefined): value is ScalarName {
  return (SCALAR_NAMES as readonly unknown[]).includes(value);
}
