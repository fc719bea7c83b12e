// One answer as its reader sees it: the engine's tokens become text, log-probabilities become those of texts, and what a
// stop text, a token or the model itself ended is told once. It never knows the engine or the other answers.

import type { TokenEvent } from "../decoder/sequence.ts";
import { TextStream } from "../tokenizer/text-stream.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GenerateEvent, TokenLogprob } from "./types.ts";

type Delta = GenerateEvent & { type: "delta" };
type Finish = GenerateEvent & { type: "finish" };

export interface AnswerPiece {
  readonly delta?: Delta;
  /** The answer has ended; with a stop text before the engine says so. */
  readonly finish?: Finish;
}

export class Answer {
  readonly #index: number;
  readonly #tokenizer: Tokenizer;
  readonly #text: TextStream;
  /** Since the last delta: text may lag behind its tokens. */
  #tokenIds: number[] = [];
  #logprobs: TokenLogprob[] = [];

  /** @param before ids of a text that the answer goes on with */
  constructor(index: number, tokenizer: Tokenizer, stop: readonly string[], before: readonly number[]) {
    this.#index = index;
    this.#tokenizer = tokenizer;
    this.#text = new TextStream(tokenizer, stop, before);
  }

  token(event: TokenEvent & { type: "token" }): AnswerPiece {
    this.#tokenIds.push(event.id);
    if (event.logprob !== undefined) {
      const top = (event.top ?? []).map(({ id, logprob }) => this.#logprob(id, logprob));
      this.#logprobs.push({ ...this.#logprob(event.id, event.logprob), top });
    }
    const { text, stop } = this.#text.push(event.id);
    if (stop !== undefined) return { delta: this.#delta(text), finish: this.#finish("stop", { stopString: stop }) };
    return text === "" ? {} : { delta: this.#delta(text) };
  }

  end(event: TokenEvent & { type: "finish" }): AnswerPiece {
    const { text, stop } = this.#text.flush();
    const delta = text !== "" || this.#tokenIds.length > 0 ? { delta: this.#delta(text) } : {};
    if (stop !== undefined) return { ...delta, finish: this.#finish("stop", { stopString: stop }) };
    const ended = event.id === undefined ? {} : { stopTokenId: event.id };
    return { ...delta, finish: this.#finish(event.reason === "length" ? "length" : "stop", ended) };
  }

  #delta(text: string): Delta {
    const delta = { type: "delta" as const, index: this.#index, text, tokenIds: this.#tokenIds };
    const logprobs = this.#logprobs;
    this.#tokenIds = [];
    this.#logprobs = [];
    return logprobs.length > 0 ? { ...delta, logprobs } : delta;
  }

  #finish(reason: Finish["reason"], how: Pick<Finish, "stopString" | "stopTokenId">): Finish {
    return { type: "finish", index: this.#index, reason, ...how };
  }

  #logprob(id: number, logprob: number): TokenLogprob {
    const bytes = this.#tokenizer.bytes(id) ?? new TextEncoder().encode(this.#tokenizer.decode([id]));
    return { id, text: new TextDecoder().decode(bytes), bytes, logprob };
  }
}
