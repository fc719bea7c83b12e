// A signature's JSON, read as MLflow reads it and written as MLflow writes it. It never knows the file that the texts
// stand in.
import { ApiError, type FieldViolation, invalidFields } from "@modelwire/proto";
import type { Data, DataMap } from "./data.ts";
import { DateTime } from "./data.ts";
import { enforceValue } from "./enforce/enforce-value.ts";
import { Findings, Misfit } from "./enforce/findings.ts";
import { paramValue, pythonType, UnfitParam } from "./param-value.ts";
import { isoDatetime } from "./python-datetime.ts";
import { JsonError, parsePythonJson, writePythonJson } from "./python-json.ts";
import {
  type ColumnSpec,
  type DataType,
  type ParamSpec,
  type Property,
  SCALAR_NAMES,
  type ScalarName,
  type Schema,
  type Signature,
  type TensorSpec,
} from "./schema.ts";
import { tensorDtype } from "./schema-dtype.ts";
import type { SignatureJson } from "./signature.ts";

/** How deep arrays, objects and maps may lie in each other: a signature must fit into a message, which nests 100 deep. */
export const MAX_TYPE_DEPTH = 32;

/** Mistakes told of one signature; the rest is counted. */
const MAX_VIOLATIONS = 100;

/** @throws ApiError MODEL_INVALID with everything that MLflow would not read, by its place in the JSON. */
export function readSignature({ inputs, outputs, params }: SignatureJson): Signature {
  const problems = new Problems();
  const signature = {
    inputs: readPart(inputs, "inputs", problems, readSchema),
    outputs: readPart(outputs, "outputs", problems, readSchema),
    params: readPart(params, "params", problems, readParams),
  };
  problems.check();
  if (signature.inputs === undefined && signature.outputs === undefined && signature.params === undefined)
    throw new ApiError("MODEL_INVALID", "a signature has inputs, outputs or params; this one has none of them");
  return signature;
}

/** An empty list of params is written as none, as MLflow does. */
export function writeSignature({ inputs, outputs, params }: Signature): SignatureJson {
  return {
    inputs: inputs === undefined ? null : writePythonJson(schemaData(inputs)),
    outputs: outputs === undefined ? null : writePythonJson(schemaData(outputs)),
    params: params === undefined || params.length === 0 ? null : writePythonJson(params.map(paramData)),
  };
}

class Problems {
  readonly #violations: FieldViolation[] = [];
  #more = 0;

  add(field: string, description: string): undefined {
    if (this.#violations.length < MAX_VIOLATIONS) this.#violations.push({ field, description });
    else this.#more++;
  }

  check(): void {
    if (this.#more > 0) this.#violations.push({ field: "", description: `${this.#more} further mistakes` });
    if (this.#violations.length > 0) throw invalidFields(this.#violations, "MODEL_INVALID");
  }
}

function readPart<T>(
  text: string | null,
  field: string,
  problems: Problems,
  read: (json: readonly Data[], field: string, problems: Problems) => T | undefined,
): T | undefined {
  if (text === null || text === "") return undefined;
  try {
    const json = parsePythonJson(text);
    if (isList(json)) return read(json, field, problems);
    return problems.add(field, `a list is wanted, not ${pythonType(json)}`);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return problems.add(field, `no JSON: ${error.message}`);
  }
}

function readSchema(items: readonly Data[], field: string, problems: Problems): Schema | undefined {
  if (items.length === 0) return problems.add(field, "a schema has at least one column or tensor");
  const columns: ColumnSpec[] = [];
  const tensors: TensorSpec[] = [];
  for (const [i, item] of items.entries()) {
    const at = `${field}[${i}]`;
    if (!isMap(item)) problems.add(at, `a column is an object with a type, not ${pythonType(item)}`);
    else if (item.get("type") === "tensor") {
      const tensor = readTensor(item, at, problems);
      if (tensor) tensors.push(tensor);
    } else {
      const column = readColumn(item, at, problems);
      if (column) columns.push(column);
    }
  }
  if (columns.length > 0 && tensors.length > 0) problems.add(field, "columns and tensors cannot be mixed");
  const named = [...columns, ...tensors].filter(({ name }) => name !== undefined).length;
  if (named > 0 && named < columns.length + tensors.length)
    problems.add(field, "either all columns have names or none has");
  if (tensors.length > 1 && named === 0) problems.add(field, "several tensors need names");
  if (named === 0 && columns.some(({ required }) => required === false))
    problems.add(field, "a column without a name cannot be optional");
  return tensors.length > 0 ? { kind: "tensors", tensors } : { kind: "columns", columns };
}

function readColumn(spec: DataMap, at: string, problems: Problems): ColumnSpec | undefined {
  const type = readType(spec, at, 0, problems);
  const name = readName(spec.get("name"));
  if (name === null) return problems.add(`${at}.name`, "a name is a text, or the number of a column");
  let required = spec.get("required");
  if (required === undefined) required = type?.kind === "scalar" ? true : null;
  if (required !== null && typeof required !== "boolean")
    return problems.add(`${at}.required`, `true or false is wanted, not ${pythonType(required)}`);
  if (type?.kind === "scalar")
    for (const key of spec.keys())
      if (key !== "type" && key !== "name" && key !== "required") problems.add(at, `${JSON.stringify(key)} is unknown`);
  return type && { name, type, required };
}

/** Null for what is no name. */
function readName(name: Data | undefined): string | number | undefined | null {
  if (name === undefined || name === null) return undefined;
  if (typeof name === "bigint" && Number.isSafeInteger(Number(name))) return Number(name);
  return typeof name === "string" ? name : null;
}

function readType(spec: DataMap, at: string, depth: number, problems: Problems): DataType | undefined {
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
      : `${typeof type === "string" ? JSON.stringify(type) : pythonType(type)} is no type`,
  );
}

function readObject(spec: DataMap, at: string, depth: number, problems: Problems): DataType | undefined {
  const specs = spec.get("properties");
  if (!isMap(specs) || specs.size === 0)
    return problems.add(at, '"object" needs properties, an object with at least one entry');
  const properties: Property[] = [];
  for (const [name, property] of specs) {
    const place = `${at}.properties.${name}`;
    if (!isMap(property)) problems.add(place, `an object with a type is wanted, not ${pythonType(property)}`);
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

function readTensor(spec: DataMap, at: string, problems: Problems): TensorSpec | undefined {
  const tensor = spec.get("tensor-spec");
  if (!isMap(tensor)) return problems.add(at, 'a tensor needs "tensor-spec", an object with dtype and shape');
  const name = spec.get("name") ?? undefined;
  const text = tensor.get("dtype");
  const dtype = typeof text === "string" ? tensorDtype(text) : undefined;
  const sizes = tensor.get("shape");
  const shape = isList(sizes)
    ? sizes.map((size) => (typeof size === "bigint" ? Number(size) : Number.NaN))
    : [Number.NaN];
  if (name !== undefined && typeof name !== "string")
    return problems.add(`${at}.name`, `a name is a text, not ${pythonType(name)}`);
  if (dtype === undefined)
    return problems.add(`${at}.dtype`, "numpy's name of an element type is wanted, without a size of text");
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= -1))
    return problems.add(`${at}.shape`, "a list of sizes is wanted, -1 for any");
  return { name, dtype, shape };
}

function readParams(items: readonly Data[], field: string, problems: Problems): ParamSpec[] {
  const names = new Set<string>();
  return items.flatMap((item, i) => {
    const at = `${field}[${i}]`;
    const param = isMap(item) ? readParam(item, at, problems) : problems.add(at, "an object is wanted");
    if (param === undefined) return [];
    if (names.has(param.name)) problems.add(at, `${JSON.stringify(param.name)} is there twice`);
    names.add(param.name);
    return [param];
  });
}

function readParam(spec: DataMap, at: string, problems: Problems): ParamSpec | undefined {
  const name = spec.get("name");
  if (typeof name !== "string" && typeof name !== "bigint") return problems.add(at, "a param needs a name");
  const typeName = spec.get("type") || spec.get("dtype");
  const type = typeName === "object" ? readObject(spec, at, 0, problems) : scalarType(typeName);
  const value = spec.get("default");
  if (type === undefined || value === undefined)
    return problems.add(
      at,
      "a param needs a default and a type, which is a scalar's name other than binary, or object",
    );
  const shape = spec.get("shape") ?? null;
  if (shape !== null && !(isList(shape) && shape.length === 1 && shape[0] === -1n && type.kind === "scalar"))
    return problems.add(`${at}.shape`, "null is wanted, or [-1] for a list of scalars");
  try {
    return { name: String(name), type, default: paramDefault(value, type, shape !== null), shape: shape && [-1] };
  } catch (error) {
    if (!(error instanceof UnfitParam)) throw error;
    return problems.add(`${at}.default`, error.message);
  }
}

/** @throws UnfitParam */
export function paramDefault(value: Data, type: DataType, list: boolean): Data {
  if (list && !isList(value)) throw new UnfitParam(`${pythonType(value)} is no list`);
  if (type.kind !== "scalar") {
    const findings = new DefaultFindings("MODEL_INVALID");
    try {
      enforceValue(value, type, true, findings);
      findings.end();
    } catch (error) {
      throw error instanceof ApiError ? new UnfitParam(error.message) : error;
    }
    return value;
  }
  const converted =
    list && isList(value) ? value.map((item) => paramValue(item, type.name)) : paramValue(value, type.name);
  if (type.name === "datetime" && (isList(converted) ? converted : [converted]).includes(null))
    throw new UnfitParam("MLflow cannot write a default of None for a datetime");
  return converted;
}

/**
 * A default is held against its type, but stays as it is: what numpy would make of it is no loss, such as "None" of a
 * missing text. Of what the type does not take, a list among texts is all that MLflow minds.
 */
class DefaultFindings extends Findings {
  override attempt<T>(read: () => T): T | undefined {
    return super.attempt(() => {
      try {
        return read();
      } catch (error) {
        if (error instanceof Misfit && /^Can not convert (?!list to str ).* without loss\.$/.test(error.message))
          return undefined;
        throw error;
      }
    });
  }
}

function scalarType(name: Data | undefined): DataType | undefined {
  return isScalarName(name) && name !== "binary" ? { kind: "scalar", name } : undefined;
}

function schemaData(schema: Schema): Data {
  if (schema.kind === "columns") return schema.columns.map(columnData);
  return schema.tensors.map(({ name, dtype, shape }) => {
    const spec = new Map<string, Data>([
      ["dtype", dtype],
      ["shape", shape.map(BigInt)],
    ]);
    const entries: [string, Data][] = [
      ["type", "tensor"],
      ["tensor-spec", spec],
    ];
    return new Map(name === undefined ? entries : [["name", name], ...entries]);
  });
}

function columnData({ name, type, required }: ColumnSpec): Data {
  const column = typeData(type);
  if (name !== undefined) column.set("name", typeof name === "number" ? BigInt(name) : name);
  return column.set("required", required);
}

function typeData(type: DataType): Map<string, Data> {
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

function paramData({ name, default: value, shape, type }: ParamSpec): Data {
  const iso = (item: Data): Data => (item instanceof DateTime ? isoDatetime(item) : item);
  return new Map<string, Data>([
    ["name", name],
    ["default", type.kind === "scalar" && isList(value) ? value.map(iso) : iso(value)],
    ["shape", shape?.map(BigInt) ?? null],
    ...typeData(type),
  ]);
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

function isMap(value: Data | undefined): value is DataMap {
  return value instanceof Map;
}

function isList(value: Data | undefined): value is readonly Data[] {
  return Array.isArray(value);
}

function isScalarName(value: Data | undefined): value is ScalarName {
  return (SCALAR_NAMES as readonly unknown[]).includes(value);
}
