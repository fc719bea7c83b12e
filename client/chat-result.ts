// From an answer on the wire to what a program works with: whole, or folded from the pieces of a stream. It must never make a
// call.
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type {
  ChatDelta,
  ChatDone,
  ChatResponse,
  ChoiceEnd,
  GenerationOptions,
  Timings,
  ToolCallDelta,
  Usage,
  TokenLogprob as WireLogprob,
} from "@modelwire/proto";
import { ApiError, FinishReason } from "@modelwire/proto";
import type { ChatTimings, ChatTurn, FinishReasonName, TokenLogprob, TokenUsage } from "./chat-types.ts";
import { ToolCall } from "./tools.ts";

/** What one choice is made of, besides how it ended. */
interface Content {
  text: string;
  calls: { id: string; name: string; argumentsJson: string }[];
  logprobs: WireLogprob[];
}

const NOTHING: Content = { text: "", calls: [], logprobs: [] };

/** How an answer ended and what it says. `Json` is what its format promises, `Call` what its tools do. */
class Answer<Json = unknown, Call extends ToolCall = ToolCall> {
  readonly text: string;
  /** The answer as a message, calls of tools included, to be appended to the conversation. */
  readonly message: ChatTurn;
  readonly finishReason: FinishReasonName;
  /** The stop text that ended it; absent when none did. */
  readonly stopText?: string;
  /** The token that ended it; absent when none did. */
  readonly stopTokenId?: number;
  /** The calls that the model asks for; empty when it asks for none. */
  readonly toolCalls: Call[];
  /** One for each token; empty unless they were asked for. */
  readonly logprobs: TokenLogprob[];

  constructor({ text, calls, logprobs }: Content, end: Partial<ChoiceEnd>) {
    this.text = text;
    this.toolCalls = calls.map(({ id, name, argumentsJson }) => new ToolCall(id, name, argumentsJson) as Call);
    const said = { role: "assistant", content: text };
    this.message = calls.length > 0 ? { ...said, toolCalls: calls.map((call) => ({ ...call })) } : said;
    this.finishReason = finishReasonName(end.finishReason);
    if (end.stopText !== undefined) this.stopText = end.stopText;
    if (end.stopTokenId !== undefined) this.stopTokenId = end.stopTokenId;
    this.logprobs = logprobs.map(tokenLogprob);
  }

  /**
   * The answer read as JSON, anew each time.
   *
   * @throws ApiError DATA_LOSS when it is none: it was cut off, or no format asked for JSON.
   */
  json(): Json {
    try {
      return JSON.parse(this.text) as Json;
    } catch (cause) {
      const why = this.finishReason === "length" ? "it was cut off; allow more with maxTokens" : String(cause);
      throw new ApiError({ code: status.DATA_LOSS }, `the answer is no JSON: ${why}`, { cause });
    }
  }
}

/** One answer. */
export class ChatResultChoice<Json = unknown, Call extends ToolCall = ToolCall> extends Answer<Json, Call> {
  constructor(
    /** From 0 to n - 1. */
    readonly index: number,
    content: Content,
    end: Partial<ChoiceEnd>,
  ) {
    super(content, end);
  }
}

/** A whole answer. What it says itself is what choice 0 says. */
export class ChatResult<Json = unknown, Call extends ToolCall = ToolCall> extends Answer<Json, Call> {
  /** "chatcmpl-" and the request id. */
  readonly id: string;
  /** The model that answered. */
  readonly modelId: string;
  /** When the request arrived at the server. */
  readonly createTime: Date;
  /** All answers, by index. */
  readonly choices: ChatResultChoice<Json, Call>[];
  readonly usage: TokenUsage;
  readonly timings: ChatTimings;
  /** The seed that was used: the same request with it gives the same answer. */
  readonly seed: bigint;
  /** Whether it does so whatever else the server computes beside it. */
  readonly reproducible: boolean;
  /** Every option as it was in force. */
  readonly options: GenerationOptions | undefined;

  constructor(done: Omit<ChatDone, "$typeName">, contents: ReadonlyMap<number, Content>) {
    const ends = [...done.choices].sort((a, b) => a.index - b.index);
    const contentOf = (index: number) => contents.get(index) ?? NOTHING;
    super(contentOf(ends[0]?.index ?? 0), ends[0] ?? {});
    this.id = done.id;
    this.modelId = done.modelId;
    this.createTime = done.createTime ? timestampDate(done.createTime) : new Date(0);
    this.choices = ends.map((end) => new ChatResultChoice<Json, Call>(end.index, contentOf(end.index), end));
    this.usage = tokenUsage(done.usage);
    this.timings = chatTimings(done.timings);
    this.seed = done.options?.seed ?? 0n;
    this.reproducible = done.reproducible;
    this.options = done.options;
  }
}

/** The whole answer of a unary call. */
export function fromChatResponse<Json, Call extends ToolCall>(response: ChatResponse): ChatResult<Json, Call> {
  const contents = response.choices.map(({ index, message, logprobs }): [number, Content] => {
    const calls = message?.toolCalls.map(({ id, name, argumentsJson }) => ({ id, name, argumentsJson })) ?? [];
    return [index, { text: message?.content ?? "", calls, logprobs }];
  });
  const ends = response.choices.map(({ index, finishReason, stopText, stopTokenId }) => ({
    ...{ $typeName: "modelwire.inference.v1.ChoiceEnd" as const, index, finishReason, stopText, stopTokenId },
  }));
  return new ChatResult({ ...response, choices: ends }, new Map(contents));
}

/** What the pieces of a stream add up to. */
export class FoldedChat {
  readonly #contents = new Map<number, Content>();

  add({ index, content, logprobs, toolCalls }: ChatDelta): void {
    const said = this.#contents.get(index) ?? { text: "", calls: [], logprobs: [] };
    this.#contents.set(index, said);
    said.text += content;
    said.logprobs.push(...logprobs);
    for (const piece of toolCalls) addCall(said.calls, piece);
  }

  result<Json, Call extends ToolCall>(done: ChatDone): ChatResult<Json, Call> {
    return new ChatResult(done, this.#contents);
  }
}

function addCall(calls: Content["calls"], { index, id, name, argumentsJson }: ToolCallDelta): void {
  const call = calls[index];
  if (call) call.argumentsJson += argumentsJson;
  else calls[index] = { id, name, argumentsJson };
}

/** Counts that are absent are 0. */
export function tokenUsage(usage: Usage | undefined): TokenUsage {
  const { promptTokens = 0, completionTokens = 0, totalTokens = 0, cachedPromptTokens = 0 } = usage ?? {};
  return { promptTokens, completionTokens, totalTokens, cachedPromptTokens };
}

function chatTimings(timings: Timings | undefined): ChatTimings {
  const { tokensPerSecond = 0, steps = 0, draftedTokens = 0, acceptedTokens = 0 } = timings ?? {};
  return {
    queueMs: timings?.queue ? durationMs(timings.queue) : 0,
    timeToFirstTokenMs: timings?.timeToFirstToken ? durationMs(timings.timeToFirstToken) : 0,
    totalMs: timings?.total ? durationMs(timings.total) : 0,
    ...{ tokensPerSecond, steps, draftedTokens, acceptedTokens },
  };
}

function tokenLogprob({ tokenId, text, utf8, logprob, top }: WireLogprob): TokenLogprob {
  return { tokenId, text, utf8, logprob, top: top.map(tokenLogprob) };
}

function finishReasonName(reason: FinishReason | undefined): FinishReasonName {
  switch (reason) {
    case FinishReason.STOP:
      return "stop";
    case FinishReason.LENGTH:
      return "length";
    case FinishReason.TOOL_CALLS:
      return "tool_calls";
    default:
      return "unspecified";
  }
}
