import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BlockTable, blockTokens, blockViolations, KvBlocks } from "../../server/onnx/kv-blocks.ts";

const limit = 4 * blockTokens + 5; // positions of a sequence

/** Blocks with contents, and beside every table the list of numbers that it must read as. */
class Cache {
  readonly blocks: KvBlocks;
  readonly sequences: { table: BlockTable; expected: number[] }[] = [];
  readonly #memory = new Map<number, (number | undefined)[]>();
  #next = 0;

  constructor(blocks: number) {
    this.blocks = new KvBlocks(blocks);
  }

  /** Writes `count` numbers from `position` on, if there is room; `commit` false is a step that failed. */
  write(index: number, position: number, count: number, commit: boolean): void {
    const { table, expected } = this.sequences[index]!;
    const [needed, before] = [this.blocks.needed(table, position, count), this.blocks.snapshot()];
    if (needed > this.blocks.free) {
      expect(() => this.blocks.reserve(table, position, count)).toThrow("are needed");
      expect(this.blocks.snapshot()).toEqual(before);
      return;
    }
    const held = [...table.blocks];
    this.#copy(this.blocks.reserve(table, position, count));
    expect(table.blocks.filter((block, n) => block !== held[n]).length).toBe(needed);
    expect(this.blocks.needed(table, position, count)).toBe(0);
    expected.length = position;
    for (let i = position; i < position + count; i++) {
      const number = this.#next++;
      this.#block(table.blocks[Math.floor(i / blockTokens)]!)[i % blockTokens] = number;
      if (commit) expected.push(number);
    }
    if (commit) this.blocks.commit(table, position + count);
  }

  share(from: number, to: number, length: number): void {
    const [source, target] = [this.sequences[from]!, this.sequences[to]!];
    const before = this.blocks.snapshot();
    try {
      this.#copy(this.blocks.share(source.table, target.table, length));
    } catch (error) {
      expect(this.blocks.free).toBe(0);
      expect((error as Error).message).toBe("No block is free, 1 is needed.");
      expect(this.blocks.snapshot()).toEqual(before);
      return;
    }
    target.expected = source.expected.slice(0, length);
  }

  /** Their memory goes, and what was in it. */
  empty(kept: number, most: number): void {
    const emptied = this.blocks.empty(kept, most);
    expect(emptied.length).toBeLessThanOrEqual(most);
    for (const block of emptied) this.#memory.delete(block);
  }

  read(table: BlockTable): (number | undefined)[] {
    return Array.from(
      { length: table.length },
      (_, i) => this.#block(table.blocks[Math.floor(i / blockTokens)]!)[i % blockTokens],
    );
  }

  #copy(copies: readonly { from: number; to: number }[]): void {
    for (const { from, to } of copies) this.#memory.set(to, [...this.#block(from)]);
  }

  #block(number: number): (number | undefined)[] {
    if (!this.#memory.has(number)) this.#memory.set(number, []);
    return this.#memory.get(number)!;
  }
}

describe("the blocks of a cache", () => {
  test("hold of every sequence what it wrote, through any growth, sharing, rewriting, failure and end of others, and take what they say", () => {
    const most = 3;
    const step = fc.record({
      action: fc.constantFrom("write", "write", "write", "fail", "share", "share", "close", "empty"),
      a: fc.integer({ min: 0, max: most - 1 }),
      b: fc.integer({ min: 0, max: most - 1 }),
      at: fc.integer({ min: 0, max: limit }).map((number) => number / limit),
      count: fc.integer({ min: 1, max: 80 }),
      end: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60, size: "max" }), fc.nat(14), (steps, spare) => {
        const cache = new Cache(1 + spare);
        const { blocks, sequences } = cache;
        for (let i = 0; i < most; i++) sequences.push({ table: blocks.open(), expected: [] });
        for (const { action, a, b, at, count, end } of steps) {
          const { table } = sequences[a]!;
          if (action === "share") cache.share(a, b, Math.round(at * table.length));
          else if (action === "empty") cache.empty(b, count);
          else if (action === "close") {
            blocks.close(table);
            sequences[a] = { table: blocks.open(), expected: [] };
          } else {
            const position = end ? table.length : Math.round(at * table.length);
            cache.write(a, position, Math.min(count, limit - position), action === "write");
          }
          expect(blockViolations(blocks.snapshot())).toEqual([]);
          for (const { table, expected } of sequences) expect(cache.read(table)).toEqual(expected);
        }
        for (const { table } of sequences) blocks.close(table);
        expect(blocks.free).toBe(blocks.count);
      }),
      { numRuns: 200 },
    );
  });

  test("are used from the front, and one that was given back before one that never was", () => {
    const blocks = new KvBlocks(8);
    const [first, second] = [blocks.open(), blocks.open()];
    blocks.reserve(first, 0, 2 * blockTokens);
    blocks.reserve(second, 0, blockTokens);
    expect([first.blocks, second.blocks]).toEqual([[0, 1], [2]]);
    blocks.close(first);
    blocks.reserve(second, 0, 4 * blockTokens);
    expect(second.blocks).toEqual([2, 0, 1, 3]);
  });

  test("of a common beginning are shared whole, and copied only where they have been started", () => {
    const blocks = new KvBlocks(8);
    const [from, to] = [blocks.open(), blocks.open()];
    blocks.reserve(from, 0, 70);
    blocks.commit(from, 70);
    expect(blocks.share(from, to, 64)).toEqual([]);
    expect(to.blocks).toEqual([0, 1]);
    expect(blocks.share(from, to, 65)).toEqual([{ from: 2, to: 3 }]);
    expect(to.blocks).toEqual([0, 1, 3]);
    expect(blocks.reserve(to, 40, 1)).toEqual([{ from: 1, to: 3 }]);
    expect(blocks.reserve(from, 40, 1)).toEqual([]);
  });

  test("refuse a gap, more than was valid, more than there are, and a sequence that was closed", () => {
    const blocks = new KvBlocks(2);
    const [one, other] = [blocks.open(), blocks.open()];
    expect(() => blocks.reserve(one, 1, 1)).toThrow(RangeError);
    expect(() => blocks.reserve(one, 0, 65)).toThrow("2 blocks are free, 3 are needed");
    blocks.reserve(one, 0, 40);
    expect(() => blocks.share(one, other, 1)).toThrow(RangeError);
    expect(() => blocks.commit(one, 65)).toThrow(RangeError);
    blocks.close(one);
    blocks.close(one);
    expect(() => blocks.reserve(one, 0, 1)).toThrow("closed");
    expect(blocks.free).toBe(2);
  });

  test("that a sequence has and is to write again are its own still; one that it shares it gets anew, without a copy", () => {
    const blocks = new KvBlocks(6);
    const [one, other] = [blocks.open(), blocks.open()];
    blocks.reserve(one, 0, 3 * blockTokens);
    blocks.commit(one, 3 * blockTokens);
    expect(blocks.reserve(one, 10, 80)).toEqual([]);
    expect(one.blocks).toEqual([0, 1, 2]);
    blocks.commit(one, 90);
    blocks.share(one, other, 2 * blockTokens);
    expect(blocks.needed(other, 0, 40)).toBe(2);
    expect(blocks.reserve(other, 0, 40)).toEqual([]);
    expect(other.blocks).toEqual([3, 4]);
  });

  test("are shared although none is free, when the one to copy to comes free by it", () => {
    const blocks = new KvBlocks(3);
    const [from, to] = [blocks.open(), blocks.open()];
    blocks.reserve(from, 0, 40);
    blocks.commit(from, 40);
    blocks.reserve(to, 0, 5);
    expect(blocks.free).toBe(0);
    expect(blocks.share(from, to, 40)).toEqual([{ from: 1, to: 2 }]);
    expect(to.blocks).toEqual([0, 2]);
    const third = blocks.open();
    expect(() => blocks.share(from, third, 40)).toThrow("No block is free");
    expect(blocks.share(from, third, 32)).toEqual([]);
  });

  test("are told apart from broken ones", () => {
    const good = { count: 3, holders: [2, 1, 0], returned: [2], tables: [table([0, 1], 40), table([0], 3)] };
    expect(blockViolations(good)).toEqual([]);
    for (const broken of [
      { ...good, count: 2 },
      { ...good, holders: [1, 1, 0] },
      { ...good, returned: [] },
      { ...good, returned: [2, 2] },
      { ...good, returned: [1, 2] },
      { ...good, tables: [table([0, 1], 65), table([0], 3)] },
      { ...good, tables: [table([1, 0], 40), table([0], 3)] },
      { ...good, tables: [table([0, 1, 1], 40), table([0], 3)] },
    ])
      expect(blockViolations(broken)).not.toEqual([]);
  });
});

function table(blocks: number[], length: number): BlockTable {
  return { blocks, length };
}
