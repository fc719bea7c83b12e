// A conversation in the words of a TypeScript program, and the way from and to the wire's. It must never make a call.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  ChatDone,
  ChatResponse,
  FieldViolation,
  GenerationOptions,
  StreamChatRequestSchema,
  Usage,
} from "@modelwire/proto";
import { FinishReason, invalidFields } from "@modelwire/proto";

/** One message of a conversation. */
export interface ChatTurn {
  /** What else the model's chat template knows is allowed too. */
  role: "system" | "user" | "assistant" | (string & {});
  content: string;
  /** Name of the participant; most chat templates ignore it. */
  name?: string;
}

/** What to ask. An option that is absent means the model's own default; zero means zero. */
export interface ChatInput {
  /** Model id, models:/ URI, or a name, which means the newest READY model of that name. */
  model: string;
  /** The conversation so far; a plain string is one message of the user. */
  messages: string | readonly ChatTurn[];
  /** Divides the logits before sampling, from 0 to 100. 0 takes the likeliest token. */
  temperature?: number;
  /** Most new tokens per choice. Absent means what is left of the context. */
  maxTokens?: number;
  /** Texts that end the answer; they are not part of it. At most 16. */
  stop?: string | readonly string[];
  /** How many answers, made side by side. 1 when absent, at most 8. */
  n?: number;
  /** Sample from the smallest set of tokens whose probabilities reach this sum. */
  topP?: number;
  /** Sample from this many of the likeliest tokens; 0 turns it off. */
  topK?: number;
  /** Whole, from 0 to 2^64 - 1. Absent means that the server draws one; {@link ChatResult.seed} says which. */
  seed?: number | bigint;
}

/** Token counts, of all choices together. */
export interface TokenUsage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** Prompt tokens that did not have to be computed again. */
  cachedPromptTokens: number;
}

/** Why an answer ended: by itself or on a stop text, or because tokens ran out. */
export type FinishReasonName = "stop" | "length" | "unspecified";

/** One answer. */
export interface ChatResultChoice {
  /** From 0 to n - 1. */
  index: number;
  text: string;
  /** The answer as a message, to be appended to the conversation. */
  message: ChatTurn;
  finishReason: FinishReasonName;
  /** The stop text that ended it; absent when none did. */
  stopText?: string;
}

/** A whole answer. `text`, `message`, `finishReason` and `stopText` are those of choice 0. */
export interface ChatResult extends Omit<ChatResultChoice, "index"> {
  /** "chatcmpl-" and the request id. */
  id: string;
  /** The model that answered. */
  modelId: string;
  /** When the request arrived at the server. */
  createTime: Date;
  /** All answers, by index. */
  choices: ChatResultChoice[];
  usage: TokenUsage;
  /** Where the time went, as the server saw it, in milliseconds. */
  timings: { queueMs: number; timeToFirstTokenMs: number; totalMs: number; tokensPerSecond: number };
  /** The seed that was used: the same request with it gives the same answer. */
  seed: bigint;
  /** Every option as it was in force. */
  options: GenerationOptions | undefined;
}

/**
 * The request for an input.
 *
 * @throws ApiError INVALID_ARGUMENT when a number cannot be sent as what it is.
 */
export function toChatRequest(input: ChatInput): MessageInitShape<typeof StreamChatRequestSchema> {
  const { model, messages, temperature, maxTokens, stop, n, topP, topK, seed } = input;
  const violations: FieldViolation[] = [];
  for (const [field, value] of Object.entries({ max_tokens: maxTokens, n, top_k: topK })) {
    if (value !== undefined && !(Number.isInteger(value) && Math.abs(value) < 2 ** 31)) {
      violations.push({ field: `options.${field}`, description: `${value} is not a whole number of 32 bits` });
    }
  }
  if (
    seed !== undefined &&
    !(typeof seed === "bigint" ? seed >= 0n && seed < 2n ** 64n : Number.isSafeInteger(seed) && seed >= 0)
  ) {
    violations.push({
      field: "options.seed",
      description: `${seed} is not a whole number from 0 to 2^64 - 1; above 2^53 - 1 it must be a bigint`,
    });
  }
  if (violations.length > 0) throw invalidFields(violations);
  return {
    model,
    messages:
      typeof messages === "string" ? [{ role: "user", content: messages }] : messages.map((turn) => ({ ...turn })),
    options: {
      temperature,
      maxTokens,
      stop: typeof stop === "string" ? [stop] : [...(stop ?? [])],
      n,
      topP,
      topK,
      seed: seed === undefined ? undefined : BigInt(seed),
    },
  };
}

/** The whole answer of a unary call. */
export function fromChatResponse(response: ChatResponse): ChatResult {
  const ends = response.choices.map(({ index, finishReason, stopText }) => ({ index, finishReason, stopText }));
  const texts = new Map(response.choices.map(({ index, message }) => [index, message?.content ?? ""]));
  return chatResult({ ...response, choices: ends }, texts);
}

/** The whole answer of a stream: its last message, and the text that came before, by index. */
export function chatResult(
  done: Pick<ChatDone, "id" | "modelId" | "createTime" | "usage" | "timings" | "options"> & {
    choices: readonly { index: number; finishReason: FinishReason; stopText?: string | undefined }[];
  },
  texts: ReadonlyMap<number, string>,
): ChatResult {
  const choices = done.choices
    .map(({ index, finishReason, stopText }): ChatResultChoice => {
      const text = texts.get(index) ?? "";
      const choice: ChatResultChoice = {
        index,
        text,
        message: { role: "assistant", content: text },
        finishReason: finishReasonName(finishReason),
      };
      return stopText === undefined ? choice : { ...choice, stopText };
    })
    .sort((a, b) => a.index - b.index);
  const { index: _, ...first } = choices[0] ?? {
    index: 0,
    text: texts.get(0) ?? "",
    message: { role: "assistant", content: texts.get(0) ?? "" },
    finishReason: "unspecified" as const,
  };
  const { usage, timings } = done;
  return {
    ...first,
    id: done.id,
    modelId: done.modelId,
    createTime: done.createTime ? timestampDate(done.createTime) : new Date(0),
    choices,
    usage: tokenUsage(usage),
    timings: {
      queueMs: timings?.queue ? durationMs(timings.queue) : 0,
      timeToFirstTokenMs: timings?.timeToFirstToken ? durationMs(timings.timeToFirstToken) : 0,
      totalMs: timings?.total ? durationMs(timings.total) : 0,
      tokensPerSecond: timings?.tokensPerSecond ?? 0,
    },
    seed: done.options?.seed ?? 0n,
    options: done.options,
  };
}

/** Counts that are absent are 0. */
export function tokenUsage(usage: Usage | undefined): TokenUsage {
  return {
    promptTokens: usage?.promptTokens ?? 0,
    completionTokens: usage?.completionTokens ?? 0,
    totalTokens: usage?.totalTokens ?? 0,
    cachedPromptTokens: usage?.cachedPromptTokens ?? 0,
  };
}

function finishReasonName(reason: FinishReason): FinishReasonName {
  switch (reason) {
    case FinishReason.STOP:
      return "stop";
    case FinishReason.LENGTH:
      return "length";
    default:
      return "unspecified";
  }
}
