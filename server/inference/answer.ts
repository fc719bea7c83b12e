// One answer as its reader sees it: the engine's tokens become text and calls of tools, log-probabilities become those of
// texts, and what ended it, a stop text, a token or a limit, is told once. It never knows the engine or the other answers.

import type { TokenEvent } from "../decoder/sequence.ts";
import { TextStream } from "../tokenizer/text-stream.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { ToolCallParser, type ToolEvent } from "../tokenizer/tool-calls.ts";
import type { ToolFormat } from "../tokenizer/tool-format.ts";
import type { GenerateEvent, TokenLogprob, ToolCallDelta } from "./types.ts";

type Delta = GenerateEvent & { type: "delta" };
type Finish = GenerateEvent & { type: "finish" };

export interface AnswerPiece {
  readonly delta?: Delta;
  /** The answer has ended; with a stop text before the engine says so. */
  readonly finish?: Finish;
}

export interface AnswerOptions {
  readonly stop: readonly string[];
  /** Ids of a text that the answer goes on with. */
  readonly before: readonly number[];
  /** The form of calls; absent where none are looked for. */
  readonly tools?: ToolFormat | undefined;
  /** An id that no other call has. */
  newCallId(): string;
}

export class Answer {
  readonly #index: number;
  readonly #tokenizer: Tokenizer;
  readonly #text: TextStream;
  readonly #calls: ToolCallParser | undefined;
  readonly #newCallId: () => string;
  #called = false;
  /** Since the last delta: text may lag behind its tokens. */
  #tokenIds: number[] = [];
  #logprobs: TokenLogprob[] = [];

  constructor(index: number, tokenizer: Tokenizer, { stop, before, tools, newCallId }: AnswerOptions) {
    this.#index = index;
    this.#tokenizer = tokenizer;
    this.#text = new TextStream(tools ? withMarks(tokenizer, tools) : tokenizer, stop, before);
    this.#calls = tools && new ToolCallParser(tools);
    this.#newCallId = newCallId;
  }

  token(event: TokenEvent & { type: "token" }): AnswerPiece {
    this.#tokenIds.push(event.id);
    if (event.logprob !== undefined) {
      const top = (event.top ?? []).map(({ id, logprob }) => this.#logprob(id, logprob));
      this.#logprobs.push({ ...this.#logprob(event.id, event.logprob), top });
    }
    const { text, stop } = this.#text.push(event.id);
    const found = this.#found(text, stop !== undefined);
    if (stop !== undefined) return { delta: this.#delta(found), finish: this.#finish("stop", { stopString: stop }) };
    return found.length === 0 ? {} : { delta: this.#delta(found) };
  }

  end(event: TokenEvent & { type: "finish" }): AnswerPiece {
    const { text, stop } = this.#text.flush();
    const found = this.#found(text, true);
    const delta = found.length > 0 || this.#tokenIds.length > 0 ? { delta: this.#delta(found) } : {};
    if (stop !== undefined) return { ...delta, finish: this.#finish("stop", { stopString: stop }) };
    const ended = event.id === undefined ? {} : { stopTokenId: event.id };
    if (event.reason === "length") return { ...delta, finish: this.#finish("length", ended) };
    return { ...delta, finish: this.#finish(this.#called ? "tool_calls" : "stop", ended) };
  }

  #found(text: string, last: boolean): readonly ToolEvent[] {
    if (!this.#calls) return text === "" ? [] : [{ type: "text", text }];
    const found = this.#calls.push(text);
    return last ? [...found, ...this.#calls.flush()] : found;
  }

  #delta(found: readonly ToolEvent[]): Delta {
    const text = found.map((event) => (event.type === "text" ? event.text : "")).join("");
    const toolCalls = found.flatMap((event) => this.#call(event) ?? []);
    const [tokenIds, logprobs] = [this.#tokenIds, this.#logprobs];
    this.#tokenIds = [];
    this.#logprobs = [];
    return {
      ...{ type: "delta", index: this.#index, text, tokenIds },
      ...(logprobs.length > 0 && { logprobs }),
      ...(toolCalls.length > 0 && { toolCalls }),
    };
  }

  #call(event: ToolEvent): ToolCallDelta | undefined {
    if (event.type === "arguments") return { index: event.index, arguments: event.text };
    if (event.type !== "call") return undefined;
    this.#called = true;
    return { index: event.index, id: this.#newCallId(), name: event.name, arguments: "" };
  }

  #finish(reason: Finish["reason"], how: Pick<Finish, "stopString" | "stopTokenId">): Finish {
    return { type: "finish", index: this.#index, reason, ...how };
  }

  #logprob(id: number, logprob: number): TokenLogprob {
    const bytes = this.#tokenizer.bytes(id) ?? new TextEncoder().encode(this.#tokenizer.decode([id]));
    return { id, text: new TextDecoder().decode(bytes), bytes, logprob };
  }
}

/** The tokenizer, but for the control tokens that calls are written with, which count as text here. */
function withMarks(tokenizer: Tokenizer, { visibleTokens }: ToolFormat): Pick<Tokenizer, "decode" | "isHidden"> {
  return {
    decode: (ids) => tokenizer.decode(ids),
    isHidden: (id) => tokenizer.isHidden(id) && !visibleTokens.includes(id),
  };
}
