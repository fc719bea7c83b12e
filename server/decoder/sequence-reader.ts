// The reading end of a sequence, as an async iterator. Not a generator: one that is given up before its first `next`
// would never reach its `finally`, and the sequence would keep its place.

import type { Sequence, SequenceWork, TokenEvent } from "./sequence.ts";

export class SequenceReader implements AsyncIterableIterator<TokenEvent> {
  readonly #sequence: Sequence;
  readonly #engine: { taken(): void; cancel(reason: unknown): void };
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #ended = false;

  constructor(
    sequence: Sequence,
    signal: AbortSignal | undefined,
    engine: { taken(): void; cancel(reason: unknown): void },
  ) {
    this.#sequence = sequence;
    this.#engine = engine;
    this.#signal = signal;
    this.#onAbort = () => engine.cancel(signal?.reason);
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** What the answer has taken so far. */
  get work(): SequenceWork {
    return this.#sequence.work;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** One reader, one call at a time. An abort or a failure comes before what is still unread. */
  async next(): Promise<IteratorResult<TokenEvent, undefined>> {
    while (!this.#ended) {
      if (this.#sequence.error !== undefined) {
        this.#end();
        throw this.#sequence.error;
      }
      const event = this.#sequence.events.shift();
      if (event) {
        if (event.type === "finish") this.#end();
        this.#engine.taken();
        return { done: false, value: event };
      }
      await new Promise<void>((resolve) => {
        this.#sequence.wake = resolve;
      });
    }
    return { done: true, value: undefined };
  }

  /** Gives up: the sequence leaves before the next step. */
  async return(): Promise<IteratorResult<TokenEvent, undefined>> {
    this.#end();
    return { done: true, value: undefined };
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#engine.cancel(undefined);
    this.#sequence.wake();
  }
}
