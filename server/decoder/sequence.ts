// One answer in the making: prompt, generated tokens, how far the cache is, and the events its reader has not yet
// taken. A sequence does not know the others, the runner or the clock.

import type { CacheHandle } from "../onnx/model-runner.ts";
import type { TokenConstraint } from "./constraint.ts";
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

/** `queued` has no place among those that are computed, not yet or no longer; `running` has one; `ended` has given it back. */
export type SequenceStatus = "queued" | "running" | "ended";

/** Who asks for a sequence, and how urgently. */
export interface SequenceStanding {
  readonly askedAtMs: number;
  /** When the engine took it in. */
  readonly arrivedAtMs: number;
  /** Sequences with the same value may take over each other's keys and values. */
  readonly scope: unknown;
  /** What it leaves in the cache is of use to others when it has ended. */
  readonly leavesCache: boolean;
  readonly caller: string;
  readonly priority: number;
  /** Infinity: none. */
  readonly deadlineMs: number;
  readonly constraint: TokenConstraint | undefined;
  /** Tokens that end the answer, and what that is called. */
  readonly endings: ReadonlyMap<number, FinishReason>;
}

export class Sequence {
  readonly id: number;
  readonly options: SequenceOptions;
  readonly standing: SequenceStanding;
  readonly promptLength: number;
  status: SequenceStatus = "queued";
  /** Its place in the runner's cache, from the first step that it takes part in on. */
  handle: CacheHandle | null = null;
  /** Prompt and generated tokens; the first `length` are filled, behind them may lie guesses. */
  readonly #tokens: Int32Array;
  #length: number;
  /** Tokens whose keys and values are in the cache. All but the last generated one, once the prompt is through. */
  cached = 0;
  /** The start has been told: the first step that it takes part in has been planned. */
  started = false;
  /** Tokens that it had when it last gave up its place; 0 if it never did. */
  recompute = 0;
  /** Where it stands among the prompts that wait to be computed: see FairShare. */
  tag = 0;
  /** Its reader has gone, or its time is over: it leaves before the next step. */
  cancelled = false;
  /** Events that the reader has not taken. */
  readonly events: TokenEvent[] = [];
  error: unknown;
  /** When the first step that it takes part in was planned, and when its first and its last token came; NaN before. */
  startedAtMs = Number.NaN;
  firstTokenAtMs = Number.NaN;
  lastTokenAtMs = Number.NaN;
  readonly work = { steps: 0, drafted: 0, accepted: 0 };
  /** Guesses its next tokens; made when it is first alone enough for that. */
  lookup: { draft(tokens: Int32Array, most: number): Int32Array } | undefined;
  /** Called when there is an event, an error or an end to be read. */
  wake: () => void = () => {};

  constructor(id: number, prompt: Int32Array, options: SequenceOptions, standing: SequenceStanding) {
    this.id = id;
    this.options = options;
    this.standing = standing;
    this.promptLength = prompt.length;
    this.#tokens = new Int32Array(prompt.length + options.maxTokens);
    this.#tokens.set(prompt);
    this.#length = prompt.length;
  }

  get caller(): string {
    return this.standing.caller;
  }

  get priority(): number {
    return this.standing.priority;
  }

  get arrivedAtMs(): number {
    return this.standing.arrivedAtMs;
  }

  /** Prompt and generated tokens. */
  get length(): number {
    return this.#length;
  }

  get generated(): number {
    return this.#length - this.promptLength;
  }

  /** Tokens that the answer may still get. */
  get remaining(): number {
    return this.options.maxTokens - this.generated;
  }

  /** Tokens that the model has not seen: the rest of the prompt, or the last generated one. */
  get pending(): number {
    return this.#length - this.cached;
  }

  /** All tokens so far, in place. */
  get tokens(): Int32Array {
    return this.#tokens.subarray(0, this.#length);
  }

  /** Tokens whose keys and values are in the cache, in place. */
  get inCache(): Int32Array {
    return this.#tokens.subarray(0, this.cached);
  }

  /** The next `count` tokens for the model and guesses of what follows them, in place. */
  next(count: number, draft: Int32Array = none): Int32Array {
    this.#tokens.set(draft, this.cached + count);
    return this.#tokens.subarray(this.cached, this.cached + count + draft.length);
  }

  /** Gives up its place for another. What it had is in the cache still, or is computed again to the same bits. */
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

const none = new Int32Array(0);
