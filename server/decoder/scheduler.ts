// Decides what one step computes. Pure: it takes facts about sequences and returns entries. Every answer that runs gets
// its next token; beside them go as many prompt tokens as the pace allows, of several prompts if they fit.

/** What the scheduler sees of a running sequence. */
export interface Schedulable {
  readonly id: number;
  /** Tokens the model has not seen: 1 of an answer that runs, else a prompt. */
  readonly pending: number;
  /** Its reader is behind: it takes no part until something has been taken. */
  readonly paused: boolean;
  /** Guesses of what follows its one pending token; absent: none. */
  readonly draft?: Int32Array;
  /** Another prompt with the same beginning: while that is being computed, this one waits for it. */
  readonly waitsFor?: number | undefined;
}

export interface StepLimits {
  /** Most entries. */
  readonly maxEntries: number;
  /** Most tokens of one entry. */
  readonly maxTokens: number;
  /** Most prompt tokens of a step that gives so many to running answers. */
  budget(tokens: number): number;
}

export interface PlanEntry<S> {
  readonly sequence: S;
  /** Tokens that are known. */
  readonly count: number;
  /** Guesses behind them, which are only kept when they are what would have been picked. */
  readonly draft: Int32Array;
  /** The entry reaches the end of what is known, so a token follows from it. */
  readonly samples: boolean;
}

const noDraft = new Int32Array(0);

/**
 * @param running in the order in which prompts are computed: one is finished before the next one begins
 * @returns entries of distinct sequences; none when there is nothing to do
 */
export function planStep<S extends Schedulable>(running: readonly S[], limits: StepLimits): PlanEntry<S>[] {
  const ready = running.filter((sequence) => !sequence.paused);
  const plan: PlanEntry<S>[] = ready
    .filter((sequence) => sequence.pending === 1)
    .slice(0, limits.maxEntries)
    .map((sequence) => {
      const draft = sequence.draft?.subarray(0, limits.maxTokens - 1) ?? noDraft;
      return { sequence, count: 1, draft, samples: true };
    });
  let budget = limits.budget(plan.reduce((sum, entry) => sum + 1 + entry.draft.length, 0));
  const computed = new Set<number>();
  for (const sequence of ready) {
    if (budget <= 0 || plan.length >= limits.maxEntries) break;
    if (sequence.pending === 1) continue;
    if (sequence.waitsFor !== undefined && computed.has(sequence.waitsFor)) continue;
    const count = Math.min(budget, sequence.pending, limits.maxTokens);
    plan.push({ sequence, count, draft: noDraft, samples: count === sequence.pending });
    computed.add(sequence.id);
    budget -= count;
  }
  return plan;
}
