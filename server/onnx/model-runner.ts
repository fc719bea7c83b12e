// The seam between the decoder and whatever computes logits. A runner owns the caches of its sequences and takes
// a ragged batch; how it splits that into runs is its own affair, and nothing above may know which runner it has.

/** Facts about a loaded model that the decoder needs. */
export interface ModelSpec {
  readonly vocabSize: number;
  /** Positions that one sequence can hold, prompt and answer together. */
  readonly contextLength: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly eosIds: readonly number[];
  readonly bosId: number | undefined;
  readonly padId: number;
  /** Whether `wantsLogits: "all"` is possible. */
  readonly allLogits: boolean;
}

/** A place for one sequence in the runner's cache. Opaque; valid until released. */
export interface CacheHandle {
  readonly id: number;
}

/** Tokens to append to one sequence. */
export interface BatchEntry {
  readonly sequence: CacheHandle;
  /** [count], at least one and at most `maxTokens` of the runner. */
  readonly tokens: Int32Array;
  /** Tokens of the sequence that are in the cache and valid; the new ones are written behind them. Later ones, if any, are forgotten. */
  readonly position: number;
  readonly wantsLogits: "none" | "last" | "all";
}

/** How much of the cache there is. Memory is taken and given back in blocks; one that several sequences share counts once. */
export interface CacheRoom {
  /** Positions of a block. */
  readonly blockTokens: number;
  readonly blocks: number;
  /** Blocks that no sequence holds. */
  readonly free: number;
}

export interface ModelRunner {
  readonly spec: ModelSpec;
  /** Most entries of a batch. There may be places for more. */
  readonly maxSequences: number;
  /** Most tokens of one entry. */
  readonly maxTokens: number;
  /** As it is now. */
  readonly room: CacheRoom;

  /** A place for one more sequence, or null when all are taken: those of sequences that wait or have ended count. Its cache is empty. */
  allocate(): CacheHandle | null;

  /** Free blocks that a `forward` takes for `count` tokens of a sequence from `position` on. */
  blocksFor(sequence: CacheHandle, position: number, count: number): number;

  /**
   * Appends every entry to its sequence, one entry per sequence.
   * @returns per entry null ("none"), [vocabSize] ("last") or [count × vocabSize] ("all") logits in float32. They are
   *   views of the runner's memory: the caller may write over them, and they are valid until the next call of any method.
   * @throws RangeError when fewer blocks are free than the entries need together, and nothing has changed then;
   *   RunTerminatedError after `terminate()`. After any error positions below `position` are as they were, so that the same
   *   batch may be given again.
   */
  forward(batch: readonly BatchEntry[]): Promise<readonly (Float32Array | null)[]>;

  /**
   * Makes the first `length` positions of `to` those of `from`; what it had is forgotten. Takes at most one block where
   * blocks are shared. Not during `forward`.
   * @throws RangeError when too few blocks are free, and nothing has changed then
   */
  copyPrefix(from: CacheHandle, to: CacheHandle, length: number): void;

  /** Gives the place back. Not during `forward`. Idempotent. */
  release(sequence: CacheHandle): void;

  /** Ends the `forward` in flight, if there is one, soon. */
  terminate(): void;

  /** Waits for the `forward` in flight, then frees everything. Idempotent. */
  dispose(): Promise<void>;
}
