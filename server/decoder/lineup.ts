// The sequences of an engine: those that wait and those that have one of the places. Who gets a place, who gives one up for
// whom, and in which order prompts are computed. It never calls the runner: whoever must leave the cache is told by `onPark`.

import { FairShare } from "./fair-share.ts";
import type { Sequence } from "./sequence.ts";

export interface LineupOptions {
  /** Places. */
  readonly maxRunning: number;
  /** Sequences that may wait; as many may have given up their place. */
  readonly queueLimit: number;
  /** Waiting so long is worth one step of priority. */
  readonly agingMs: number;
  /** Its reader is behind: it takes no part until something has been taken. */
  isPaused(sequence: Sequence): boolean;
  /** Whether the cache has room for one more beside those that run. */
  fits(next: Sequence, running: readonly Sequence[]): boolean;
  /** A sequence gives up its place; it still has its handle. */
  onPark(sequence: Sequence): void;
}

export class Lineup {
  readonly waiting: Sequence[] = [];
  readonly running: Sequence[] = [];
  readonly #options: LineupOptions;
  readonly #fairness: FairShare;

  constructor(options: LineupOptions) {
    this.#options = options;
    this.#fairness = new FairShare(options.agingMs);
  }

  get all(): Sequence[] {
    return [...this.waiting, ...this.running];
  }

  /** No more may wait. Those that gave up a place do not count, they were let in before, nor those that are about to leave. */
  get full(): boolean {
    const fresh = this.waiting.filter((sequence) => sequence.recompute === 0 && !sequence.cancelled);
    return fresh.length >= this.#options.queueLimit;
  }

  add(sequence: Sequence): void {
    this.#fairness.join(sequence.caller);
    this.waiting.push(sequence);
  }

  remove(sequence: Sequence): void {
    for (const list of [this.waiting, this.running]) {
      const at = list.indexOf(sequence);
      if (at < 0) continue;
      list.splice(at, 1);
      this.#fairness.leave(sequence.caller);
    }
  }

  /** A sequence got `tokens` new ones: its caller has had them. */
  charge(sequence: Sequence, tokens: number): void {
    this.#fairness.charge(sequence.caller, tokens);
  }

  /** Gives places to those whose turn it is, and takes them from those that must give way. */
  shareOut(nowMs: number): void {
    for (;;) {
      const turn = this.#nextTurn(nowMs);
      if (!turn) return;
      for (const sequence of turn.yielding) this.park(sequence);
      this.#place(turn.next, nowMs);
    }
  }

  /** Running sequences in the order in which prompts are computed. */
  inOrder(nowMs: number): Sequence[] {
    return [...this.running].sort(
      (a, b) => this.#fairness.urgency(b, nowMs) - this.#fairness.urgency(a, nowMs) || a.tag - b.tag || a.id - b.id,
    );
  }

  /**
   * The one that gives up its place when the cache is short: one that does nothing, else the least urgent, the latest of equals.
   * Never the first of `plan`, so that one always gets through.
   */
  leastNeeded(plan: readonly Sequence[], nowMs: number): Sequence | undefined {
    const first = [...plan].sort((a, b) => this.#byNeed(b, a, nowMs))[0];
    const others = this.running.filter((sequence) => sequence !== first && sequence.handle);
    return others.find(this.#options.isPaused) ?? others.sort((a, b) => this.#byNeed(a, b, nowMs))[0];
  }

  park(sequence: Sequence): void {
    this.#options.onPark(sequence);
    this.running.splice(this.running.indexOf(sequence), 1);
    sequence.park();
    this.waiting.push(sequence);
  }

  #place(sequence: Sequence, nowMs: number): void {
    this.waiting.splice(this.waiting.indexOf(sequence), 1);
    this.running.push(sequence);
    sequence.status = "running";
    this.#fairness.placed(sequence, nowMs);
    sequence.tag = this.#fairness.charge(sequence.caller, sequence.recompute > 0 ? 0 : sequence.promptLength);
  }

  /**
   * Who gets a place, and who gives one up for it. Where the first in turn cannot have one, one of another caller or priority
   * may, for which others give way; but nobody goes past one that the cache has no room for.
   */
  #nextTurn(nowMs: number): { next: Sequence; yielding: Sequence[] } | undefined {
    let ready = this.waiting.filter((sequence) => !this.#options.isPaused(sequence));
    for (;;) {
      const next = this.#fairness.next(ready, nowMs);
      if (!next) return undefined;
      const yielding = this.#yieldingTo(next, nowMs);
      if (yielding) return { next, yielding };
      if (this.running.length < this.#options.maxRunning) return undefined;
      ready = ready.filter(({ caller, priority }) => caller !== next.caller || priority !== next.priority);
    }
  }

  /** As few as must give their places up for `next`; undefined when even so there is none for it. */
  #yieldingTo(next: Sequence, nowMs: number): Sequence[] | undefined {
    const parked = this.waiting.filter((sequence) => sequence.recompute > 0).length;
    const yielding: Sequence[] = [];
    for (let staying = this.running; ; ) {
      const placeless = staying.length >= this.#options.maxRunning;
      if (!placeless && this.#options.fits(next, staying)) return yielding;
      if (parked + yielding.length >= this.#options.queueLimit) return undefined; // memory stays bounded
      const leaving = this.#leavesFor(next, staying, placeless, nowMs);
      if (!leaving) return undefined;
      yielding.push(leaving);
      staying = staying.filter((sequence) => sequence !== leaving);
    }
  }

  /**
   * Of those that run, one whose reader is behind, so that a slow reader slows only itself, however many there are; else one
   * that is less urgent than `next` was from the beginning; else, of a place, one of the caller that has most, at least two
   * more than that of `next`. Each takes the sum of priorities up or the callers nearer to each other: so places do not go
   * round in circles.
   */
  #leavesFor(next: Sequence, staying: readonly Sequence[], placeless: boolean, nowMs: number): Sequence | undefined {
    const paused = staying.find(this.#options.isPaused);
    if (paused) return paused;
    const byNeed = [...staying].sort((a, b) => this.#byNeed(a, b, nowMs));
    const [least] = byNeed;
    if (least && this.#fairness.urgency(least, nowMs) < next.priority) return least;
    if (!placeless) return undefined;
    const places = new Map<string, number>();
    for (const { caller } of staying) places.set(caller, (places.get(caller) ?? 0) + 1);
    const more = ({ caller }: Sequence) => places.get(caller)! - (places.get(next.caller) ?? 0);
    return byNeed
      .filter((sequence) => sequence.priority <= next.priority && more(sequence) > 1)
      .sort((a, b) => more(b) - more(a))[0];
  }

  /** The less urgent first, of equals the latest. */
  #byNeed(a: Sequence, b: Sequence, nowMs: number): number {
    return this.#fairness.urgency(a, nowMs) - this.#fairness.urgency(b, nowMs) || b.id - a.id;
  }
}
