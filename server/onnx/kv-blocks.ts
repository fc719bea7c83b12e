// Which blocks of the cache hold which positions of which sequence. Sequences with the same beginning share its blocks;
// a shared block is never written: who writes gets a copy of it first. Bookkeeping alone: it never sees memory, and says
// which blocks are to be copied.

/** Positions of a block: MW_BLOCK_TOKENS of attention.h. */
export const blockTokens = 32;

/** One sequence. The n-th block holds its positions from n × 32 on; the first `length` positions are valid. */
export interface BlockTable {
  readonly blocks: readonly number[];
  readonly length: number;
}

/** What is in `from` must be in `to` as well before anything is written. */
export interface BlockCopy {
  readonly from: number;
  readonly to: number;
}

type Table = { blocks: number[]; length: number };

export class KvBlocks {
  /** How many there are. */
  readonly count: number;
  /** Per block that was ever used, the tables that hold it. Others follow in order, so memory is used from the front. */
  readonly #holders: number[] = [];
  /** Used before and free now; the last one given back is the first one used again, while it is in the processor's caches. */
  readonly #returned: number[] = [];
  /** Free, and without memory again. */
  readonly #emptied: number[] = [];
  readonly #tables = new Set<Table>();

  constructor(count: number) {
    this.count = count;
  }

  get free(): number {
    return this.count - this.#holders.length + this.idle + this.#emptied.length;
  }

  /** Those that are free and hold memory all the same. */
  get idle(): number {
    return this.#returned.length;
  }

  /** A sequence without positions. */
  open(): BlockTable {
    const table: Table = { blocks: [], length: 0 };
    this.#tables.add(table);
    return table;
  }

  /**
   * Forgets what lies behind `position` and makes room for `count` positions from there on. They are valid once `commit`
   * says so; those below `position` stay as they were whether it does or not. What throws changes nothing.
   * @throws RangeError for a table that was closed, a gap, or too few free blocks
   */
  reserve(table: BlockTable, position: number, count: number): BlockCopy[] {
    const own = this.#own(table);
    if (position < 0 || position > own.length) throw new RangeError(`Position ${position} of ${own.length}.`);
    const needed = this.needed(own, position, count);
    if (needed > this.free) throw new RangeError(`${this.free} blocks are free, ${needed} are needed.`);
    const first = Math.floor(position / blockTokens);
    const end = Math.ceil((position + count) / blockTokens);
    own.length = position;
    this.#drop(own, end);
    const copies: BlockCopy[] = [];
    for (let n = first; n < end; n++) {
      const held = own.blocks[n];
      if (held !== undefined && this.#holders[held] === 1) continue;
      const block = this.#take();
      own.blocks[n] = block;
      if (held === undefined) continue;
      this.#holders[held]!--; // the others keep it
      if (n === first && position % blockTokens > 0) copies.push({ from: held, to: block });
    }
    return copies;
  }

  /** Free blocks that `reserve` takes: for the positions from `position` on, those that the table does not hold alone. */
  needed(table: BlockTable, position: number, count: number): number {
    const { blocks } = this.#own(table);
    const end = Math.ceil((position + count) / blockTokens);
    let needed = 0;
    for (let n = Math.floor(position / blockTokens); n < end; n++) {
      const held = blocks[n];
      if (held === undefined || this.#holders[held]! > 1) needed++;
    }
    return needed;
  }

  /** The first `length` positions, for which there is room, are valid. */
  commit(table: BlockTable, length: number): void {
    const own = this.#own(table);
    const room = own.blocks.length * blockTokens;
    if (length < 0 || length > room) throw new RangeError(`${length} positions in room for ${room}.`);
    own.length = length;
  }

  /**
   * Makes the first `length` positions of `to` those of `from`: whole blocks are shared, a started one is copied. What
   * throws changes nothing.
   * @throws RangeError for a table that was closed, more than `from` has, or no free block for the copy
   */
  share(from: BlockTable, to: BlockTable, length: number): BlockCopy[] {
    const [source, target] = [this.#own(from), this.#own(to)];
    if (length < 0 || length > source.length) throw new RangeError(`${length} of ${source.length} positions.`);
    const whole = Math.floor(length / blockTokens);
    const started = length % blockTokens === 0 ? undefined : source.blocks[whole];
    if (target === source) {
      target.length = length;
      return [];
    }
    const comesFree = target.blocks.some((block) => this.#holders[block] === 1);
    if (started !== undefined && this.free === 0 && !comesFree) throw new RangeError("No block is free, 1 is needed.");
    target.length = length;
    this.#drop(target, 0);
    for (const block of source.blocks.slice(0, whole)) {
      this.#holders[block]!++;
      target.blocks.push(block);
    }
    if (started === undefined) return [];
    const copy = this.#take();
    target.blocks.push(copy);
    return [{ from: started, to: copy }];
  }

  /** Gives the blocks of a sequence back. Idempotent. */
  close(table: BlockTable): void {
    const own = table as Table;
    if (!this.#tables.delete(own)) return;
    this.#drop(own, 0);
    own.length = 0;
  }

  /**
   * Of the idle blocks those given back longest ago, so that no more than `kept` stay: their memory may go.
   * @param most of them
   */
  empty(kept: number, most: number): number[] {
    const blocks = this.#returned.splice(0, Math.max(0, Math.min(this.idle - kept, most)));
    this.#emptied.push(...blocks);
    return blocks;
  }

  snapshot(): BlocksSnapshot {
    return {
      count: this.count,
      holders: [...this.#holders],
      returned: [...this.#returned, ...this.#emptied],
      tables: [...this.#tables].map(({ blocks, length }) => ({ blocks: [...blocks], length })),
    };
  }

  #own(table: BlockTable): Table {
    const own = table as Table;
    if (!this.#tables.has(own)) throw new RangeError("The sequence has been closed.");
    return own;
  }

  #take(): number {
    const block = this.#returned.pop() ?? this.#emptied.pop() ?? this.#holders.length;
    if (block >= this.count) throw new RangeError(`All of ${this.count} blocks are in use.`);
    this.#holders[block] = 1;
    return block;
  }

  /** Gives up the blocks of a table from the n-th on. */
  #drop(table: Table, from: number): void {
    while (table.blocks.length > from) {
      const block = table.blocks.pop()!;
      if (--this.#holders[block]! === 0) this.#returned.push(block);
    }
  }
}

export interface BlocksSnapshot {
  readonly count: number;
  readonly holders: readonly number[];
  /** Those that were used and are free, with or without memory. */
  readonly returned: readonly number[];
  readonly tables: readonly BlockTable[];
}

/** What must hold between any two calls and does not. Pure. */
export function blockViolations({ count, holders, returned, tables }: BlocksSnapshot): string[] {
  const found: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) found.push(what);
  };
  must(holders.length <= count, `${holders.length} blocks are known, ${count} exist`);
  must(new Set(returned).size === returned.length, "a block was given back twice");
  const owned = new Map<number, Set<number>>(); // block → its places in the tables that hold it
  const held = new Array<number>(holders.length).fill(0);
  for (const { blocks, length } of tables) {
    must(length <= blocks.length * blockTokens, `${length} positions in ${blocks.length} blocks`);
    must(new Set(blocks).size === blocks.length, `a table holds a block twice: ${blocks}`);
    blocks.forEach((block, place) => {
      held[block] = (held[block] ?? 0) + 1;
      owned.set(block, (owned.get(block) ?? new Set()).add(place));
    });
  }
  for (const [block, places] of owned) must(places.size === 1, `block ${block} is shared at places ${[...places]}`);
  held.forEach((tablesOfBlock, block) => {
    must(holders[block] === tablesOfBlock, `block ${block} is in ${tablesOfBlock} tables, not ${holders[block]}`);
    must(tablesOfBlock > 0 !== returned.includes(block), `block ${block} is both owned and free, or neither`);
  });
  return found;
}
