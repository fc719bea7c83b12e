// Which of MLflow's LLM tasks a signature is that of. MLflow's own texts of them have changed over time (2.11, 2.14, 2.18),
// so it is found by what must be there. It never knows a model.
import type { DataType, ScalarName, Schema, Signature } from "../schema.ts";

export type SignatureTask = "llm/v1/chat" | "llm/v1/completions" | "llm/v1/embeddings";

/**
 * The task, or undefined. The input that it names must be the only required one, and the output must be the answer of
 * OpenAI's API: a column called `prompt` or `messages` alone says nothing.
 */
export function taskOfSignature({ inputs, outputs, params }: Signature): SignatureTask | undefined {
  if (inputs === undefined || outputs === undefined || (params !== undefined && params.length > 0)) return undefined;
  const input = onlyRequired(inputs);
  const output = columnsOf(outputs);
  if (input === undefined || !isScalar(output.get("object"), "string")) return undefined;
  if (input.name === "messages" && isMessage(itemsOf(input.type)) && isAnswer(output, isChatChoice))
    return "llm/v1/chat";
  if (input.name === "prompt" && isScalar(input.type, "string") && isAnswer(output, isTextChoice))
    return "llm/v1/completions";
  if (input.name === "input" && isScalar(input.type, "string") && isEmbedding(itemsOf(output.get("data"))))
    return "llm/v1/embeddings";
  return undefined;
}

function onlyRequired(schema: Schema) {
  if (schema.kind !== "columns") return undefined;
  const [first, ...others] = schema.columns.filter(({ required }) => required);
  return others.length === 0 ? first : undefined;
}

function columnsOf(schema: Schema): ReadonlyMap<unknown, DataType> {
  return new Map(schema.kind === "columns" ? schema.columns.map(({ name, type }) => [name, type]) : []);
}

function isAnswer(output: ReadonlyMap<unknown, DataType>, isChoice: (type: DataType | undefined) => boolean): boolean {
  return (
    isScalar(output.get("id"), "string") &&
    isScalar(output.get("created"), "long") &&
    isScalar(output.get("model"), "string") &&
    isChoice(itemsOf(output.get("choices")))
  );
}

function isMessage(type: DataType | undefined): boolean {
  return isScalar(propertyOf(type, "role"), "string") && isScalar(propertyOf(type, "content"), "string");
}

function isChatChoice(type: DataType | undefined): boolean {
  return isScalar(propertyOf(type, "index"), "long") && isMessage(propertyOf(type, "message"));
}

function isTextChoice(type: DataType | undefined): boolean {
  return isScalar(propertyOf(type, "index"), "long") && isScalar(propertyOf(type, "text"), "string");
}

function isEmbedding(type: DataType | undefined): boolean {
  return isScalar(propertyOf(type, "index"), "long") && isScalar(itemsOf(propertyOf(type, "embedding")), "double");
}

function itemsOf(type: DataType | undefined): DataType | undefined {
  return type?.kind === "array" ? type.items : undefined;
}

function propertyOf(type: DataType | undefined, name: string): DataType | undefined {
  return type?.kind === "object" ? type.properties.find((property) => property.name === name)?.type : undefined;
}

function isScalar(type: DataType | undefined, name: ScalarName): boolean {
  return type?.kind === "scalar" && type.name === name;
}
