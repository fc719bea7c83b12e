// From what a program asks to the request on the wire. What the server can judge is left to it; what the wire cannot carry is
// refused here. It must never make a call.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FieldViolation, StreamChatRequestSchema } from "@modelwire/proto";
import { invalidFields, ToolChoiceMode } from "@modelwire/proto";
import type { ChatInput, ChatTurn } from "./chat-types.ts";
import type { Tool } from "./tools.ts";

type RequestInit = MessageInitShape<typeof StreamChatRequestSchema>;
type Report = (field: string, description: string) => void;

/**
 * The request for an input.
 *
 * @throws ApiError INVALID_ARGUMENT with everything that cannot be sent as what it is.
 */
export function toChatRequest(input: ChatInput): RequestInit {
  const violations: FieldViolation[] = [];
  const wrong: Report = (field, description) => violations.push({ field, description });
  const { model, messages, stop, seed, logprobs, responseFormat, tools, toolChoice, cacheSalt, priority } = input;
  const { temperature, maxTokens, n, topP, topK, minP, repetitionPenalty, presencePenalty, frequencyPenalty } = input;
  const { logitBias, stopTokenIds, minTokens, ignoreEos } = input;
  const topLogprobs = typeof logprobs === "number" ? logprobs : undefined;
  const whole = { max_tokens: maxTokens, n, top_k: topK, min_tokens: minTokens, top_logprobs: topLogprobs };
  for (const [name, value] of Object.entries(whole)) checkWhole(`options.${name}`, value, wrong);
  stopTokenIds?.forEach((id, i) => {
    checkWhole(`options.stop_token_ids[${i}]`, id, wrong);
  });
  checkWhole("priority", priority, wrong);
  const biases = logitBias instanceof Map ? [...logitBias] : Object.entries(logitBias ?? {});
  for (const [id] of biases) checkWhole(`options.logit_bias[${id}]`, Number(id), wrong);
  if (
    seed !== undefined &&
    !(typeof seed === "bigint" ? seed >= 0n && seed < 2n ** 64n : Number.isSafeInteger(seed) && seed >= 0)
  )
    wrong("options.seed", `${seed} is not a whole number from 0 to 2^64 - 1; above 2^53 - 1 it must be a bigint`);
  const format = responseFormat && formatOf(responseFormat, wrong);
  const described = tools?.map((one, i) => toolOf(one, `tools[${i}].parameters_json_schema`, wrong));
  if (violations.length > 0) throw invalidFields(violations);
  return {
    model,
    messages: typeof messages === "string" ? [{ role: "user", content: messages }] : messages.map(messageOf),
    options: {
      ...{ temperature, maxTokens, n, topP, topK, minP, repetitionPenalty, presencePenalty, frequencyPenalty },
      ...{ minTokens, ignoreEos, topLogprobs, logitBias: Object.fromEntries(biases) },
      stop: typeof stop === "string" ? [stop] : [...(stop ?? [])],
      stopTokenIds: [...(stopTokenIds ?? [])],
      logprobs: logprobs === undefined ? undefined : logprobs !== false,
      seed: seed === undefined ? undefined : BigInt(seed),
    },
    ...(format && { responseFormat: { format } }),
    ...(described && { tools: described }),
    ...(toolChoice !== undefined && { toolChoice: { choice: choiceOf(toolChoice) } }),
    ...(cacheSalt !== undefined && { cacheSalt }),
    priority,
  };
}

function checkWhole(field: string, value: number | undefined, wrong: Report): void {
  if (value !== undefined && !(Number.isInteger(value) && Math.abs(value) < 2 ** 31))
    wrong(field, `${value} is not a whole number of 32 bits`);
}

/** A message as the wire has it. */
export function messageOf({ role, content, name, toolCalls, toolCallId }: ChatTurn) {
  const calls = toolCalls?.map(({ id, name: called, argumentsJson }) => ({ id, name: called, argumentsJson })) ?? [];
  return { role, content, name, toolCallId, toolCalls: calls };
}

function formatOf(format: NonNullable<ChatInput["responseFormat"]>, wrong: Report) {
  if ("jsonSchema" in format) {
    const value = jsonText(format.jsonSchema, "response_format.json_schema", wrong);
    return { case: "jsonSchema" as const, value };
  }
  if ("regex" in format) return { case: "regex" as const, value: format.regex };
  if ("grammar" in format) return { case: "grammar" as const, value: format.grammar };
  return { case: "jsonObject" as const, value: format.jsonObject };
}

function toolOf({ name, description = "", parameters }: Tool, field: string, wrong: Report) {
  return {
    name,
    description,
    parametersJsonSchema: parameters === undefined ? "" : jsonText(parameters, field, wrong),
  };
}

function choiceOf(choice: NonNullable<ChatInput["toolChoice"]>) {
  if (typeof choice === "object") return { case: "name" as const, value: choice.name };
  const modes = { auto: ToolChoiceMode.AUTO, none: ToolChoiceMode.NONE, required: ToolChoiceMode.REQUIRED };
  return { case: "mode" as const, value: modes[choice] };
}

function jsonText(schema: object | string, field: string, wrong: Report): string {
  if (typeof schema === "string") return schema;
  try {
    return JSON.stringify(schema);
  } catch (error) {
    wrong(field, `cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`);
    return "";
  }
}
