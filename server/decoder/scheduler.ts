// Decides what one step computes. Pure: it takes facts about sequences and returns entries. Decoding goes first; beside
// it goes at most one chunk of one prompt, small enough not to hold the others up, and large when nobody else runs.

export interface SchedulerOptions {
  /** Prompt tokens of a step in which others decode; default 32. */
  readonly chunkBesideDecoding: number;
  /** Prompt tokens of a step without decoding; default 128. */
  readonly chunkAlone: number;
}

/** What the scheduler sees of a running sequence. */
export interface Schedulable {
  readonly id: number;
  /** Tokens the model has not seen. */
  readonly pending: number;
  /** Its reader is behind: it takes no part until something has been taken. */
  readonly paused: boolean;
}

export interface PlanEntry<S> {
  readonly sequence: S;
  readonly count: number;
  /** The entry reaches the end of what is known, so a token follows from it. */
  readonly samples: boolean;
}

/**
 * @param running in the order of admission: the first prompt is finished before the next one begins
 * @returns entries of distinct sequences; none when there is nothing to do
 */
export function planStep<S extends Schedulable>(running: readonly S[], options: SchedulerOptions): PlanEntry<S>[] {
  const ready = running.filter((sequence) => !sequence.paused);
  const plan: PlanEntry<S>[] = ready
    .filter((sequence) => sequence.pending === 1)
    .map((sequence) => ({ sequence, count: 1, samples: true }));
  const prompt = ready.find((sequence) => sequence.pending > 1);
  if (prompt) {
    const chunk = plan.length > 0 ? options.chunkBesideDecoding : options.chunkAlone;
    const count = Math.min(chunk, prompt.pending);
    plan.push({ sequence: prompt, count, samples: count === prompt.pending });
  }
  return plan;
}
