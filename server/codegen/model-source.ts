// What a client is generated from: a model's address, its signature, and the name that the types get. It must never know
// which language is written.
import { createHash } from "node:crypto";
import type { DataType, Schema, Signature } from "@modelwire/proto";
import { ScalarType } from "@modelwire/proto";

export interface ModelSource {
  /** What the model is asked by: "models:/m-…", or a name, which means the newest READY model of that name. */
  readonly uri: string;
  /** What the types are called: a {@link isTypeName type name}. */
  readonly name: string;
  readonly signature: Signature;
}

/** Whether types can be called so: a capital letter, then letters and digits, 30 at most. */
export function isTypeName(name: string): boolean {
  return /^[A-Z][A-Za-z0-9]{0,29}$/.test(name);
}

/** The type name for a model's name: "tiny-phi3" → "TinyPhi3". */
export function typeNameOf(modelName: string): string {
  return pascalCase(modelName, 30) || "Model";
}

/** The words of a text, joined with capitals; empty when it has no letters of ASCII. At most so many characters. */
export function pascalCase(text: string, limit: number): string {
  const words = text.match(/[A-Za-z0-9]+/g) ?? [];
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  const named = joined.replace(/^[0-9]+/, "");
  return (named.charAt(0).toUpperCase() + named.slice(1)).slice(0, limit);
}

/** Says whether two signatures are the same: of the three texts as they stand in the MLmodel file. */
export function signatureDigest({ json }: Signature): string {
  const texts = [json?.inputs ?? null, json?.outputs ?? null, json?.params ?? null];
  return `sha256:${createHash("sha256").update(JSON.stringify(texts)).digest("hex")}`;
}

/**
 * Whether the model gives text as it forms: one of the LLM tasks, or a single text without a name, which is what a model
 * that goes on with a prompt gives.
 */
export function givesText({ task, outputs }: Signature): boolean {
  if (task === "llm/v1/chat" || task === "llm/v1/completions") return true;
  const [column, second] = outputs?.columns ?? [];
  return (
    column !== undefined &&
    second === undefined &&
    column.name === undefined &&
    scalarOf(column.type) === ScalarType.STRING
  );
}

/** Which scalar a type is; undefined for any other type. */
export function scalarOf(type: DataType | undefined): ScalarType | undefined {
  return type?.kind.case === "scalar" ? type.kind.value : undefined;
}

/** MLflow's name of a scalar type, such as "double". */
export function scalarName(scalar: ScalarType): string {
  return (ScalarType[scalar] ?? "").toLowerCase();
}

/** Whether a column of a type holds a number, anywhere within arrays, objects and maps, that is one of these. */
export function hasWithin(type: DataType | undefined, scalars: readonly ScalarType[]): boolean {
  const kind = type?.kind;
  switch (kind?.case) {
    case "arrayItems":
    case "mapValues":
      return isOrHas(kind.value, scalars);
    case "object":
      return kind.value.properties.some((property) => isOrHas(property.type, scalars));
    default:
      return false;
  }
}

function isOrHas(type: DataType | undefined, scalars: readonly ScalarType[]): boolean {
  const scalar = scalarOf(type);
  return scalar === undefined ? hasWithin(type, scalars) : scalars.includes(scalar);
}

/** Whether the columns have names of their own, not the numbers of a table without column names. */
export function columnNaming(schema: Schema, json: string | undefined): "named" | "numbered" | "unnamed" {
  if (schema.columns.every(({ name }) => name === undefined)) return "unnamed";
  // The parsed form does not tell the number 0 from the text "0".
  const columns: unknown = JSON.parse(json ?? "[]");
  return Array.isArray(columns) && columns.length > 0 && columns.every((column, i) => column?.name === i)
    ? "numbered"
    : "named";
}

/** @throws Error for a schema that names two things alike: an object cannot hold both. */
export function checkNames(schema: Schema | undefined, what: string): void {
  const names = new Set<string>();
  for (const { name } of [...(schema?.columns ?? []), ...(schema?.tensors ?? [])]) {
    if (name !== undefined && names.has(name))
      throw new Error(`the signature's ${what} name ${JSON.stringify(name)} twice; no type can hold both`);
    if (name !== undefined) names.add(name);
  }
}
