// A signature's JSON, read as MLflow reads it and written as MLflow writes it. It never knows the file that the texts
// stand in.
import { ApiError } from "@modelwire/proto";
import type { Data, DataMap } from "../data/data.ts";
import { JsonError, parsePythonJson, writePythonJson } from "../data/python-json.ts";
import { typeName } from "../data/python-words.ts";
import type { ColumnSpec, Schema, Signature, TensorSpec } from "../schema.ts";
import { paramData, readParams } from "./param-json.ts";
import { tensorDtype } from "./schema-dtype.ts";
import { isList, isMap, Problems } from "./signature-problems.ts";
import type { SignatureJson } from "./task-signatures.ts";
import { readType, typeData } from "./type-json.ts";

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
    return problems.add(field, `a list is wanted, not ${typeName(json)}`);
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
    if (!isMap(item)) problems.add(at, `a column is an object with a type, not ${typeName(item)}`);
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
    return problems.add(`${at}.required`, `true or false is wanted, not ${typeName(required)}`);
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
    return problems.add(`${at}.name`, `a name is a text, not ${typeName(name)}`);
  if (dtype === undefined)
    return problems.add(`${at}.dtype`, "numpy's name of an element type is wanted, without a size of text");
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= -1))
    return problems.add(`${at}.shape`, "a list of sizes is wanted, -1 for any");
  return { name, dtype, shape };
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
