// Answers of the decoder in the shape that a signature promises: OpenAI's chat completion, OpenAI's text completion, or
// the text alone.
import { randomUUID } from "node:crypto";
import type { Usage } from "../inference/host.ts";
import type { Data, DataMap } from "../mlmodel/data/data.ts";

/** "text" is what MLflow's custom wrapper gives: prompt in, text out. */
export type AnswerShape = "chat" | "completion" | "text";

export interface Answer {
  readonly choices: readonly { readonly text: string; readonly reason: "stop" | "length" }[];
  readonly usage: Usage;
}

/** @param model The name that the answer carries. */
export function answerData(answer: Answer, shape: AnswerShape, model: string, created: Date): Data {
  const { choices, usage } = answer;
  if (shape === "text") {
    const texts = choices.map(({ text }) => text);
    return texts.length === 1 ? (texts[0] ?? "") : texts;
  }
  const chat = shape === "chat";
  const entries: Record<string, Data> = {
    id: `${chat ? "chatcmpl" : "cmpl"}-${randomUUID().replaceAll("-", "")}`,
    object: chat ? "chat.completion" : "text_completion",
    created: BigInt(Math.floor(created.getTime() / 1000)),
    model,
    choices: choices.map(({ text, reason }, index) =>
      dict({
        index: BigInt(index),
        ...(chat ? { message: dict({ role: "assistant", content: text }) } : { text }),
        finish_reason: reason,
      }),
    ),
    usage: dict({
      prompt_tokens: BigInt(usage.promptTokens),
      completion_tokens: BigInt(usage.completionTokens),
      total_tokens: BigInt(usage.promptTokens + usage.completionTokens),
    }),
  };
  return dict(entries);
}

function dict(entries: Record<string, Data>): DataMap {
  return new Map(Object.entries(entries));
}
