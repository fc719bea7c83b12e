// Types of a signature in TypeScript, each on one line; what would not fit is declared under a name of its own. It must
// never know what the types are for.
import type { DataType, ObjectType } from "@modelwire/proto";
import { ScalarType } from "@modelwire/proto";
import { pascalCase, scalarName, scalarOf } from "./model-source.ts";
import { type Names, propertyKey } from "./type-names.ts";

/** What goes into a model is never changed by the client, so that part is readonly. */
export type Direction = "in" | "out";

/** An entry of an object type. */
export interface Member {
  readonly name: string;
  readonly optional: boolean;
  /** Its type, given the name that it may declare one under. */
  readonly type: (nameHint: string) => string;
  /** What its comment says; without one when absent. */
  readonly comment?: string | undefined;
}

/** Longest type that is written in place. */
const LONGEST = 60;

/** Longest line, as the repository's formatter has it. */
const LINE = 120;

const SCALARS: Readonly<Record<ScalarType, string>> = {
  [ScalarType.UNSPECIFIED]: "never",
  [ScalarType.BOOLEAN]: "boolean",
  [ScalarType.INTEGER]: "number",
  [ScalarType.LONG]: "number | bigint",
  [ScalarType.FLOAT]: "number",
  [ScalarType.DOUBLE]: "number",
  [ScalarType.STRING]: "string",
  [ScalarType.BINARY]: "Uint8Array",
  [ScalarType.DATETIME]: "Date",
};

export class TypeWriter {
  readonly #names: Names;
  /** Declarations, each after those that it uses. */
  readonly declarations: string[] = [];
  /** What they use of the client package. */
  readonly imported = new Set<string>();

  constructor(names: Names) {
    this.#names = names;
  }

  /** A type of the client package. @param word its name, with what else belongs to it: "Tensor<…>" */
  ofClient(word: string): string {
    this.imported.add(word.replace(/<.*/, ""));
    return word;
  }

  /** Anything at all. */
  anything(direction: Direction): string {
    return this.ofClient(direction === "in" ? "ModelInput" : "ModelOutput");
  }

  /** The type of a column, a property or a parameter. @param hint name for what must be declared */
  typeOf(type: DataType | undefined, direction: Direction, hint: string): string {
    const kind = type?.kind;
    switch (kind?.case) {
      case "scalar":
        return SCALARS[kind.value];
      case "arrayItems":
        return this.listOf(this.typeOf(kind.value, direction, hint), direction, hint);
      case "mapValues": {
        const record = `Record<string, ${this.short(this.typeOf(kind.value, direction, hint), `${hint}Value`)}>`;
        return direction === "in" ? `Readonly<${record}>` : record;
      }
      case "object":
        return this.declareObject(hint, this.#members(kind.value, direction), direction);
      default:
        return this.anything(direction);
    }
  }

  /** A list of a type. */
  listOf(item: string, direction: Direction, hint: string): string {
    const short = this.short(item, `${hint}Item`);
    const simple = /^[\w.]+(\[\])*$|^Record<[^|]*>$|^Tensor<[^|]*>$|^\([^()]*\)(\[\])+$/.test(short);
    const list = simple ? `${short}[]` : `(${short})[]`;
    return direction === "in" ? `readonly ${list}` : list;
  }

  /** The type, or a name for it when it is long. */
  short(type: string, hint: string): string {
    return type.length <= LONGEST ? type : this.declare(hint, type);
  }

  /** Declares a type. @returns its name. */
  declare(hint: string, type: string, comment?: string): string {
    const name = this.#names.take(hint.slice(0, LONGEST - 10));
    this.declarations.push(`${comment ? `/** ${comment} */\n` : ""}export type ${name} = ${type};\n`);
    return name;
  }

  /** Declares a choice of types, on more lines when it is too long for one. @returns its name. */
  declareUnion(hint: string, types: readonly string[], comment: string): string {
    const name = this.#names.take(hint.slice(0, LONGEST - 10));
    const line = `export type ${name} = ${types.join(" | ")};\n`;
    const text =
      line.length <= LINE ? line : `export type ${name} =${types.map((type) => `\n  | ${type}`).join("")};\n`;
    this.declarations.push(`/** ${comment} */\n${text}`);
    return name;
  }

  /** Declares an object type. @returns its name. */
  declareObject(hint: string, members: readonly Member[], direction: Direction, comment?: string): string {
    const name = this.#names.take(hint.slice(0, LONGEST - 10));
    const lines = members.map((member) => this.#member(member, name, direction));
    const body = lines.length === 0 ? "Record<string, never>" : `{\n${lines.join("")}}`;
    this.declarations.push(`${comment ? `/** ${comment} */\n` : ""}export type ${name} = ${body};\n`);
    return name;
  }

  #member({ name, optional, type, comment }: Member, owner: string, direction: Direction): string {
    const hint = owner + pascalCase(name, 24);
    const head = `  ${direction === "in" ? "readonly " : ""}${propertyKey(name)}${optional ? "?" : ""}: `;
    const text = optional ? `${type(hint)} | null` : type(hint);
    const fits = widthOf(head) + text.length + 1 <= LINE || /^\w+$/.test(text);
    return `${comment ? `  /** ${comment} */\n` : ""}${head}${fits ? text : this.declare(hint, text)};\n`;
  }

  #members({ properties }: ObjectType, direction: Direction): Member[] {
    return properties.map(({ name, type, required }) => ({
      name,
      optional: !required,
      type: (hint) => this.typeOf(type, direction, hint),
      comment: scalarComment(type),
    }));
  }
}

/** What the type of a scalar does not say; undefined when it says all. */
export function scalarComment(type: DataType | undefined): string | undefined {
  const scalar = scalarOf(type);
  switch (scalar) {
    case ScalarType.INTEGER:
    case ScalarType.LONG:
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return scalarName(scalar);
    case ScalarType.DATETIME:
      return "datetime, without a zone: the UTC of the Date";
    default:
      return undefined;
  }
}

/** A comment of these parts, without those that are empty. */
export function joinComment(...parts: (string | undefined)[]): string | undefined {
  return parts.filter(Boolean).join(", ") || undefined;
}

/** At least as many places as a terminal gives it. */
function widthOf(text: string): number {
  return [...text].reduce((width, character) => width + (character < "\u007f" ? 1 : 2), 0);
}
