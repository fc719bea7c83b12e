// The .proto file for one model: messages whose JSON is the body of MLflow's POST /invocations, for languages other than
// TypeScript. The same signature gives the same text. It must never know where the text goes.
import type { DataType, Schema, TensorSpec } from "@modelwire/proto";
import { ScalarType } from "@modelwire/proto";
import {
  checkNames,
  columnNaming,
  hasWithin,
  type ModelSource,
  pascalCase,
  scalarName,
  scalarOf,
  signatureDigest,
} from "./model-source.ts";
import { commentText, Names } from "./type-names.ts";

/** Scalars as a column of its own has them. A time without a zone has no type in protobuf. */
const SCALARS: Readonly<Record<ScalarType, string>> = {
  [ScalarType.UNSPECIFIED]: ".google.protobuf.Value",
  [ScalarType.BOOLEAN]: "bool",
  [ScalarType.INTEGER]: "int32",
  [ScalarType.LONG]: "int64",
  [ScalarType.FLOAT]: "float",
  [ScalarType.DOUBLE]: "double",
  [ScalarType.STRING]: "string",
  [ScalarType.BINARY]: "bytes",
  [ScalarType.DATETIME]: "string",
};

const ELEMENTS: Readonly<Record<string, string>> = {
  ...{ bool: "bool", float16: "float", float32: "float", float64: "double", str: "string" },
  ...{ int8: "int32", int16: "int32", int32: "int32", int64: "int64" },
  ...{ uint8: "uint32", uint16: "uint32", uint32: "uint32", uint64: "uint64" },
};

const ANYTHING = ".google.protobuf.Value";
const LIST = ".google.protobuf.ListValue";

/** How often a field may be there. */
type Label = "optional" | "repeated" | "map";

interface FieldType {
  readonly label: Label;
  /** Of the items, for a repeated field; of the values, for a map. */
  readonly type: string;
}

interface Field extends FieldType {
  /** The key in JSON. */
  readonly key: string;
  readonly comment: string;
}

/** @throws Error for a signature that names two columns alike, or one as no field of protobuf can be called in JSON. */
export function protoFile({ uri, name, signature }: ModelSource): string {
  const { inputs, outputs, params } = signature;
  checkNames(inputs, "inputs");
  checkNames(outputs, "outputs");
  const messages = new MessageWriter();
  const body: Field[] = [inputField(messages, name, inputs, inputs && columnNaming(inputs, signature.json?.inputs))];
  if (params && params.params.length > 0) {
    const fields = params.params.map((param): Field => {
      const { label, type } = messages.fieldOf(param.type, `${name}Params${pascalCase(param.name, 24)}`);
      const list = param.length !== undefined;
      return {
        key: param.name,
        ...(list ? { label: "repeated", type: label === "optional" ? type : LIST } : { label, type }),
        comment: `${typeText(param.type)}, may be left out`,
      };
    });
    const type = messages.declare(`${name}Params`, fields, "Parameters of a prediction.");
    body.push({ key: "params", label: "optional", type, comment: "Parameters; absent means their defaults." });
  }
  const request = messages.declare(`${name}Request`, body, "The body of a request: print it as JSON.");
  const answer: Field = { ...outputField(messages, name, outputs), key: "predictions" };
  messages.declare(`${name}Response`, [answer], "The body of the answer: read it from JSON, unknown fields ignored.");
  const text = messages.declarations.join("\n");
  const within = (inputs?.columns ?? []).some(({ type }) => hasWithin(type, NUMBERS));
  return `// Written by \`modelwire codegen\` from the signature of ${commentText(uri, 600)}:
// ${signatureDigest(signature)}. Write it anew instead of changing it.
//
// To ask the model from another language, generate code from this file and from Modelwire's own, fill ${request},
// print it as JSON, and pass the text to modelwire.inference.v1.PredictionService.Predict as \`input.json\`; the answer's
// \`output.json\` is ${name}Response. The fields are optional so that a zero is printed; the comments say which are required.${
    within
      ? `
// JSON has one kind of number, and MLflow takes it for a double, a float or an integer only in a column of its own: for what
// lies inside arrays, objects and maps, pass modelwire.signatures.v1.DataInput in another form than \`json\`.`
      : ""
  }
syntax = "proto3";

package modelwire.generated.${name.toLowerCase()};

${text.includes("google.protobuf.") ? 'import "google/protobuf/struct.proto";\n\n' : ""}${text}`;
}

/** Numbers that JSON does not tell apart from others where MLflow does. */
const NUMBERS = [ScalarType.DOUBLE, ScalarType.FLOAT, ScalarType.INTEGER];

/** What goes in: a table by rows where columns have names, else whatever has its place under `inputs`. */
function inputField(
  messages: MessageWriter,
  name: string,
  schema: Schema | undefined,
  naming: "named" | "numbered" | "unnamed" | undefined,
): Field {
  if (schema && schema.tensors.length > 0)
    return { ...tensorField(messages, `${name}Input`, schema.tensors), key: "inputs" };
  if (schema && naming === "named") {
    const type = messages.declare(
      `${name}Row`,
      columnFields(messages, `${name}Row`, schema),
      "What the model takes, a row.",
    );
    return { key: "dataframe_records", label: "repeated", type, comment: "Rows." };
  }
  if (schema && (naming === "numbered" || schema.columns.length > 1)) {
    const data: Field = {
      key: "data",
      label: "repeated",
      type: LIST,
      comment: `Rows of ${schema.columns.length} values.`,
    };
    const type = messages.declare(`${name}Table`, [data], "What the model takes: a table without column names.");
    return { key: "dataframe_split", label: "optional", type, comment: "The table." };
  }
  const item = schema?.columns[0]?.type;
  const { label, type } = messages.fieldOf(item, `${name}Item`);
  const comment = item ? `${typeText(item)}, one for each row.` : "Anything.";
  return { key: "inputs", label: "repeated", type: label === "optional" ? type : LIST, comment };
}

function outputField(messages: MessageWriter, name: string, schema: Schema | undefined): Omit<Field, "key"> {
  if (!schema) return { label: "optional", type: ANYTHING, comment: "Anything." };
  if (schema.tensors.length > 0) return tensorField(messages, `${name}Output`, schema.tensors);
  if (schema.columns.every((column) => column.name !== undefined)) {
    const fields = columnFields(messages, `${name}OutputRow`, schema);
    const type = messages.declare(`${name}OutputRow`, fields, "What the model gives for a row.");
    return { label: "repeated", type, comment: "A row for each row of the input." };
  }
  const [first, second] = schema.columns;
  const { label, type } = second ? { label: "map", type: LIST } : messages.fieldOf(first?.type, `${name}OutputItem`);
  const comment = second ? "Rows." : `${typeText(first?.type)}, one for each row.`;
  return { label: "repeated", type: label === "optional" ? type : LIST, comment };
}

function columnFields(messages: MessageWriter, owner: string, { columns }: Schema): Field[] {
  return columns.map(({ name = "", type, required }) => ({
    key: name,
    ...messages.fieldOf(type, owner + pascalCase(name, 24)),
    comment: `${typeText(type)}, ${required ? "required" : "may be left out"}`,
  }));
}

/** A tensor as lists within lists, or an object of several by name. */
function tensorField(messages: MessageWriter, owner: string, tensors: readonly TensorSpec[]): Omit<Field, "key"> {
  const [first] = tensors;
  const fieldOf = ({ dtype, shape }: TensorSpec): Omit<Field, "key"> => {
    const element = (Object.hasOwn(ELEMENTS, dtype) && ELEMENTS[dtype]) || ANYTHING;
    const comment = `${commentText(dtype)}, shape [${commentText(shape.join(", "))}]; -1 is any size`;
    if (shape.length === 0) return { label: "optional", type: element, comment };
    return { label: "repeated", type: shape.length === 1 ? element : LIST, comment };
  };
  if (tensors.length === 1 && first?.name === undefined) return fieldOf(first as TensorSpec);
  const fields = tensors.map((spec): Field => ({ key: spec.name ?? "", ...fieldOf(spec) }));
  const type = messages.declare(owner, fields, "Tensors by name, each as lists within lists.");
  return { label: "optional", type, comment: "All of them, required." };
}

/** Writes messages, each after those that it uses. */
class MessageWriter {
  readonly declarations: string[] = [];
  readonly #names = new Names([]);

  /** @param hint name for a message that must be declared */
  fieldOf(type: DataType | undefined, hint: string): FieldType {
    const kind = type?.kind;
    switch (kind?.case) {
      case "scalar":
        return { label: "optional", type: SCALARS[kind.value] };
      case "arrayItems":
        return { label: "repeated", type: this.#item(kind.value, hint) };
      case "mapValues":
        return { label: "map", type: this.#item(kind.value, hint) };
      case "object": {
        const fields = kind.value.properties.map(
          (property): Field => ({
            key: property.name,
            ...this.#within(property.type, hint + pascalCase(property.name, 24)),
            comment: `${typeText(property.type)}, ${property.required ? "required" : "may be left out"}`,
          }),
        );
        return { label: "optional", type: this.declare(hint, fields) };
      }
      default:
        return { label: "optional", type: ANYTHING };
    }
  }

  /** @returns the message's name. @throws Error for a key that no field can have. */
  declare(hint: string, fields: readonly Field[], comment?: string): string {
    const name = this.#names.take(hint.slice(0, 100));
    // Fields whose names differ only in case and underscores would have the same name in some languages.
    const taken = new Names([], (field) => field.replaceAll("_", "").toLowerCase());
    const lines = fields.map(({ key, label, type, comment: about }, i) => {
      const field = taken.take(fieldName(key));
      const kind = label === "map" ? `map<string, ${type}>` : `${label} ${type}`;
      const json = key === jsonNameOf(field) ? "" : ` [json_name = ${protoString(key)}]`;
      return `  // ${about}\n  ${kind} ${field} = ${fieldNumber(i)}${json};\n`;
    });
    this.declarations.push(
      `${comment ? `// ${comment}\n` : ""}message ${name} {${lines.length > 0 ? "\n" : ""}${lines.join("")}}\n`,
    );
    return name;
  }

  /** The type of an item of a list or of a value of a map, neither of which may be such a thing itself. */
  #item(type: DataType, hint: string): string {
    const within = this.#within(type, `${hint}Item`);
    return within.label === "optional" ? within.type : within.label === "map" ? ".google.protobuf.Struct" : LIST;
  }

  /** Protobuf writes 64-bit numbers as JSON strings, which MLflow takes for a number only in a column of its own. */
  #within(type: DataType | undefined, hint: string): FieldType {
    return scalarOf(type) === ScalarType.LONG ? { label: "optional", type: "int32" } : this.fieldOf(type, hint);
  }
}

/** The type in MLflow's words, as far as protobuf's do not say it. */
function typeText(type: DataType | undefined): string {
  const kind = type?.kind;
  switch (kind?.case) {
    case "scalar":
      return kind.value === ScalarType.DATETIME ? "datetime, as ISO 8601 without a zone" : scalarName(kind.value);
    case "arrayItems":
      return `array of ${typeText(kind.value)}`;
    case "mapValues":
      return `map to ${typeText(kind.value)}`;
    case "object":
      return "object";
    default:
      return "anything";
  }
}

/** A name that every language can make something of. */
function fieldName(key: string): string {
  const words = key
    .replace(/[^A-Za-z0-9_]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .slice(0, 60)
    .toLowerCase();
  return /^[a-z]/.test(words) ? words : `field_${words}`.replace(/_$/, "");
}

/** The key that a field has in JSON of its own accord. */
function jsonNameOf(field: string): string {
  return field.replace(/_+([^_]|$)/g, (_, letter: string) => letter.toUpperCase());
}

/** By place, without the numbers that protobuf keeps for itself. */
function fieldNumber(place: number): number {
  return place + 1 < 19_000 ? place + 1 : place + 1_001;
}

/** @throws Error for what no field can be called. */
function protoString(key: string): string {
  if (key === "" || key.includes("\0") || (key.startsWith("[") && key.endsWith("]")))
    throw new Error(
      `no field of protobuf can be called ${JSON.stringify(key)} in JSON, so there is no .proto file for it`,
    );
  const bytes = [...Buffer.from(key)];
  const written = bytes.map((byte) => {
    const character = String.fromCharCode(byte);
    if (character === '"' || character === "\\") return `\\${character}`;
    return byte >= 0x20 && byte < 0x7f ? character : `\\${byte.toString(8).padStart(3, "0")}`;
  });
  return `"${written.join("")}"`;
}
