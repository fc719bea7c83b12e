// How likely the model itself finds a token: log-softmax of its own logits, in double precision. Pure. It never knows
// what temperature, penalties or a constraint make of them afterwards.

import { LogitsError } from "./errors.ts";
import type { TokenLogprob } from "./sequence.ts";

/** A row of logits as the model gave it, which outlives what is done to the row afterwards. */
export interface LogprobRow {
  /** The natural logarithm of the probability of token `id`. */
  of(id: number): number;
  /** The likeliest tokens, the likeliest first, the lower id first of equals. */
  readonly top: TokenLogprob[];
}

let kept = new Float32Array(0);

/**
 * @param logits [vocabSize]; not changed
 * @param count how many of the likeliest are listed; those with probability 0 never are
 * @returns valid until the next call
 * @throws LogitsError when there is no largest logit
 */
export function logprobsOf(logits: Float32Array, count: number): LogprobRow {
  if (kept.length !== logits.length) kept = new Float32Array(logits.length);
  kept.set(logits);
  const row = kept;
  const likeliest = largest(row, Math.max(1, count));
  const first = likeliest[0];
  if (first === undefined) throw new LogitsError();
  const peak = row[first]!;
  let sum = 0;
  for (let id = 0; id < row.length; id++) sum += Math.exp(row[id]! - peak);
  // Not a number as soon as one of the logits is none, or infinite.
  if (Number.isNaN(sum)) throw new LogitsError();
  const log = Math.log(sum);
  const of = (id: number) => row[id]! - peak - log;
  return { of, top: likeliest.slice(0, count).map((id) => ({ id, logprob: of(id) })) };
}

/** Ids of the `count` largest finite logits, in order. `count` is small: each that enters is put in its place. */
function largest(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  let threshold = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!(logit > threshold)) continue;
    if (ids.length === count) ids.pop();
    let at = ids.length;
    while (at > 0 && logits[ids[at - 1]!]! < logit) at--;
    ids.splice(at, 0, id);
    if (ids.length === count) threshold = logits[ids[count - 1]!]!;
  }
  return ids;
}
