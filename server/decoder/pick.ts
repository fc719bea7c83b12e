// One token from one row of logits, with everything that a request says about it: log-probabilities of the model's own
// logits, then the rules (constraint, bans, bias, penalties), then the draw (temperature, top k, top p, min p). It
// depends on its arguments alone, so alone = batched = guessed ahead. It never knows of steps, caches or readers.

import { applyRules, type RuledRequest } from "./logit-rules.ts";
import { logprobsOf } from "./logprobs.ts";
import { type SamplingOptions, sample } from "./sampler.ts";
import type { TokenLogprob } from "./sequence.ts";

export interface PickRequest extends RuledRequest {
  /** `logprobs`: log-probabilities are told, and those of so many of the likeliest tokens. */
  readonly options: SamplingOptions & { readonly logprobs?: number };
}

export interface PickedToken {
  readonly id: number;
  /** Before every rule; only when asked for, as is `top`, the likeliest first. */
  readonly logprob?: number;
  readonly top?: TokenLogprob[];
}

/**
 * @param logits [vocabSize], as the model gave them; may be written over
 * @param draw number in [0, 1), unused when greedy
 * @throws LogitsError when the model gave no largest logit, or the rules left none
 */
export function pickToken(logits: Float32Array, request: PickRequest, draw: number): PickedToken {
  const { options } = request;
  const row = options.logprobs === undefined ? undefined : logprobsOf(logits, options.logprobs);
  applyRules(logits, request);
  const id = sample(logits, options, draw);
  return row ? { id, logprob: row.of(id), top: row.top } : { id };
}
