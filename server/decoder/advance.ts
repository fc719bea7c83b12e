// What a step has given to one sequence: tokens are picked, kept, told to its reader, and may end it. Guesses are kept as
// far as they are what is picked anyway, each with the random number of its own position: so an answer does not depend on
// them. It knows one sequence and its logits; neither the runner nor the others.

import { pickToken } from "./pick.ts";
import { uniform } from "./random.ts";
import { isGreedy } from "./sampler.ts";
import type { PlanEntry } from "./scheduler.ts";
import type { FinishReason, Sequence } from "./sequence.ts";

export interface Ending {
  readonly reason: FinishReason;
  /** The token that ended it, if one did. */
  readonly id?: number;
}

/**
 * @param logits [1 + guesses × vocabSize], or null when the entry does not reach the end of what is known; written over
 * @param timeMs since it was asked for
 * @returns how it ended, if it did
 * @throws LogitsError when its numbers are broken: it has then what came before
 */
export function advance(
  { sequence, count, draft }: PlanEntry<Sequence>,
  logits: Float32Array | null,
  timeMs: number,
): Ending | undefined {
  if (!logits) {
    sequence.cached += count;
    return undefined;
  }
  const { work } = sequence;
  work.steps++;
  work.drafted += draft.length;
  const vocabSize = logits.length / (1 + draft.length);
  for (let row = 0; row <= draft.length; row++) {
    const picked = pick(sequence, logits.subarray(row * vocabSize, (row + 1) * vocabSize));
    sequence.cached += row === 0 ? count : 1;
    if (row > 0) work.accepted++;
    const ending = keep(sequence, picked, timeMs);
    if (ending) return ending;
    if (picked.id !== draft[row]) break;
  }
  return undefined;
}

function pick(sequence: Sequence, logits: Float32Array): ReturnType<typeof pickToken> {
  const { options, standing, tokens, promptLength, length } = sequence;
  const { constraint, endings } = standing;
  const banned = sequence.generated < (options.minTokens ?? 0) ? [...endings.keys()] : undefined;
  const draw = isGreedy(options) ? 0 : uniform(options.seed, length);
  return pickToken(logits, { options, tokens, promptLength, constraint, banned }, draw);
}

function keep(
  sequence: Sequence,
  { id, logprob, top }: ReturnType<typeof pickToken>,
  timeMs: number,
): Ending | undefined {
  const { constraint, endings } = sequence.standing;
  const reason = endings.get(id);
  if (reason) return { reason, id };
  constraint?.accept(id);
  sequence.append(id);
  sequence.events.push({
    type: "token",
    id,
    timeMs,
    ...(logprob === undefined ? {} : { logprob }),
    ...(top ? { top } : {}),
  });
  if (constraint?.finished) return { reason: "stop" };
  return sequence.remaining > 0 ? undefined : { reason: "length" };
}
