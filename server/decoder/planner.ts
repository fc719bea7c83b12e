// What the next step computes: the schedule over those that run, with what they take over from the cache and what is guessed
// of them, and room for it all. It changes who has a place in the cache; tokens and answers it leaves as they are.

import type { ModelRunner } from "../onnx/model-runner.ts";
import type { CacheSpace } from "./cache-space.ts";
import type { Lineup } from "./lineup.ts";
import type { Pacer } from "./pacer.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import { type PlanEntry, planStep, type Schedulable, type StepLimits } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

export interface PlannerOptions {
  /** Whether tokens are guessed ahead at all. */
  readonly guesses: boolean;
  /** What guesses the next tokens of a sequence; default: prompt lookup. */
  readonly lookup?: (() => NonNullable<Sequence["lookup"]>) | undefined;
  /** Tokens that a sequence may be ahead of its reader. */
  readonly windowTokens: number;
  /** Its reader is behind. */
  isPaused(sequence: Sequence): boolean;
  /** The first step that a sequence takes part in is planned; `cached` says what it has taken over. */
  onStart(sequence: Sequence): void;
}

/** Tokens of a step, guesses included, up to which guessing is worth while: the rows that the native operators take at a time. */
const guessingTokens = 8;

export class Planner {
  readonly #space: CacheSpace;
  readonly #lineup: Lineup;
  readonly #pacer: Pacer;
  readonly #limits: StepLimits;
  readonly #options: PlannerOptions;

  constructor(runner: ModelRunner, space: CacheSpace, lineup: Lineup, pacer: Pacer, options: PlannerOptions) {
    this.#space = space;
    this.#lineup = lineup;
    this.#pacer = pacer;
    this.#options = options;
    const { maxSequences: maxEntries, maxTokens } = runner;
    this.#limits = { maxEntries, maxTokens, budget: (tokens) => pacer.budget(tokens) };
  }

  /** Entries that there is room for; none when there is nothing to do. */
  plan(nowMs: number): readonly PlanEntry<Sequence>[] {
    return this.#space.reserve(this.#scheduled(nowMs), (fitting) => {
      const sequences = fitting.map(({ sequence }) => sequence);
      const parked = this.#lineup.leastNeeded(sequences, nowMs);
      if (parked) this.#lineup.park(parked);
      return parked;
    });
  }

  /** A sequence that comes in takes over what others have computed of the same beginning. */
  #scheduled(nowMs: number): PlanEntry<Sequence>[] {
    for (;;) {
      const plan = planStep(this.#rows(nowMs), this.#limits).map((entry) => {
        return { ...entry, sequence: entry.sequence.sequence };
      });
      const begun = plan.filter(({ sequence }) => !sequence.handle).map(({ sequence }) => this.#begin(sequence));
      if (!begun.includes(true)) return plan; // else less is left to compute than was planned
    }
  }

  #rows(nowMs: number): (Schedulable & { sequence: Sequence })[] {
    const running = this.#lineup.inOrder(nowMs);
    const ready = running.filter((sequence) => !this.#options.isPaused(sequence));
    const most = this.#mostGuesses(ready);
    return ready.map((sequence, i) => {
      const { id, pending } = sequence;
      const waitsFor = sequence.handle ? undefined : this.#space.awaited(sequence, ready.slice(0, i), running)?.id;
      const row = { sequence, id, pending, paused: false, waitsFor };
      return most > 0 ? { ...row, draft: this.#draft(sequence, most) } : row;
    });
  }

  /** @returns whether part of what it has was taken over */
  #begin(sequence: Sequence): boolean {
    this.#space.begin(sequence, this.#lineup.running);
    if (!sequence.started) {
      sequence.started = true;
      this.#options.onStart(sequence);
    }
    return sequence.cached > 0;
  }

  /** Guesses for each of those that run: as many as hardly lengthen the step, and none while a prompt is computed in it. */
  #mostGuesses(ready: readonly Sequence[]): number {
    if (!this.#options.guesses || ready.some(({ pending }) => pending > 1)) return 0;
    return Math.floor(guessingTokens / ready.length) - 1;
  }

  #draft(sequence: Sequence, most: number): Int32Array {
    // Not more than its answer, or the window of its reader, has room for.
    const room = Math.min(most, sequence.remaining - 1, this.#options.windowTokens - 1 - sequence.events.length);
    sequence.lookup ??= this.#options.lookup?.() ?? this.#newLookup();
    return sequence.lookup.draft(sequence.tokens, Math.max(0, room));
  }

  #newLookup(): PromptLookup {
    const costs = this.#pacer.relativeCosts(guessingTokens - 1);
    return new PromptLookup(costs && { costs });
  }
}
