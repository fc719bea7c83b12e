// The cache of a native runner: the books of the blocks and their memory as one thing, so that neither is changed without
// the other. It gives memory of idle blocks back to the system, slowly and never during a run. It knows tables and
// positions; what a sequence is for it does not know.

import type { Kernels } from "./kernels.ts";
import { type BlockTable, blockTokens, KvBlocks } from "./kv-blocks.ts";
import { KvPool, type KvPoolShape } from "./kv-pool.ts";
import type { CacheRoom } from "./model-runner.ts";

/** What a table is to hold next. */
export interface Growth {
  readonly table: BlockTable;
  readonly position: number;
  readonly count: number;
}

/** Idle blocks that keep their memory: some, and a part of as many as are in use. Steady traffic takes them again. */
const keptBlocks = 8;
const keptPart = 1 / 4;
/** Blocks emptied at the end of a call: 0.4 ms each. */
const emptiedPerCall = 4;
/** While nothing runs, so many are emptied each time. */
const emptiedAtRest = 16;
const restMs = 50;

export class PagedCache {
  readonly pool: KvPool;
  readonly #blocks: KvBlocks;
  #rest: NodeJS.Timeout | undefined;

  /** @throws OrtError when attention does not take the shape, or the address space is not to be had */
  constructor(kernels: Kernels, shape: KvPoolShape) {
    this.pool = new KvPool(kernels, shape);
    this.#blocks = new KvBlocks(shape.blocks);
  }

  get room(): CacheRoom {
    return { blockTokens, blocks: this.#blocks.count, free: this.#blocks.free };
  }

  /** Blocks that have memory: those in use and the idle ones. */
  get resident(): number {
    return this.#blocks.count - this.#blocks.free + this.#blocks.idle;
  }

  open(): BlockTable {
    return this.#blocks.open();
  }

  /** Gives the blocks of a table back. Idempotent. */
  close(table: BlockTable): void {
    this.#blocks.close(table);
    this.#giveBack();
  }

  /** Free blocks that `begin` would take for one table. */
  needed({ table, position, count }: Growth): number {
    return this.#blocks.needed(table, position, count);
  }

  /**
   * Makes room in distinct tables, for all or for none, and lets memory alone until `end`.
   * @throws RangeError when too few blocks are free; nothing has changed then
   */
  begin(growths: readonly Growth[]): void {
    const needed = growths.reduce((sum, growth) => sum + this.needed(growth), 0);
    const { free } = this.#blocks;
    if (needed > free) throw new RangeError(`${free} blocks of the cache are free, ${needed} are needed.`);
    clearTimeout(this.#rest);
    for (const { table, position, count } of growths) this.pool.copy(this.#blocks.reserve(table, position, count));
  }

  /** What was begun is valid, if it is done. */
  end(growths: readonly Growth[], done: boolean): void {
    if (done) for (const { table, position, count } of growths) this.#blocks.commit(table, position + count);
    this.#giveBack();
  }

  /** Makes the first `length` positions of `to` those of `from`. @throws RangeError when there are not so many, or no free block; nothing has changed then */
  share(from: BlockTable, to: BlockTable, length: number): void {
    this.pool.copy(this.#blocks.share(from, to, length));
    this.#giveBack();
  }

  dispose(): void {
    clearTimeout(this.#rest);
    this.pool.dispose();
  }

  #giveBack(most = emptiedPerCall): void {
    clearTimeout(this.#rest);
    const kept = keptBlocks + Math.floor((this.#blocks.count - this.#blocks.free) * keptPart);
    this.pool.empty(this.#blocks.empty(kept, most));
    if (this.#blocks.idle <= kept) return;
    this.#rest = setTimeout(() => this.#giveBack(emptiedAtRest), restMs).unref();
  }
}
