// A signature as Python prints it, to the byte. It never knows where a signature comes from.
import { type Data, type DataMap, DateTime } from "../data/data.ts";
import { datetimeRepr, isoDatetime } from "../data/python-datetime.ts";
import { pythonFloat } from "../data/python-json.ts";
import type { ColumnSpec, DataType, ParamSpec, Schema, Signature, TensorSpec } from "../schema.ts";

/** `repr(signature)`: six lines, the last one ended too. */
export function signatureText({ inputs, outputs, params }: Signature): string {
  const schema = (part: Schema | undefined) => (part === undefined ? "None" : schemaText(part));
  const list = params === undefined ? "None" : `[${params.map(paramText).join(", ")}]`;
  return `inputs: \n  ${schema(inputs)}\noutputs: \n  ${schema(outputs)}\nparams: \n  ${list}\n`;
}

function schemaText(schema: Schema): string {
  const specs = schema.kind === "columns" ? schema.columns.map(columnText) : schema.tensors.map(tensorText);
  return `[${specs.join(", ")}]`;
}

export function columnText({ name, type, required }: ColumnSpec): string {
  const text = `${typeText(type)} (${required ? "required" : "optional"})`;
  if (name === undefined) return text;
  return `${typeof name === "number" ? name : textRepr(name)}: ${text}`;
}

function tensorText({ name, dtype, shape }: TensorSpec): string {
  const text = `Tensor(${textRepr(dtype)}, ${tupleRepr(shape)})`;
  return name === undefined ? text : `${textRepr(name)}: ${text}`;
}

/** Names of properties are printed as they are, without quotes. */
export function typeText(type: DataType): string {
  switch (type.kind) {
    case "scalar":
      return type.name;
    case "array":
      return `Array(${typeText(type.items)})`;
    case "object":
      return `{${type.properties
        .map(({ name, type, required }) => `${name}: ${typeText(type)} (${required ? "required" : "optional"})`)
        .join(", ")}}`;
    case "map":
      // Here alone MLflow prints a scalar with str(), which for Python's enums names the class too.
      return `Map(str -> ${type.values.kind === "scalar" ? `DataType.${type.values.name}` : typeText(type.values)})`;
    case "any":
      return "Any";
    case "sparkml_vector":
      return "SparkML vector";
  }
}

function paramText({ name, type, default: value, shape }: ParamSpec): string {
  const ofShape = shape === null ? "" : ` (shape: ${tupleRepr(shape)})`;
  return `${textRepr(name)}: ${typeText(type)} (default: ${dataText(value)})${ofShape}`;
}

/** `str(data)`: like `repr`, but without the quotes of a text and the class of a time. */
function dataText(data: Data): string {
  if (typeof data === "string") return data;
  return data instanceof DateTime ? isoDatetime(data, " ") : dataRepr(data);
}

/** `repr(data)` of what a default may be. @throws TypeError for arrays and tables, which it cannot. */
function dataRepr(data: Data): string {
  if (data === null) return "None";
  switch (typeof data) {
    case "boolean":
      return data ? "True" : "False";
    case "bigint":
      return String(data);
    case "string":
      return textRepr(data);
    case "number":
      if (Number.isFinite(data)) return pythonFloat(data);
      return Number.isNaN(data) ? "nan" : data > 0 ? "inf" : "-inf";
  }
  if (data instanceof DateTime) return datetimeRepr(data);
  if (data instanceof Uint8Array) return bytesRepr(data);
  if (Array.isArray(data)) return `[${data.map(dataRepr).join(", ")}]`;
  if (!(data instanceof Map)) throw new TypeError(`a default cannot be a ${data.constructor.name}`);
  const entries: string[] = [];
  for (const [key, value] of data as DataMap) entries.push(`${textRepr(key)}: ${dataRepr(value)}`);
  return `{${entries.join(", ")}}`;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

/** `repr(text)`: single quotes unless only double ones save an escape; what cannot be printed as \x, \u or \U. */
function textRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\'\p{C}\p{Z}]/gu, (found) => {
    if (found === " ") return found;
    if (found === "'") return quote === "'" ? "\\'" : found;
    const code = found.codePointAt(0) ?? 0;
    const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return ESCAPES.get(found) ?? `\\${letter}${code.toString(16).padStart(Number(digits), "0")}`;
  });
  return quote + body + quote;
}

function bytesRepr(bytes: Uint8Array): string {
  const quote = bytes.includes(0x27) && !bytes.includes(0x22) ? '"' : "'";
  const body = Array.from(bytes, (byte) => {
    const found = String.fromCharCode(byte);
    if (found === quote) return `\\${found}`;
    if (byte >= 0x20 && byte < 0x7f && found !== "\\") return found;
    return ESCAPES.get(found) ?? `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `b${quote}${body.join("")}${quote}`;
}

function tupleRepr(items: readonly number[]): string {
  return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
}
