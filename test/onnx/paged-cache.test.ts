import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openKernels } from "../../server/onnx/kernels.ts";
import { type BlockTable, blockTokens } from "../../server/onnx/kv-blocks.ts";
import { PagedCache } from "../../server/onnx/paged-cache.ts";

// A block of 1 MiB, so that what the process has can be seen.
const shape = { layers: 8, kvHeads: 16, headSize: 64, type: "f16", blocks: 200 } as const;
const mib = 2 ** 20;

let cache: PagedCache;

beforeEach(() => {
  vi.useFakeTimers();
  const { kernels } = openKernels();
  if (!kernels) throw new Error("There are no native operators here.");
  cache = new PagedCache(kernels, shape);
});
afterEach(() => {
  cache.dispose();
  vi.useRealTimers();
});

/** Takes so many blocks and writes all of them. */
function filled(blocks: number): BlockTable {
  const table = cache.open();
  grow(table, blocks);
  for (const block of table.blocks) cache.pool.copy([{ from: shape.blocks - 1, to: block }]);
  return table;
}

function grow(table: BlockTable, blocks: number): void {
  const growths = [{ table, position: table.length, count: blocks * blockTokens }];
  cache.begin(growths);
  cache.end(growths, true);
}

describe("the memory of a cache", () => {
  test("comes down by itself after a peak, to what is used and a little more", () => {
    expect(cache.pool.blockBytes).toBeGreaterThanOrEqual(mib);
    const before = process.memoryUsage().rss;
    const tables = Array.from({ length: 10 }, () => filled(12));
    expect(process.memoryUsage().rss - before).toBeGreaterThan(115 * mib);
    for (const table of tables.slice(1)) cache.close(table);
    expect(cache.resident).toBeGreaterThan(70); // not all of it at once
    vi.advanceTimersByTime(60_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(cache.resident).toBe(12 + 8 + 3);
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * mib);
  });

  test("stays where sequences come and go as before", () => {
    const first = filled(40);
    for (let i = 0; i < 50; i++) {
      const table = filled(12);
      expect(cache.resident).toBeLessThanOrEqual(52);
      cache.close(table);
      vi.advanceTimersByTime(1000);
      expect(cache.resident).toBe(52); // 8 and a quarter of 40 may be idle
    }
    cache.close(first);
  });

  test("is left alone from the beginning of a run to its end", () => {
    const table = filled(1);
    const peak = filled(100);
    cache.close(peak);
    const growths = [{ table, position: 5, count: 1 }];
    cache.begin(growths);
    const { resident } = cache;
    vi.advanceTimersByTime(60_000);
    expect(cache.resident).toBe(resident);
    cache.end(growths, false);
    vi.advanceTimersByTime(60_000);
    expect(cache.resident).toBe(1 + 8);
  });

  test("that was given back is taken again before what was never used", () => {
    const [kept, peak] = [filled(1), filled(100)];
    cache.close(peak);
    vi.advanceTimersByTime(60_000);
    const again = filled(120);
    expect(new Set([...kept.blocks, ...again.blocks]).size).toBe(121);
    expect(Math.max(...again.blocks)).toBe(120);
    expect(cache.room).toEqual({ blockTokens, blocks: 200, free: 79 });
  });
});
