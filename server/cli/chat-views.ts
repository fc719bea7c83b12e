// Answers of a chat for people and for programs: calls of tools, log-probabilities, all of it as JSON. It must never ask for one.
import { toJson } from "@bufbuild/protobuf";
import type { ChatResult, ChatResultChoice, TokenLogprob } from "@modelwire/client";
import { GenerationOptionsSchema } from "@modelwire/proto";
import { table } from "./words.ts";

/** A line for each call that the model asks for: "weather({"city":"Rome"})". */
export function callLines({ toolCalls }: Pick<ChatResult, "toolCalls">): string[] {
  return toolCalls.map(({ name, argumentsJson }) => `${name}(${argumentsJson})`);
}

/** A row for each token; empty when log-probabilities were not asked for. */
export function logprobText({ logprobs }: Pick<ChatResult, "logprobs">): string {
  if (logprobs.length === 0) return "";
  const likely = ({ text, logprob }: TokenLogprob) => `${JSON.stringify(text)} ${logprob.toFixed(3)}`;
  const rows = logprobs.map((token) => [
    String(token.tokenId),
    JSON.stringify(token.text),
    token.logprob.toFixed(3),
    token.top.map(likely).join(", "),
  ]);
  return table([["ID", "TOKEN", "LOGPROB", "LIKELIEST"], ...rows]);
}

/** Everything that an answer tells. Numbers of 64 bits are texts, as in protobuf's JSON; bytes are lists of numbers. */
export function resultJson(result: ChatResult): string {
  const { id, modelId, createTime, usage, timings, seed, reproducible, options } = result;
  const all = {
    ...{ id, modelId, createTime, choices: result.choices.map(choiceData), usage, timings },
    ...{ seed: String(seed), reproducible, options: options && toJson(GenerationOptionsSchema, options) },
  };
  return `${JSON.stringify(all, undefined, 2)}\n`;
}

function choiceData({ index, text, finishReason, stopText, stopTokenId, toolCalls, logprobs }: ChatResultChoice) {
  return {
    ...{ index, text, finishReason, stopText, stopTokenId },
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(logprobs.length > 0 && { logprobs: logprobs.map(logprobData) }),
  };
}

function logprobData({ tokenId, text, utf8, logprob, top }: TokenLogprob): object {
  return { tokenId, text, utf8: [...utf8], logprob, ...(top.length > 0 && { top: top.map(logprobData) }) };
}
