// How long until a request would get its first token, and until there is a place for another, from what steps cost and what is
// ahead of it. Estimates, pure; undefined where nothing is known yet.

import type { Pacer } from "./pacer.ts";

export interface Load {
  /** Most sequences that run at a time. */
  readonly places: number;
  readonly running: readonly Ahead[];
  /** Those that go first. */
  readonly waiting: readonly Ahead[];
}

export interface Ahead {
  /** Tokens of its prompt that are not computed. */
  readonly promptTokens: number;
  /** Tokens that its answer may still get. */
  readonly answerTokens: number;
}

/**
 * Milliseconds until the first token of a prompt of which `promptTokens` are to be computed.
 * @param meanAnswer tokens of an answer, as they were of late; answers end later at most, at their limits
 */
export function firstTokenMs(
  promptTokens: number,
  load: Load,
  meanAnswer: number | undefined,
  pacer: Pacer,
): number | undefined {
  const decoding = load.running.filter((ahead) => ahead.promptTokens <= 1).length;
  const prompts = [...load.running, ...load.waiting].reduce((sum, ahead) => {
    return ahead.promptTokens > 1 ? sum + ahead.promptTokens : sum;
  }, promptTokens);
  const prefill = pacer.prefillMs(prompts, decoding);
  const place = placeMs(load, meanAnswer, pacer);
  return prefill === undefined || place === undefined ? undefined : prefill + place;
}

/** Milliseconds until so many of the running have ended that those who wait and one more have a place. */
export function placeMs(load: Load, meanAnswer: number | undefined, pacer: Pacer): number | undefined {
  const endings = load.running.length + load.waiting.length + 1 - load.places;
  if (endings <= 0) return 0;
  const step = pacer.stepMs(Math.max(1, load.running.length));
  if (step === undefined) return undefined;
  const expected = ({ answerTokens }: Ahead) => Math.min(answerTokens, Math.max(1, meanAnswer ?? answerTokens));
  // The places become free one after the other, and are taken again by those ahead.
  const ends = load.running.map(expected).sort((a, b) => a - b);
  let tokens = 0;
  for (let i = 0; i < endings; i++) {
    tokens = ends.shift() ?? tokens;
    const next = load.waiting[i];
    if (next) ends.push(tokens + expected(next));
    ends.sort((a, b) => a - b);
  }
  return tokens * step;
}
