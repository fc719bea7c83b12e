import { describe, expect, test } from "vitest";
import { PrefixCache } from "../../server/decoder/prefix-cache.ts";

const of = (...tokens: number[]) => Int32Array.from(tokens);
const cacheOf = (...list: [id: number, scope: string, ...tokens: number[]][]) => {
  const cache = new PrefixCache();
  const useless = list.map(([id, scope, ...tokens]) => cache.keep({ handle: { id }, scope, tokens: of(...tokens) }));
  return { cache, useless: useless.map((handles) => handles.map(({ id }) => id)) };
};

describe("what stays in the cache", () => {
  test("is found by the longest beginning, within its scope alone", () => {
    const { cache } = cacheOf([1, "a", 5, 6, 7, 8], [2, "a", 5, 6, 9], [3, "b", 5, 6, 7, 8, 9]);
    expect(cache.find(of(5, 6, 7, 1), "a")).toMatchObject({ length: 3, resident: { handle: { id: 1 } } });
    expect(cache.find(of(5, 6, 9, 1), "a")).toMatchObject({ length: 3, resident: { handle: { id: 2 } } });
    expect(cache.peek(of(5, 6, 7, 8, 9), "b")).toBe(5);
    expect(cache.find(of(6), "a")).toBeUndefined();
    expect(cache.find(of(5), "c")).toBeUndefined();
  });

  test("leaves in the order of last use, a spared one last", () => {
    const { cache } = cacheOf([1, "a", 1, 1], [2, "a", 2, 2], [3, "a", 3, 3]);
    cache.find(of(1, 1, 4), "a");
    const spared = cache.find(of(2, 2), "a")!.resident;
    expect([cache.evict(spared), cache.evict(spared), cache.evict(spared), cache.evict()]).toEqual([
      { id: 3 },
      { id: 1 },
      undefined,
      { id: 2 },
    ]);
  });

  test("is each beginning once: what a longer one of the same scope contains is of no use", () => {
    const { cache, useless } = cacheOf(
      [1, "a", 5, 6],
      [2, "b", 5, 6],
      [3, "a", 5, 6, 7],
      [4, "a", 5, 6],
      [5, "a", 5, 7],
    );
    expect(useless).toEqual([[], [], [1], [4], []]);
    expect(cache.residents.map(({ handle }) => handle.id)).toEqual([2, 3, 5]);
  });
});
