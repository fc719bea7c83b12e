// Room in the runner's cache: who gets a place, what of another's keys and values it takes over, and who must go when blocks
// are short. Between two steps alone; it decides by what it is told and never by time.

import type { CacheHandle, ModelRunner } from "../onnx/model-runner.ts";
import { commonLength, PrefixCache, type Resident } from "./prefix-cache.ts";
import type { PlanEntry } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

/** Tokens below which a beginning is computed anew rather than copied or waited for. */
const leastShared = 8;

export class CacheSpace {
  readonly #runner: ModelRunner;
  readonly #reuses: boolean;
  readonly #cache = new PrefixCache();

  /** @param reuses whether anything is taken over at all */
  constructor(runner: ModelRunner, reuses: boolean) {
    this.#runner = runner;
    this.#reuses = reuses;
  }

  get residents(): readonly Resident[] {
    return this.#cache.residents;
  }

  /** Tokens of all blocks. */
  get tokens(): number {
    const { blocks, blockTokens } = this.#runner.room;
    return blocks * blockTokens;
  }

  /** Of the cache, tokens in blocks that are held, and of these, those that no running sequence holds. */
  usage(running: readonly Sequence[]): { used: number; idle: number } {
    const { blocks, free, blockTokens } = this.#runner.room;
    const held = running.reduce((sum, { cached }) => sum + this.#blocksOf(cached), 0);
    return { used: (blocks - free) * blockTokens, idle: Math.max(0, blocks - free - held) * blockTokens };
  }

  /** Gives a sequence a place, with as much of its beginning as ended and running ones of its scope have in the cache. */
  begin(sequence: Sequence, running: readonly Sequence[]): void {
    const { scope } = sequence.standing;
    const limit = sequence.length - 1; // the last token gives the logits
    const found = this.#reuses ? this.#cache.find(sequence.tokens, scope) : undefined;
    const ended = Math.min(limit, found?.length ?? 0);
    const live = this.#reuses ? this.#bestOf(sequence, running) : undefined;
    if (found && ended >= (live?.length ?? 0)) {
      // Nothing behind what both have: the place itself is taken over, and nothing is copied.
      const whole = found.length === found.resident.tokens.length;
      const handle = whole ? null : this.#allocate(found.resident);
      if (!handle) this.#give(sequence, this.#cache.take(found.resident), ended);
      else this.#copy(sequence, handle, found.resident.handle, ended, found.resident);
    } else {
      const handle = this.#allocate()!;
      if (live) this.#copy(sequence, handle, live.handle, live.length);
      else this.#give(sequence, handle, 0);
    }
  }

  /** A sequence gives up its place. @param keeps what it has in the cache stays until the room is needed */
  leave(sequence: Sequence, keeps: boolean): void {
    const { handle, cached } = sequence;
    if (!handle) return;
    sequence.handle = null;
    const resident = { handle, tokens: sequence.inCache.slice(), scope: sequence.standing.scope };
    const useless = this.#reuses && keeps && cached >= leastShared ? this.#cache.keep(resident) : [handle];
    for (const each of useless) this.#runner.release(each);
  }

  /** Gives up what only sequences of a scope that has none any more could use. */
  forget(scope: unknown): void {
    for (const resident of this.#cache.residents.filter((each) => each.scope === scope))
      this.#runner.release(this.#cache.take(resident));
  }

  /** Gives up all that no sequence owns. */
  clear(): void {
    while (this.#evict());
  }

  /** Tokens of the beginning of a sequence that need not be computed, as things are. */
  known(tokens: Int32Array, scope: unknown, running: readonly Sequence[]): number {
    if (!this.#reuses) return 0;
    const live = running.filter((other) => other.standing.scope === scope);
    const most = live.reduce((sum, { inCache }) => Math.max(sum, commonLength(inCache, tokens)), 0);
    const length = Math.min(tokens.length - 1, Math.max(most, this.#cache.peek(tokens, scope)));
    return length < leastShared ? 0 : length;
  }

  /** Of the prompts before it, one that has more of its beginning than is in the cache: when that is computed, it need not be. */
  awaited(sequence: Sequence, before: readonly Sequence[], running: readonly Sequence[]): Sequence | undefined {
    if (!this.#reuses) return undefined;
    const { tokens } = sequence;
    const { scope } = sequence.standing;
    const known = this.known(tokens, scope, running);
    return before.find((other) => {
      if (other.pending <= 1 || other.standing.scope !== scope) return false;
      return Math.min(tokens.length - 1, commonLength(other.tokens, tokens)) - known >= leastShared;
    });
  }

  /** Whether there is room for one more, were all that no sequence owns given up, without another having to leave at once. */
  fits(next: Sequence, running: readonly Sequence[]): boolean {
    if (running.length === 0) return true;
    const { blocks, blockTokens } = this.#runner.room;
    const most = ({ length, promptLength, options }: Sequence) =>
      this.#blocksOf(Math.min(length + blockTokens, promptLength + options.maxTokens));
    return running.reduce((sum, sequence) => sum + most(sequence), most(next)) <= blocks;
  }

  /**
   * Makes room for a step: what no sequence owns goes first, then guesses, then a part of the prompts, then `park` has a sequence
   * give up its place, if it can.
   * @returns what of the plan there is room for
   */
  reserve(
    plan: readonly PlanEntry<Sequence>[],
    park: (plan: readonly PlanEntry<Sequence>[]) => Sequence | undefined,
  ): readonly PlanEntry<Sequence>[] {
    for (let fitting = plan; ; ) {
      const missing = this.#needed(fitting) - this.#runner.room.free;
      if (missing <= 0) return fitting;
      if (this.#evict()) continue;
      const smaller = withoutGuesses(fitting) ?? withLessPrompt(fitting, missing * this.#runner.room.blockTokens);
      if (smaller) {
        fitting = smaller;
        continue;
      }
      const parked = park(fitting);
      if (!parked) return fitting; // it is alone: what was admitted fits
      fitting = fitting.filter(({ sequence }) => sequence !== parked);
    }
  }

  #needed(plan: readonly PlanEntry<Sequence>[]): number {
    return plan.reduce((sum, { sequence, count, draft }) => {
      return sum + this.#runner.blocksFor(sequence.handle!, sequence.cached, count + draft.length);
    }, 0);
  }

  /** The running sequence that has most of the beginning in the cache. */
  #bestOf(sequence: Sequence, running: readonly Sequence[]): { handle: CacheHandle; length: number } | undefined {
    let best: { handle: CacheHandle; length: number } | undefined;
    for (const other of running) {
      if (other === sequence || !other.handle || other.standing.scope !== sequence.standing.scope) continue;
      const length = Math.min(sequence.length - 1, commonLength(other.inCache, sequence.tokens));
      if (length >= leastShared && length > (best?.length ?? 0)) best = { handle: other.handle, length };
    }
    return best;
  }

  /** A place; null when only giving up `spared` would make one. */
  #allocate(spared?: Resident): CacheHandle | null {
    for (;;) {
      const handle = this.#runner.allocate();
      if (handle) return handle;
      if (this.#evict(spared)) continue;
      if (spared) return null;
      throw new Error("The runner has fewer places than sequences that it computes at a time.");
    }
  }

  #evict(spared?: Resident): boolean {
    const handle = this.#cache.evict(spared);
    if (handle) this.#runner.release(handle);
    return handle !== undefined;
  }

  #give(sequence: Sequence, handle: CacheHandle, cached: number): void {
    sequence.handle = handle;
    sequence.cached = cached;
  }

  /** A block that is not full is copied, for which there must be room; else what is before it will do. */
  #copy(sequence: Sequence, handle: CacheHandle, from: CacheHandle, wanted: number, source?: Resident): void {
    const { blockTokens } = this.#runner.room;
    while (this.#runner.room.free === 0 && this.#evict(source));
    const length = this.#runner.room.free > 0 ? wanted : wanted - (wanted % blockTokens);
    this.#give(sequence, handle, 0);
    if (length < leastShared) return;
    this.#runner.copyPrefix(from, handle, length);
    sequence.cached = length;
  }

  #blocksOf(tokens: number): number {
    return Math.ceil(tokens / this.#runner.room.blockTokens);
  }
}

type Plan = readonly PlanEntry<Sequence>[];
const noDraft = new Int32Array(0);

function withoutGuesses(plan: Plan): Plan | undefined {
  if (plan.every(({ draft }) => draft.length === 0)) return undefined;
  return plan.map((entry) => ({ ...entry, draft: noDraft }));
}

/** Takes `tokens` from the last prompt, or the prompt from the step; undefined when nothing would be left. */
function withLessPrompt(plan: Plan, tokens: number): Plan | undefined {
  const at = plan.findLastIndex(({ sequence }) => sequence.pending > 1);
  if (at < 0) return undefined;
  const entry = plan[at]!;
  const count = entry.count - tokens;
  if (count >= 1) return plan.with(at, { ...entry, count, samples: false });
  return plan.length > 1 ? plan.toSpliced(at, 1) : undefined;
}
