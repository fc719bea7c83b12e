// Continuous batching over one runner: sequences join and leave between steps. It takes token ids and gives token ids,
// and knows nothing of text, of the wire or of how the runner computes. A step is plan → reserve → run → sample → commit;
// a failure before the commit leaves every sequence as it was.

import { RunTerminatedError } from "../onnx/errors.ts";
import type { ModelRunner } from "../onnx/model-runner.ts";
import { Admission } from "./admission.ts";
import { advance, type Ending } from "./advance.ts";
import { packBatch } from "./batch.ts";
import { CacheSpace } from "./cache-space.ts";
import { EngineCounts } from "./engine-counts.ts";
import { DeadlineExpiredError, EngineClosedError } from "./errors.ts";
import type { EngineSnapshot, SequenceSnapshot } from "./invariants.ts";
import { Lineup } from "./lineup.ts";
import type { EngineMetrics, RequestOutcome } from "./metrics.ts";
import { Pacer, type StepCosts } from "./pacer.ts";
import { Planner } from "./planner.ts";
import type { GenerateInput } from "./request.ts";
import type { PlanEntry } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";
import { SequenceReader } from "./sequence-reader.ts";

export interface EngineOptions {
  /** Requests that may wait; default 256. */
  readonly queueLimit?: number;
  /** Tokens that a sequence may be ahead of its reader; default 16. */
  readonly windowTokens?: number;
  /** Sequences that are computed at a time; default and at most what the runner takes. */
  readonly maxRunning?: number;
  /** Guess ahead from the prompt while few run; default true. */
  readonly speculate?: boolean;
  /** Keep what ended sequences have in the cache, and take over what is there; default true. */
  readonly prefixCache?: boolean;
  /** The runner gives a row the same bits alone and in any batch; default true. Without it nothing is guessed. */
  readonly rowInvariant?: boolean;
  /** What steps cost, as measured before; else it is learned. */
  readonly costs?: StepCosts;
  /** See PacerOptions. */
  readonly latencyFactor?: number;
  /** See PacerOptions. */
  readonly aloneStepMs?: number;
  /** Most prompt tokens of a step beside running answers; default: as many as fit the time. */
  readonly chunkBesideDecoding?: number;
  /** Most prompt tokens of other steps; default: as many as fit the time. */
  readonly chunkAlone?: number;
  /** Waiting so long is worth one step of priority; default 15,000 ms. */
  readonly agingMs?: number;
  /** What guesses the next tokens of a sequence; default: prompt lookup. */
  readonly lookup?: () => NonNullable<Sequence["lookup"]>;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Called before every step with the state between steps; for tests. */
  readonly onStep?: (snapshot: EngineSnapshot) => void;
}

export class Engine {
  readonly #runner: ModelRunner;
  readonly #limits: { readonly maxSequences: number; readonly queueLimit: number; readonly windowTokens: number };
  readonly #now: () => number;
  readonly #onStep: ((snapshot: EngineSnapshot) => void) | undefined;
  readonly #space: CacheSpace;
  readonly #lineup: Lineup;
  readonly #pacer: Pacer;
  readonly #admission: Admission;
  readonly #planner: Planner;
  readonly #counts = new EngineCounts();
  /** Sequences of the forward in flight. */
  #inStep: readonly Sequence[] = [];
  #closed = false;
  #wakeLoop: () => void = () => {};
  readonly #loop: Promise<void>;

  /** Takes over `runner`: `close` disposes it. */
  constructor(runner: ModelRunner, options: EngineOptions = {}) {
    const { queueLimit = 256, windowTokens = 16, agingMs = 15_000, lookup } = options;
    const { chunkBesideDecoding: mostBeside = Infinity, chunkAlone: mostAlone = Infinity } = options;
    const maxRunning = Math.min(options.maxRunning ?? Infinity, runner.maxSequences);
    const isPaused = (sequence: Sequence) => this.#isPaused(sequence);
    this.#runner = runner;
    this.#limits = { maxSequences: maxRunning, queueLimit, windowTokens };
    this.#now = options.now ?? (() => performance.now());
    this.#onStep = options.onStep;
    this.#space = new CacheSpace(runner, options.prefixCache !== false);
    this.#pacer = new Pacer({ ...options, mostBeside, mostAlone });
    this.#lineup = new Lineup({
      maxRunning,
      queueLimit,
      agingMs,
      isPaused,
      fits: (next, running) => this.#space.fits(next, running),
      onPark: (sequence) => {
        this.#space.leave(sequence, true);
        this.#counts.preempted();
      },
    });
    const admission = { queueLimit, maxRunning, isPaused };
    this.#admission = new Admission(runner.spec, this.#space, this.#lineup, this.#pacer, admission, this.#now());
    this.#planner = new Planner(runner, this.#space, this.#lineup, this.#pacer, {
      guesses: options.speculate !== false && options.rowInvariant !== false && runner.spec.allLogits,
      lookup,
      windowTokens,
      isPaused,
      onStart: (sequence) => this.#start(sequence),
    });
    this.#loop = this.#run().catch((error: unknown) => this.#collapse(error));
  }

  /**
   * Generates one answer. It is queued at once, not at the first read. Ending the iteration, or aborting, frees its place before the next step.
   * Reading is the only pace: a reader that stops holds up its own sequence and no other.
   * @throws InvalidRequestError, ContextOverflowError, CacheTooSmallError, QueueFullError, DeadlineUnreachableError,
   *   DeadlineExpiredError, EngineClosedError at once; while iterating the signal's reason, DeadlineExpiredError, or whatever
   *   the runner threw
   */
  generate(input: GenerateInput, signal?: AbortSignal): SequenceReader {
    const sequence = this.#admit(input, signal);
    return new SequenceReader(sequence, signal, {
      taken: () => this.#wakeLoop(),
      cancel: (reason) => this.#cancel(sequence, reason),
    });
  }

  /** Sequences that somebody waits for: those with a place, and those without one yet. */
  get load(): { running: number; queued: number } {
    const count = (list: readonly Sequence[]) => list.filter((sequence) => !sequence.cancelled).length;
    return { running: count(this.#lineup.running), queued: count(this.#lineup.waiting) };
  }

  /** The state between steps. */
  snapshot(): EngineSnapshot {
    return {
      ...this.#limits,
      contextLength: this.#runner.spec.contextLength,
      room: this.#runner.room,
      queued: this.#lineup.waiting.map(snapshotOf),
      running: this.#lineup.running.map(snapshotOf),
      residents: this.#space.residents.map(({ handle, tokens }) => ({ place: handle.id, length: tokens.length })),
    };
  }

  /** What was done since it was opened, and how things are. */
  metrics(): EngineMetrics {
    const { running, queued } = this.load;
    const { used, idle } = this.#space.usage(this.#lineup.running);
    return this.#counts.metrics({
      running,
      waiting: queued,
      cacheTokensUsed: used,
      cacheTokens: this.#space.tokens,
      cacheTokensIdle: idle,
    });
  }

  /** Fails what waits or runs with EngineClosedError, ends the run in flight and disposes the runner. Idempotent. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      for (const sequence of this.#lineup.all) this.#cancel(sequence, new EngineClosedError());
      this.#runner.terminate();
      this.#wakeLoop();
    }
    await this.#loop;
    await this.#runner.dispose();
  }

  #admit(input: GenerateInput, signal: AbortSignal | undefined): Sequence {
    try {
      signal?.throwIfAborted();
      if (this.#closed) throw new EngineClosedError();
      const sequence = this.#admission.admit(input, this.#now(), this.#counts.meanAnswer);
      this.#wakeLoop();
      return sequence;
    } catch (error) {
      input.constraint?.dispose();
      this.#counts.refused();
      throw error;
    }
  }

  #cancel(sequence: Sequence, error: unknown): void {
    sequence.error ??= error;
    sequence.wake();
    if (sequence.status === "ended") return;
    sequence.cancelled = true;
    // Nobody waits for what is being computed: end it now rather than when it is done.
    if (this.#inStep.length > 0 && this.#inStep.every((other) => other.cancelled)) this.#runner.terminate();
    this.#wakeLoop();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#dropEnded();
      this.#lineup.shareOut(this.#now());
      const plan = this.#planner.plan(this.#now());
      this.#onStep?.(this.snapshot());
      if (plan.length > 0) await this.#step(plan);
      else await this.#woken();
    }
    this.#dropEnded();
    this.#space.clear();
  }

  /** Until something has been asked, taken or given up, or a deadline has passed. */
  async #woken(): Promise<void> {
    const deadline = this.#lineup.all.reduce((least, { standing }) => Math.min(least, standing.deadlineMs), Infinity);
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wakeLoop = resolve;
      const ms = Math.max(1, Math.ceil(deadline - this.#now()));
      if (deadline < Infinity) timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1));
    });
    clearTimeout(timer);
  }

  #start(sequence: Sequence): void {
    const now = this.#now();
    this.#counts.started(sequence, now, sequence.standing.leavesCache);
    const timeMs = now - sequence.standing.askedAtMs;
    sequence.events.push({ type: "start", cachedTokens: sequence.cached, timeMs });
    sequence.wake();
  }

  /** The loop itself has failed, which is a mistake of ours or of the runner: nobody is left waiting. */
  #collapse(error: unknown): void {
    this.#closed = true;
    for (const sequence of this.#lineup.all) {
      sequence.status = "ended";
      sequence.error ??= error;
      sequence.standing.constraint?.dispose();
      sequence.wake();
    }
    this.#lineup.waiting.length = 0;
    this.#lineup.running.length = 0;
  }

  /** One step, or, when several sequences took part in a failed one, a step for each: the one at fault ends, the others go on. */
  async #step(plan: readonly PlanEntry<Sequence>[]): Promise<void> {
    this.#inStep = plan.map((entry) => entry.sequence);
    try {
      const began = this.#now();
      const logits = await this.#runner.forward(packBatch(plan));
      this.#inStep = [];
      this.#learn(plan, this.#now() - began);
      this.#commit(plan, logits);
    } catch (error) {
      this.#inStep = [];
      if (error instanceof RunTerminatedError || this.#closed) return;
      if (plan.length === 1) this.#end(plan[0]!.sequence, "failed", error);
      else for (const entry of plan) if (!entry.sequence.cancelled && !this.#closed) await this.#step([entry]);
    }
  }

  #learn(plan: readonly PlanEntry<Sequence>[], ms: number): void {
    this.#counts.step(plan);
    const work = { tokens: 0, promptTokens: 0 };
    for (const { sequence, count, draft } of plan) {
      if (sequence.pending > 1) work.promptTokens += count;
      else work.tokens += count + draft.length;
    }
    this.#pacer.learn(work, ms);
    this.#admission.measured(this.#now());
  }

  /** Nothing here calls the runner before all logits are read: they lie in its memory. */
  #commit(plan: readonly PlanEntry<Sequence>[], logits: readonly (Float32Array | null)[]): void {
    const now = this.#now();
    const ended: (() => void)[] = [];
    plan.forEach((entry, i) => {
      const { sequence } = entry;
      const before = sequence.generated;
      try {
        // Nobody wants the tokens of one that is about to leave; what was computed of it may be of use.
        const row = sequence.cancelled ? null : logits[i]!;
        const ending = advance(
          sequence.cancelled ? { ...entry, draft: none } : entry,
          row,
          now - sequence.standing.askedAtMs,
        );
        if (ending) ended.push(() => this.#finish(sequence, ending, now));
        else sequence.wake();
      } catch (error) {
        ended.push(() => this.#end(sequence, "failed", error)); // its numbers are broken, nobody else's
      }
      this.#counts.generated(sequence, sequence.generated - before, now);
      this.#lineup.charge(sequence, sequence.generated - before);
    });
    for (const end of ended) end();
  }

  #finish(sequence: Sequence, { reason, id }: Ending, now: number): void {
    const timeMs = now - sequence.standing.askedAtMs;
    const work = { ...sequence.work };
    sequence.events.push({ type: "finish", reason, timeMs, work, ...(id === undefined ? {} : { id }) });
    this.#end(sequence, reason === "length" ? "length" : "stop", undefined);
  }

  /** Gives its place back and tells the reader. */
  #end(sequence: Sequence, outcome: RequestOutcome, error: unknown): void {
    this.#lineup.remove(sequence);
    const { scope, leavesCache } = sequence.standing;
    this.#space.leave(sequence, leavesCache && outcome !== "failed");
    if (!leavesCache) this.#space.forget(scope);
    sequence.standing.constraint?.dispose();
    sequence.status = "ended";
    sequence.error ??= error;
    this.#counts.ended(sequence, outcome, this.#now());
    sequence.wake();
  }

  #dropEnded(): void {
    const now = this.#now();
    for (const sequence of this.#lineup.all) {
      const expired = !sequence.cancelled && now >= sequence.standing.deadlineMs;
      if (expired) this.#end(sequence, "expired", new DeadlineExpiredError(sequence.generated));
      // Who leaves without a reason has what it wanted, such as a text that ends it.
      else if (sequence.cancelled)
        this.#end(sequence, sequence.error || !sequence.generated ? "cancelled" : "stop", undefined);
    }
  }

  /** Its reader is behind. */
  #isPaused(sequence: Sequence): boolean {
    return sequence.events.length >= this.#limits.windowTokens;
  }
}

const none = new Int32Array(0);

function snapshotOf(sequence: Sequence): SequenceSnapshot {
  return {
    id: sequence.id,
    status: sequence.status,
    place: sequence.handle?.id,
    promptLength: sequence.promptLength,
    length: sequence.length,
    cached: sequence.cached,
    recompute: sequence.recompute,
    maxTokens: sequence.options.maxTokens,
    unread: sequence.events.length,
  };
}
