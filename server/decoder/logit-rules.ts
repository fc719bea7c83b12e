// What a request does to the logits of one step before a token is drawn: constraint, bans, bias, penalties, in this
// order. Only the ids that a rule names are touched. It never knows how the token is then picked.

import type { TokenConstraint } from "./constraint.ts";
import type { SamplingOptions } from "./sampler.ts";

export interface RuledRequest {
  readonly options: SamplingOptions;
  /** Prompt and answer so far. */
  readonly tokens: Int32Array;
  readonly promptLength: number;
  readonly constraint?: TokenConstraint | undefined;
  /** Ids that may not come next: those that would end an answer that is too short to end. */
  readonly banned?: readonly number[] | undefined;
}

/**
 * Applies every rule of the request, in place. The order is vLLM's (its sampler: masks, bans, bias, then penalties),
 * each computed in double precision and rounded once.
 * @param logits [vocabSize]; written over
 */
export function applyRules(logits: Float32Array, request: RuledRequest): void {
  const { options, tokens, promptLength, constraint, banned } = request;
  constraint?.mask(logits);
  if (banned && banned.length > 0) ban(logits, banned, constraint !== undefined);
  if (options.logitBias) for (const [id, bias] of options.logitBias) logits[id]! += bias;
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
  if (repetitionPenalty !== 1) penaliseRepetition(logits, tokens, repetitionPenalty);
  if (presencePenalty !== 0 || frequencyPenalty !== 0) {
    penaliseCounts(logits, tokens, promptLength, presencePenalty, frequencyPenalty);
  }
}

/** A ban gives way where a constraint leaves nothing else: what cannot go on must be able to end. */
function ban(logits: Float32Array, ids: readonly number[], constrained: boolean): void {
  const before = constrained ? ids.map((id) => logits[id]!) : undefined;
  for (const id of ids) logits[id] = -Infinity;
  if (!before || logits.some((logit) => logit !== -Infinity)) return;
  for (const [i, id] of ids.entries()) logits[id] = before[i]!;
}

// Per token id, what has been seen of it in this call. A table that is never cleared whole: that would be a pass over the vocabulary.
let seen = new Uint32Array(0);
let call = 0;
let counts = new Uint32Array(0);

/** Of float32; a tiny penalty must not make a logit infinite. */
const largestFloat = (2 - 2 ** -23) * 2 ** 127;

/** Keskar et al., "CTRL" (2019), as Hugging Face has it: over prompt and answer, each token once however often it stands there. */
function penaliseRepetition(logits: Float32Array, tokens: Int32Array, penalty: number): void {
  if (seen.length < logits.length || call === 0xffff_ffff) {
    seen = new Uint32Array(logits.length);
    call = 0;
  }
  call++;
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i]!;
    if (seen[id] === call) continue;
    seen[id] = call;
    const logit = logits[id]!;
    logits[id] = logit > 0 ? Math.min(logit / penalty, largestFloat) : logit * penalty;
  }
}

/** OpenAI's: over the answer alone, logit − frequency × count − presence × (count > 0). */
function penaliseCounts(
  logits: Float32Array,
  tokens: Int32Array,
  from: number,
  presence: number,
  frequency: number,
): void {
  if (counts.length < logits.length) counts = new Uint32Array(logits.length);
  for (let i = from; i < tokens.length; i++) counts[tokens[i]!]!++;
  for (let i = from; i < tokens.length; i++) {
    const id = tokens[i]!;
    const count = counts[id]!;
    if (count === 0) continue;
    logits[id]! -= frequency * count + presence;
    counts[id] = 0;
  }
}
