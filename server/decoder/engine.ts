// Continuous batching over one runner: sequences join and leave between steps. It takes token ids and gives token ids,
// and knows nothing of text, of the wire or of how the runner computes. A step is plan → run → sample → commit; a
// failure before the commit leaves every sequence as it was.

import { RunTerminatedError } from "../onnx/errors.ts";
import type { ModelRunner } from "../onnx/model-runner.ts";
import { packBatch } from "./batch.ts";
import { EngineClosedError, QueueFullError } from "./errors.ts";
import type { EngineSnapshot, SequenceSnapshot } from "./invariants.ts";
import { uniform } from "./random.ts";
import { checkRequest, type GenerateInput } from "./request.ts";
import { isGreedy, sample } from "./sampler.ts";
import { type PlanEntry, planStep, type SchedulerOptions } from "./scheduler.ts";
import { type FinishReason, Sequence } from "./sequence.ts";
import { SequenceReader } from "./sequence-reader.ts";

export interface EngineOptions {
  /** Requests that may wait; default 64. */
  readonly queueLimit?: number;
  /** Tokens that a sequence may be ahead of its reader; default 16. */
  readonly windowTokens?: number;
  /** See SchedulerOptions; default 32. */
  readonly chunkBesideDecoding?: number;
  /** See SchedulerOptions; default 128, at most what the runner takes. */
  readonly chunkAlone?: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Called after every step with the state between steps; for tests. */
  readonly onStep?: (snapshot: EngineSnapshot) => void;
}

/** Tokens below which a beginning is computed anew rather than copied. */
const leastShared = 8;

export class Engine {
  readonly #runner: ModelRunner;
  readonly #queueLimit: number;
  readonly #windowTokens: number;
  readonly #scheduler: SchedulerOptions;
  readonly #now: () => number;
  readonly #onStep: ((snapshot: EngineSnapshot) => void) | undefined;
  readonly #eosIds: ReadonlySet<number>;
  readonly #queued: Sequence[] = [];
  readonly #running: Sequence[] = [];
  /** Sequences of the forward in flight. */
  #inStep: readonly Sequence[] = [];
  #nextId = 0;
  #closed = false;
  #wakeLoop: () => void = () => {};
  readonly #loop: Promise<void>;

  /** Takes over `runner`: `close` disposes it. */
  constructor(runner: ModelRunner, options: EngineOptions = {}) {
    const { chunkBesideDecoding = 32, chunkAlone = 128 } = options;
    this.#runner = runner;
    this.#queueLimit = options.queueLimit ?? 64;
    this.#windowTokens = options.windowTokens ?? 16;
    this.#scheduler = {
      chunkBesideDecoding: Math.min(chunkBesideDecoding, runner.maxTokens),
      chunkAlone: Math.min(chunkAlone, runner.maxTokens),
    };
    this.#now = options.now ?? (() => performance.now());
    this.#onStep = options.onStep;
    this.#eosIds = new Set(runner.spec.eosIds);
    this.#loop = this.#run().catch((error: unknown) => this.#collapse(error));
  }

  /**
   * Generates one answer. It is queued at once, not at the first read. Ending the iteration, or aborting, frees its place before the next step.
   * Reading is the only pace: a reader that stops holds up its own sequence and no other.
   * @throws InvalidRequestError, ContextOverflowError, QueueFullError, EngineClosedError at once; while iterating the
   *   signal's reason, or whatever the runner threw
   */
  generate(input: GenerateInput, signal?: AbortSignal): SequenceReader {
    signal?.throwIfAborted();
    if (this.#closed) throw new EngineClosedError();
    const sequence = this.#admit(input);
    return new SequenceReader(sequence, signal, {
      taken: () => this.#wakeLoop(),
      cancel: (reason) => this.#cancel(sequence, reason),
    });
  }

  /** Sequences that somebody waits for: those with a place, and those without one yet. */
  get load(): { running: number; queued: number } {
    const count = (list: readonly Sequence[]) => list.filter((sequence) => !sequence.cancelled).length;
    return { running: count(this.#running), queued: count(this.#queued) };
  }

  /** The state between steps. */
  snapshot(): EngineSnapshot {
    return {
      maxSequences: this.#runner.maxSequences,
      queueLimit: this.#queueLimit,
      contextLength: this.#runner.spec.contextLength,
      windowTokens: this.#windowTokens,
      queued: this.#queued.map(snapshotOf),
      running: this.#running.map(snapshotOf),
    };
  }

  /** Fails what waits or runs with EngineClosedError, ends the run in flight and disposes the runner. Idempotent. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      for (const sequence of [...this.#queued, ...this.#running]) this.#cancel(sequence, new EngineClosedError());
      this.#runner.terminate();
      this.#wakeLoop();
    }
    await this.#loop;
    await this.#runner.dispose();
  }

  #admit(input: GenerateInput): Sequence {
    const { prompt, maxTokens } = checkRequest(input, this.#runner.spec);
    // Those that gave up a place do not count: they were let in before.
    if (this.#queued.length - this.#parked >= this.#queueLimit) throw new QueueFullError(this.#queueLimit);

    const sequence = new Sequence(this.#nextId++, prompt, { ...input.options, maxTokens }, this.#now(), input.sharing);
    this.#queued.push(sequence);
    this.#wakeLoop();
    return sequence;
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
      this.#dropCancelled();
      this.#giveWay();
      this.#fillPlaces();
      const plan = this.#plan();
      this.#onStep?.(this.snapshot());
      if (plan.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wakeLoop = resolve;
        });
      } else {
        await this.#step(plan);
      }
    }
    this.#dropCancelled();
  }

  /** What the next step computes. A sequence that it brings in takes over what another has computed of the same beginning. */
  #plan(): PlanEntry<Sequence>[] {
    for (;;) {
      const views = this.#running.map((sequence) => ({
        sequence,
        id: sequence.id,
        pending: sequence.pending,
        paused: this.#isPaused(sequence),
      }));
      const plan = planStep(views, this.#scheduler).map((entry) => ({ ...entry, sequence: entry.sequence.sequence }));
      const begun = plan.filter(({ sequence }) => !sequence.started).map(({ sequence }) => this.#begin(sequence));
      if (!begun.includes(true)) return plan; // else less is left to compute than was planned
    }
  }

  /** @returns whether part of the prompt was taken over */
  #begin(sequence: Sequence): boolean {
    let length = 0;
    let source: Sequence | undefined;
    for (const other of this.#running) {
      const shared = other === sequence ? 0 : sequence.sharedWith(other);
      if (shared > length) [length, source] = [shared, other];
    }
    if (source && length >= leastShared) {
      this.#runner.copyPrefix(source.handle!, sequence.handle!, length);
      sequence.cached = length;
    }
    sequence.started = true;
    sequence.events.push({ type: "start", cachedTokens: sequence.cached, timeMs: this.#now() - sequence.askedAtMs });
    sequence.wake();
    return sequence.cached > 0;
  }

  /** The loop itself has failed, which is a mistake of ours or of the runner: nobody is left waiting. */
  #collapse(error: unknown): void {
    this.#closed = true;
    for (const sequence of [...this.#queued, ...this.#running]) {
      sequence.status = "ended";
      sequence.error ??= error;
      sequence.wake();
    }
    this.#queued.length = 0;
    this.#running.length = 0;
  }

  /** One step, or, when several sequences took part in a failed one, a step for each: the one at fault ends, the others go on. */
  async #step(plan: readonly PlanEntry<Sequence>[]): Promise<void> {
    this.#inStep = plan.map((entry) => entry.sequence);
    try {
      const logits = await this.#runner.forward(packBatch(plan));
      this.#inStep = [];
      plan.forEach((entry, i) => {
        try {
          this.#commit(entry, entry.samples ? this.#sample(entry.sequence, logits[i]!) : undefined);
        } catch (error) {
          // Its numbers are broken, nobody else's.
          this.#end(entry.sequence, error);
        }
      });
    } catch (error) {
      this.#inStep = [];
      if (error instanceof RunTerminatedError || this.#closed) return;
      if (plan.length === 1) this.#end(plan[0]!.sequence, error);
      else for (const entry of plan) if (!entry.sequence.cancelled && !this.#closed) await this.#step([entry]);
    }
  }

  #sample(sequence: Sequence, logits: Float32Array): number {
    const { options, length } = sequence;
    return sample(logits, options, isGreedy(options) ? 0 : uniform(options.seed, length));
  }

  #commit({ sequence, count }: PlanEntry<Sequence>, token: number | undefined): void {
    sequence.cached += count;
    if (token === undefined) return;
    const timeMs = this.#now() - sequence.askedAtMs;
    if (this.#eosIds.has(token)) {
      this.#finish(sequence, "eos", timeMs, token);
      return;
    }
    sequence.append(token);
    sequence.events.push({ type: "token", id: token, timeMs });
    if (sequence.generated >= sequence.options.maxTokens) this.#finish(sequence, "length", timeMs);
    else sequence.wake();
  }

  #finish(sequence: Sequence, reason: FinishReason, timeMs: number, id?: number): void {
    sequence.events.push({ type: "finish", reason, timeMs, ...(id === undefined ? {} : { id }) });
    this.#end(sequence, undefined);
  }

  /** Gives its place back and tells the reader. */
  #end(sequence: Sequence, error: unknown): void {
    for (const list of [this.#queued, this.#running]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    if (sequence.handle) this.#runner.release(sequence.handle);
    sequence.handle = null;
    sequence.status = "ended";
    sequence.error ??= error;
    sequence.wake();
  }

  #dropCancelled(): void {
    for (const sequence of [...this.#queued, ...this.#running]) if (sequence.cancelled) this.#end(sequence, undefined);
  }

  /** Its reader is behind. */
  #isPaused(sequence: Sequence): boolean {
    return sequence.events.length >= this.#windowTokens;
  }

  /** Sequences that gave up a place and have none yet. */
  get #parked(): number {
    return this.#queued.filter((sequence) => sequence.started).length;
  }

  /**
   * Where places are short, sequences whose readers are behind give theirs up: a slow reader slows only itself, however many
   * there are of them. At most as many as may wait, so that memory stays bounded.
   */
  #giveWay(): void {
    const free = this.#runner.maxSequences - this.#running.length;
    let short = this.#queued.filter((sequence) => !this.#isPaused(sequence)).length - free;
    for (const sequence of [...this.#running]) {
      if (short <= 0 || this.#parked >= this.#queueLimit) return;
      if (!this.#isPaused(sequence)) continue;
      this.#runner.release(sequence.handle!);
      this.#running.splice(this.#running.indexOf(sequence), 1);
      sequence.park();
      this.#queued.push(sequence);
      short--;
    }
  }

  #fillPlaces(): void {
    for (const next of [...this.#queued]) {
      if (this.#isPaused(next)) continue;
      const handle = this.#runner.allocate();
      if (!handle) return;
      this.#queued.splice(this.#queued.indexOf(next), 1);
      next.handle = handle;
      next.status = "running";
      this.#running.push(next);
    }
  }
}

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
