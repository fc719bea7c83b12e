// What a chat's messages mean in a trace: OpenTelemetry's attributes for generative AI. Messages' contents only where that is
// asked for. It must never know when a call began, nor where a span goes.
// https://github.com/open-telemetry/semantic-conventions/blob/main/docs/gen-ai/gen-ai-spans.md
import { isMessage, type Message } from "@bufbuild/protobuf";
import {
  type ChatMessage,
  ChatRequestSchema,
  ChatResponseSchema,
  FinishReason,
  type GenerationOptions,
  PredictRequestSchema,
  PredictResponseSchema,
  StreamChatRequestSchema,
  StreamChatResponseSchema,
  StreamPredictRequestSchema,
  StreamPredictResponseSchema,
  type Usage,
} from "@modelwire/proto";
import type { Attribute, Attributes } from "./span.ts";

/** What is known of a call from its messages so far. */
export class GenAiCall {
  readonly #content: boolean;
  /** The texts of a stream's answers, by index; only where contents are asked for. */
  readonly #texts: string[] = [];

  /** @param content whether contents of messages are told */
  constructor(content: boolean) {
    this.#content = content;
  }

  /** What a request tells; undefined for one that asks no model for text. */
  request(message: Message): { readonly name?: string; readonly attributes: Attributes } | undefined {
    if (isMessage(message, ChatRequestSchema) || isMessage(message, StreamChatRequestSchema)) {
      const attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "modelwire",
        "gen_ai.request.model": message.model,
        ...asked(message.options),
        ...(this.#content && { "gen_ai.input.messages": JSON.stringify(message.messages.map(inputMessage)) }),
      };
      return { name: `chat ${message.model}`, attributes };
    }
    if (isMessage(message, PredictRequestSchema) || isMessage(message, StreamPredictRequestSchema))
      return { attributes: { "gen_ai.request.model": message.model } };
    return undefined;
  }

  /** What a response tells. `first`: it may hold the first token. */
  response(message: Message): { readonly attributes: Attributes; readonly first: boolean } | undefined {
    if (isMessage(message, StreamChatResponseSchema)) {
      const { event } = message;
      if (event.case === "delta") {
        const { index, content } = event.value;
        if (this.#content) this.#texts[index] = (this.#texts[index] ?? "") + content;
        return { attributes: {}, first: true };
      }
      if (event.case !== "done") return undefined;
      const { id, modelId, choices, usage } = event.value;
      const texts = choices.map(({ index, finishReason }) => ({ text: this.#texts[index] ?? "", finishReason }));
      return { attributes: this.#answered(id, modelId, texts, usage), first: false };
    }
    if (isMessage(message, ChatResponseSchema)) {
      const { id, modelId, choices, usage } = message;
      const texts = choices.map(({ message, finishReason }) => ({ text: message?.content ?? "", finishReason }));
      return { attributes: this.#answered(id, modelId, texts, usage), first: false };
    }
    if (isMessage(message, StreamPredictResponseSchema)) {
      if (message.event.case === "delta") return { attributes: {}, first: true };
      return message.event.case === "done" ? this.response(message.event.value) : undefined;
    }
    if (isMessage(message, PredictResponseSchema)) {
      const { modelId, usage: used } = message;
      // A plain graph has no tokens: it is no generation.
      const attributes: Attributes = used
        ? { "gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "modelwire" }
        : {};
      return { attributes: { ...attributes, "gen_ai.response.model": modelId, ...usage(used) }, first: false };
    }
    return undefined;
  }

  #answered(
    id: string,
    modelId: string,
    answers: readonly { readonly text: string; readonly finishReason: FinishReason }[],
    used: Usage | undefined,
  ): Attributes {
    const reasons = answers.map(({ finishReason }) => FinishReason[finishReason].toLowerCase());
    const output = answers.map(({ text }, i) => {
      return { role: "assistant", parts: [{ type: "text", content: text }], finish_reason: reasons[i] };
    });
    return {
      "gen_ai.response.id": id,
      "gen_ai.response.model": modelId,
      "gen_ai.response.finish_reasons": reasons,
      ...usage(used),
      ...(this.#content && { "gen_ai.output.messages": JSON.stringify(output) }),
    };
  }
}

function usage(used: Usage | undefined): Attributes {
  if (!used) return {};
  return {
    "gen_ai.usage.input_tokens": used.promptTokens,
    "gen_ai.usage.output_tokens": used.completionTokens,
    "gen_ai.usage.cache_read.input_tokens": used.cachedPromptTokens,
  };
}

/** What was asked for; what was left to the model is absent. */
function asked(options: GenerationOptions | undefined): Attributes {
  if (!options) return {};
  const { temperature, topP, topK, maxTokens, seed, stop, n, presencePenalty, frequencyPenalty } = options;
  const all: Record<string, Attribute | undefined> = {
    "gen_ai.request.temperature": double(temperature),
    "gen_ai.request.top_p": double(topP),
    "gen_ai.request.top_k": topK,
    "gen_ai.request.max_tokens": maxTokens,
    // OTLP's integers are signed; the larger half of the seeds stands as text.
    "gen_ai.request.seed": seed !== undefined && seed >= 2n ** 63n ? `${seed}` : seed,
    "gen_ai.request.stop_sequences": stop.length > 0 ? stop : undefined,
    "gen_ai.request.choice.count": n !== undefined && n > 1 ? n : undefined,
    "gen_ai.request.presence_penalty": double(presencePenalty),
    "gen_ai.request.frequency_penalty": double(frequencyPenalty),
  };
  return Object.fromEntries(
    Object.entries(all).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
  );
}

function double(value: number | undefined): Attribute | undefined {
  return value === undefined ? undefined : { double: value };
}

function inputMessage({ role, content }: ChatMessage) {
  return { role, parts: [{ type: "text", content }] };
}
