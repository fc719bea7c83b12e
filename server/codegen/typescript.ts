// The TypeScript module for one model: what it takes, what it gives, and a function that asks it. The same signature gives
// the same text. It must never know where the text goes.
import type { ParamSchema, Schema, Signature, TensorSpec, Value } from "@modelwire/proto";
import { ScalarType } from "@modelwire/proto";
import { checkNames, columnNaming, givesText, hasWithin, type ModelSource, signatureDigest } from "./model-source.ts";
import { commentText, Names, stringLiteral } from "./type-names.ts";
import type { Direction, Member } from "./typescript-types.ts";
import { joinComment, scalarComment, TypeWriter } from "./typescript-types.ts";

/** What the module may import. */
const IMPORTS = [
  "ModelInput",
  "ModelOutput",
  "ModelwireClient",
  "NoParams",
  "ServedModel",
  "ServedTextModel",
  "Tensor",
];

/** What else the types in it may be called. */
const GLOBALS = ["Date", "Readonly", "Record"];

/** Element types of tensors by numpy's names, and the arrays that are one without more words. */
const ARRAYS: Readonly<Record<string, string>> = {
  ...{ float32: "Float32Array", float64: "Float64Array", int8: "Int8Array", int16: "Int16Array", int32: "Int32Array" },
  ...{ int64: "BigInt64Array", uint8: "", uint16: "Uint16Array", uint32: "Uint32Array", uint64: "BigUint64Array" },
  ...{ bool: "", float16: "", string: "" },
};

/** Most dimensions of lists within lists that are written out. */
const MAX_RANK = 8;

/** @throws Error for a signature that names two columns alike. */
export function typescriptModule(source: ModelSource): string {
  const { uri, name, signature } = source;
  const { inputs, outputs, params } = signature;
  checkNames(inputs, "inputs");
  checkNames(outputs, "outputs");
  const names = new Names([...IMPORTS, ...GLOBALS, ...Object.values(ARRAYS), "Uint8Array"]);
  const types = new TypeWriter(names);
  const text = givesText(signature);
  const tensors = [inputs, outputs].every((schema) => (schema?.tensors ?? []).every(({ dtype }) => elementType(dtype)));
  const given = new Sides(types, name, signature, text, tensors);
  const [input, output, parameters] = [given.input(inputs), given.output(outputs), given.params(params)];
  const model = names.take(`${name}Model`);
  const kind = text ? "ServedTextModel" : "ServedModel";
  const constant = names.take(name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toUpperCase());
  const made = functionName(name);
  const schema = needsSchema(signature) ? signature.json?.inputs : undefined;
  const texts = names.take("INPUTS");
  const body = [
    ...types.declarations,
    `${generic(`export type ${model} = ${types.ofClient(kind)}`, [input, output, parameters])};\n`,
    `/** The model, and the signature that this file was written from. */
export const ${constant} = {
  uri: ${stringLiteral(uri)},
  signatureDigest: ${stringLiteral(signatureDigest(signature))},
} as const;
`,
    ...(schema === undefined ? [] : [constantText(texts, schema)]),
    `/** The model, asked through a client. */
export function ${made}(client: ModelwireClient): ${model} {
  return client.model(${constant}.uri${schema === undefined ? "" : `, { inputs: ${texts} }`});
}
`,
  ];
  const used = [...types.imported, "ModelwireClient"].sort().join(", ");
  return `// Written by \`modelwire codegen\` from the signature of ${commentText(uri, 600)}. Write it anew instead of changing it.
import type { ${used} } from "@modelwire/client";

${body.join("\n")}`;
}

/** The types of what goes in and what comes out. */
class Sides {
  readonly #types: TypeWriter;
  readonly #name: string;
  readonly #signature: Signature;
  /** A model that gives text answers one input with one output; others take and give rows. */
  readonly #text: boolean;
  /** Whether tensors go over the wire as such; else as lists within lists. */
  readonly #asTensors: boolean;

  constructor(types: TypeWriter, name: string, signature: Signature, text: boolean, asTensors: boolean) {
    this.#types = types;
    this.#name = name;
    this.#signature = signature;
    this.#text = text;
    this.#asTensors = asTensors;
  }

  input(schema: Schema | undefined): string {
    const name = `${this.#name}Input`;
    if (!schema) return this.#types.anything("in");
    if (schema.tensors.length > 0) return this.#tensors(schema.tensors, "in", name);
    const naming = columnNaming(schema, this.#signature.json?.inputs);
    if (naming === "unnamed") {
      const { list, single } = this.#unnamed(schema, "in");
      return this.#types.declare(name, single === undefined ? list : this.#text ? single : `${single} | ${list}`);
    }
    if (this.#text) return this.#types.declareObject(name, this.#columns(schema, "in"), "in", "What it takes.");
    const row = this.#types.declareObject(
      `${this.#name}Row`,
      this.#columns(schema, "in"),
      "in",
      "What it takes, a row.",
    );
    return this.#types.declareUnion(name, [row, `readonly ${row}[]`], "One row, or many.");
  }

  output(schema: Schema | undefined): string {
    const name = `${this.#name}Output`;
    if (!schema) return this.#types.anything("out");
    if (schema.tensors.length > 0) return this.#tensors(schema.tensors, "out", name);
    if (schema.columns.every((column) => column.name === undefined)) {
      const { list, single } = this.#unnamed(schema, "out");
      return this.#types.declare(name, this.#text && single !== undefined ? single : list);
    }
    if (this.#text) return this.#types.declareObject(name, this.#columns(schema, "out"), "out", "What it gives.");
    const hint = `${this.#name}OutputRow`;
    const row = this.#types.declareObject(hint, this.#columns(schema, "out"), "out", "What it gives for a row.");
    return this.#types.declare(name, `${row}[]`, "A row for each row of the input.");
  }

  params(schema: ParamSchema | undefined): string {
    if (!schema || schema.params.length === 0) return this.#types.ofClient("NoParams");
    const members = schema.params.map(({ name, type, defaultValue, length }): Member => {
      const item = (hint: string) => this.#types.typeOf(type, "in", hint);
      return {
        name,
        optional: true,
        type: (hint) => (length === undefined ? item(hint) : this.#types.listOf(item(hint), "in", hint)),
        comment: joinComment(scalarComment(type), `${commentText(defaultText(defaultValue))} when absent`),
      };
    });
    return this.#types.declareObject(`${this.#name}Params`, members, "in", "Parameters of a prediction.");
  }

  #columns({ columns }: Schema, direction: Direction): Member[] {
    return columns.map(({ name = "", type, required }) => ({
      name,
      optional: !required,
      type: (hint) => this.#types.typeOf(type, direction, hint),
      comment: scalarComment(type),
    }));
  }

  /** A list of single values when there is one column, of rows when there are more. */
  #unnamed({ columns }: Schema, direction: Direction): { list: string; single: string | undefined } {
    const hint = `${this.#name}${direction === "in" ? "Cell" : "OutputCell"}`;
    const cells = columns.map(({ type }) => this.#types.short(this.#types.typeOf(type, direction, hint), hint));
    const single = cells.length === 1 ? cells[0] : undefined;
    const row = single ?? this.#types.declare(`${this.#name}${direction === "in" ? "Row" : "OutputRow"}`, tuple(cells));
    return { list: this.#types.listOf(row, direction, hint), single };
  }

  #tensors(tensors: readonly TensorSpec[], direction: Direction, name: string): string {
    const [first] = tensors;
    const typeOf = (spec: TensorSpec) =>
      this.#asTensors ? this.#tensor(spec, direction) : this.#nestedLists(spec, direction);
    if (tensors.length === 1 && first && first.name === undefined)
      return this.#types.declare(name, typeOf(first), tensorComment(first));
    const members = tensors.map(
      (spec): Member => ({
        name: spec.name ?? "",
        optional: false,
        type: () => typeOf(spec),
        comment: tensorComment(spec),
      }),
    );
    return this.#types.declareObject(
      name,
      members,
      direction,
      direction === "in" ? "What it takes." : "What it gives.",
    );
  }

  #tensor({ dtype, shape }: TensorSpec, direction: Direction): string {
    const element = elementType(dtype) ?? "";
    const array = direction === "in" && shape.length === 1 ? ARRAYS[element] : "";
    return `${this.#types.ofClient(`Tensor<"${element}">`)}${array ? ` | ${array}` : ""}`;
  }

  #nestedLists({ dtype, shape }: TensorSpec, direction: Direction): string {
    const item = shape.length > MAX_RANK ? undefined : itemType(dtype);
    return (shape.length > MAX_RANK ? [] : shape).reduce<string>(
      (inner) => this.#types.listOf(inner, direction, this.#name),
      item ?? this.#types.anything(direction),
    );
  }
}

/** The client's name of numpy's element type; undefined when the wire has none. */
function elementType(dtype: string): string | undefined {
  if (dtype === "str") return "string";
  return Object.hasOwn(ARRAYS, dtype) ? dtype : undefined;
}

/** What a list of such elements holds; undefined when that is anything. */
function itemType(dtype: string): string | undefined {
  if (dtype === "bool") return "boolean";
  if (/^u?int64$/.test(dtype)) return "number | bigint";
  if (/^(float|u?int)\d+$/.test(dtype)) return "number";
  return dtype === "str" ? "string" : undefined;
}

function tensorComment({ dtype, shape }: TensorSpec): string {
  const any = shape.includes(-1n) ? "; -1 is any size" : "";
  return `${commentText(dtype)}, shape [${commentText(shape.join(", "))}]${any}`;
}

function tuple(cells: readonly string[]): string {
  return `readonly [${cells.join(", ")}]`;
}

/** Whether the client must know the columns to send what the types allow as MLflow takes it. */
function needsSchema({ inputs, json }: Signature): boolean {
  const columns = inputs?.columns ?? [];
  if (!inputs || columns.length === 0) return false;
  const kinds = columns.map(({ type }) => type?.kind.case ?? "any");
  const lists = kinds.some((kind) => kind === "arrayItems" || kind === "object");
  const naming = columnNaming(inputs, json?.inputs);
  return (
    naming === "numbered" ||
    (naming === "unnamed" && columns.length > 1) ||
    columns.some(({ type }) => type?.kind.case === "arrayItems" && type.kind.value.kind.case === "arrayItems") ||
    (!lists && kinds.some((kind) => kind === "mapValues" || kind === "any")) ||
    columns.some(({ type }) => hasWithin(type, [ScalarType.DOUBLE, ScalarType.FLOAT, ScalarType.INTEGER]))
  );
}

/** A default as it would be written in a program. */
function defaultText(value: Value | undefined): string {
  const kind = value?.kind;
  switch (kind?.case) {
    case "stringValue":
      return JSON.stringify(kind.value.slice(0, 100));
    case "listValue":
      return `[${kind.value.values.slice(0, 20).map(defaultText).join(", ")}]`;
    case "boolValue":
    case "intValue":
    case "doubleValue":
      return String(kind.value);
    case "datetimeValue":
      return new Date(Number(kind.value.seconds) * 1000).toISOString();
    case "objectValue":
      return "an object";
    default:
      return "nothing";
  }
}

/** `head<A, B, C>`, on more lines when it is too long for one. */
function generic(head: string, words: readonly string[]): string {
  const line = `${head}<${words.join(", ")}>`;
  return line.length < 120 ? line : `${head}<\n${words.map((word) => `  ${word}`).join(",\n")}\n>`;
}

function constantText(name: string, text: string): string {
  const comment =
    "/** The signature's inputs, as MLflow has them: what a number in a list is, JavaScript does not say. */";
  const literal = stringLiteral(text);
  const line = `const ${name} = ${literal};`;
  return `${comment}\n${line.length <= 120 ? line : `const ${name} =\n  ${literal};`}\n`;
}

/** A name in lower case at its beginning that is no word of the language. */
function functionName(name: string): string {
  const lower = name.charAt(0).toLowerCase() + name.slice(1);
  return RESERVED.has(lower) ? `${lower}Model` : lower;
}

const RESERVED: ReadonlySet<string> = new Set(
  (
    "arguments async await break case catch class client const continue debugger default delete do else enum eval export " +
    "extends false finally for function if implements import in instanceof interface let new null package private " +
    "protected public return static super switch this throw true try typeof undefined var void while with yield"
  ).split(" "),
);
