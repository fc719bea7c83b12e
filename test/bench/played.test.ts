import { describe, expect, test } from "vitest";
import { atOnce, described, ragged, scaled, withOtherPrompts } from "../../bench/loads.mjs";
import { checkPlayed, firstTokens, gaps, mean, percentile, rate, steadyGaps } from "../../bench/played.mjs";

const load = [
  { at: 0, prompt: [1, 2], n: 4 },
  { at: 1, prompt: [3], n: 2 },
];
const times = [
  [500, 1000, 2000, 2500],
  [1500, 2200],
];

describe("a played load", () => {
  test("has a rate over the whole time, of all requests", () => {
    expect(rate(times)).toBeCloseTo(6 / 2.5, 10);
  });

  test("has first tokens from the arrival of each request", () => {
    expect(firstTokens(load, times)).toEqual([500, 500]);
  });

  test("has gaps within each request, and steady ones while all of them decode", () => {
    expect(gaps(times)).toEqual([500, 1000, 500, 700]);
    expect(
      steadyGaps([
        [0, 100, 200, 300, 400],
        [150, 250, 350],
      ]),
    ).toEqual([100, 100, 100]);
  });

  test("is refused when a side gave fewer or more tokens, with every such request", () => {
    expect(() => checkPlayed(load, times)).not.toThrow();
    expect(() =>
      checkPlayed(load, [
        [1, 2, 3],
        [1, 2, 3],
      ]),
    ).toThrow("request 0: 3 of 4, request 1: 3 of 2");
    expect(() => checkPlayed(load, [[1, 2, 3, 4]])).toThrow("request 1: undefined of 2");
  });
});

test("a percentile is one of the numbers, and that of few is the greatest", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([0, 0.5, 0.95, 0.99, 1].map((part) => percentile(hundred, part))).toEqual([1, 50, 95, 99, 100]);
  expect(percentile([3, 1, 2], 0.99)).toBe(3);
  expect(mean([1, 2, 6])).toBe(3);
});

describe("the loads", () => {
  test("the ragged one is eight requests one second apart, of 1,121 tokens and 1,143 new ones", () => {
    expect(ragged.map(({ at }) => at)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(described(ragged)).toBe("8 requests, 1,121 tokens of prompts, 1,143 new");
  });

  test("a part of one has a part of everything, and nothing of it is gone", () => {
    expect(scaled(load, 0.5)).toEqual([
      { at: 0, prompt: [1], n: 2 },
      { at: 0.5, prompt: [3], n: 1 },
    ]);
  });

  test("one with other prompts has the same shape and no prompt of it", () => {
    const other = withOtherPrompts(ragged, 7);
    expect(described(other)).toBe(described(ragged));
    expect(other.map(({ at, prompt }) => [at, prompt.length])).toEqual(
      ragged.map(({ at, prompt }) => [at, prompt.length]),
    );
    expect(other.filter(({ prompt }, i) => prompt.join() === ragged[i]!.prompt.join())).toEqual([]);
  });

  test("prompts of one load and of two seeds differ", () => {
    const prompts = [...atOnce(3, { tokens: 8, n: 1 }), ...atOnce(3, { tokens: 8, n: 1, seed: 1 })];
    expect(new Set(prompts.map(({ prompt }) => prompt.join())).size).toBe(6);
  });
});
