// One answer in the making: prompt, generated tokens, how far the cache is, and the events its reader has not yet
// taken. A sequence does not know the others, the runner or the clock.

import type { CacheHandle } from "../onnx/model-runner.ts";
import type { SamplingOptions } from "./sampler.ts";

export interface SequenceOptions extends SamplingOptions {
  readonly seed: bigint;
  /** Tokens after which the answer ends at the latest. */
  readonly maxTokens: number;
  /** Tokens before which it does not end by itself; default 0. */
  readonly minTokens?: number;
  /** Tokens that end it besides the model's own; they are not part of it. */
  readonly stopTokenIds?: readonly number[];
  /** The model's own ending tokens are tokens like any other. */
  readonly ignoreEos?: boolean;
  /** Log-probabilities are told: of each token, and of so many of the likeliest ones. Absent: none are. */
  readonly logprobs?: number;
}

/** "eos": an ending token of the model; "stop": one of `stopTokenIds`, or nothing else may follow; "length": `maxTokens`. */
export type FinishReason = "eos" | "stop" | "length";

/** The natural logarithm of a token's probability as the model gives it: before temperature, penalties, bias and limits. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/** What a reader of a sequence receives. Times are milliseconds since it was asked for. */
export type TokenEvent =
  /** Its prompt is about to be computed, but for the first `cachedTokens`, which another sequence had computed. */
  | { readonly type: "start"; readonly cachedTokens: number; readonly timeMs: number }
  /** `logprob` and `top`, the likeliest first, where they are asked for. */
  | {
      readonly type: "token";
      readonly id: number;
      readonly timeMs: number;
      readonly logprob?: number;
      readonly top?: readonly TokenLogprob[];
    }
  /** `id` is the token that ended it, if one did. `work` is what the answer took. */
  | {
      readonly type: "finish";
      readonly reason: FinishReason;
      readonly id?: number;
      readonly timeMs: number;
      readonly work?: SequenceWork;
    };

export interface SequenceWork {
  /** Steps that gave it at least one token. */
  readonly steps: number;
  /** Tokens that were guessed ahead, and those of them that were right. */
  readonly drafted: number;
  readonly accepted: number;
}

/** `queued` has no place in the cache, not yet or no longer; `running` has one; `ended` has given it back. */
export type SequenceStatus = "queued" | "running" | "ended";

export class Sequence {
  readonly id: number;
  readonly options: SequenceOptions;
  readonly promptLength: number;
  readonly askedAtMs: number;
  readonly #sharing: object | undefined;
  status: SequenceStatus = "queued";
  handle: CacheHandle | null = null;
  /** Prompt and generated tokens; the first `length` are filled. */
  readonly #tokens: Int32Array;
  #length: number;
  /** Tokens whose keys and values are in the cache. All but the last generated one, once the prompt is through. */
  cached = 0;
  /** The first step that it takes part in has been planned. */
  started = false;
  /** Tokens that it had when it last gave up its place, and that are computed again when it has one; 0 if it never did. */
  recompute = 0;
  /** Its reader has gone: it leaves before the next step. */
  cancelled = false;
  /** Events that the reader has not taken. */
  readonly events: TokenEvent[] = [];
  error: unknown;
  /** Called when there is an event, an error or an end to be read. */
  wake: () => void = () => {};

  constructor(id: number, prompt: Int32Array, options: SequenceOptions, askedAtMs: number, sharing?: object) {
    this.id = id;
    this.options = options;
    this.promptLength = prompt.length;
    this.askedAtMs = askedAtMs;
    this.#sharing = sharing;
    this.#tokens = new Int32Array(prompt.length + options.maxTokens);
    this.#tokens.set(prompt);
    this.#length = prompt.length;
  }

  /** Prompt and generated tokens. */
  get length(): number {
    return this.#length;
  }

  get generated(): number {
    return this.#length - this.promptLength;
  }

  /** Tokens that the model has not seen: the rest of the prompt, or the last generated one. */
  get pending(): number {
    return this.#length - this.cached;
  }

  /** Whether the next step gives it a token whatever the chunk size. */
  get decoding(): boolean {
    return this.pending === 1;
  }

  /** The next `count` tokens for the model, in place. */
  next(count: number): Int32Array {
    return this.#tokens.subarray(this.cached, this.cached + count);
  }

  /** Length of the beginning that both have, as far as `other` is in the cache; never the whole prompt, whose last token gives the first logits. */
  sharedWith(other: Sequence): number {
    if (this.#sharing === undefined || this.#sharing !== other.#sharing) return 0;
    const limit = Math.min(this.promptLength - 1, other.cached);
    let length = 0;
    while (length < limit && this.#tokens[length] === other.#tokens[length]) length++;
    return length;
  }

  /** Gives up its place for one that waits. What it had is computed again, to the same bits, when it gets another. */
  park(): void {
    this.handle = null;
    this.cached = 0;
    this.recompute = this.#length;
    this.status = "queued";
  }

  append(token: number): void {
    this.#tokens[this.#length++] = token;
  }
}
