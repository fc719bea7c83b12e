import { describe, expect, test } from "vitest";
import { type EngineSnapshot, type SequenceSnapshot, violations } from "../../server/decoder/invariants.ts";
import { planStep } from "../../server/decoder/scheduler.ts";

const limits = { maxEntries: 8, maxTokens: 16, budget: (tokens: number) => (tokens > 0 ? 4 : 16) };
const at = (id: number, pending: number, paused = false) => ({ id, pending, paused });
const plan = (...running: ReturnType<typeof at>[]) =>
  planStep(running, limits).map(({ sequence, count, samples }) => [sequence.id, count, samples]);

describe("the scheduler", () => {
  test("decodes all and adds one chunk of the first prompt", () => {
    expect(plan(at(1, 1), at(2, 9), at(3, 1), at(4, 9))).toEqual([
      [1, 1, true],
      [3, 1, true],
      [2, 4, false],
    ]);
  });
  test("samples where a chunk reaches the end of a prompt", () => {
    expect(plan(at(1, 16))).toEqual([[1, 16, true]]);
    expect(plan(at(1, 17))).toEqual([[1, 16, false]]);
  });
  test("goes on with the next prompts while the budget lasts, no entry longer than the runner takes", () => {
    expect(plan(at(1, 5), at(2, 6), at(3, 9))).toEqual([
      [1, 5, true],
      [2, 6, true],
      [3, 5, false],
    ]);
    const wide = { ...limits, budget: () => 100 };
    expect(planStep([at(1, 40), at(2, 3)], wide).map(({ count }) => count)).toEqual([16, 3]);
  });
  test("never has more entries than the runner takes: answers before prompts", () => {
    const narrow = { ...limits, maxEntries: 2 };
    const ids = planStep([at(1, 9), at(2, 1), at(3, 1), at(4, 1)], narrow).map(({ sequence }) => sequence.id);
    expect(ids).toEqual([2, 3]);
  });
  test("adds guesses to answers, counts them as tokens of the step, and keeps within an entry", () => {
    const draft = Int32Array.from({ length: 20 }, (_, i) => i);
    const asked: number[] = [];
    const budget = (tokens: number) => asked.push(tokens);
    const [first, second] = planStep([{ ...at(1, 1), draft }, at(2, 1)], { ...limits, budget });
    expect([...first!.draft]).toEqual([...draft.subarray(0, 15)]);
    expect(second!.draft).toHaveLength(0);
    expect(asked).toEqual([17]);
  });
  test("leaves a prompt out that another one before it computes the beginning of, and only then", () => {
    const waiting = { ...at(2, 9), waitsFor: 1 };
    expect(planStep([at(1, 9), waiting, at(3, 9)], limits).map(({ sequence }) => sequence.id)).toEqual([1, 3]);
    expect(planStep([at(1, 9, true), waiting], limits).map(({ sequence }) => sequence.id)).toEqual([2]);
    expect(planStep([at(1, 1), waiting], limits).map(({ sequence }) => sequence.id)).toEqual([1, 2]);
  });
  test("leaves paused sequences out, at the prompt as well as when decoding", () => {
    expect(plan(at(1, 1, true), at(2, 9, true), at(3, 9))).toEqual([[3, 9, true]]);
    expect(plan(at(1, 1, true))).toEqual([]);
  });
});

describe("the invariants", () => {
  const running: SequenceSnapshot = {
    id: 1,
    status: "running",
    place: 0,
    promptLength: 3,
    length: 5,
    cached: 4,
    recompute: 0,
    maxTokens: 9,
    unread: 2,
  };
  const sound: EngineSnapshot = {
    maxSequences: 2,
    queueLimit: 4,
    contextLength: 20,
    windowTokens: 4,
    queued: [],
    running: [running],
    room: { blockTokens: 4, blocks: 8, free: 6 },
    residents: [{ place: 5, length: 7 }],
    runner: { freePlaces: 1, places: 3, heldBlocks: 2 },
  };
  test("hold for a sound engine", () => {
    expect(violations(sound)).toEqual([]);
  });
  test.each<[string, Partial<EngineSnapshot>]>([
    ["owned ≠ 3 places", { runner: { freePlaces: 2, places: 3, heldBlocks: 2 } }],
    ["held ≠ 8 blocks", { runner: { freePlaces: 1, places: 3, heldBlocks: 3 } }],
    ["blocks are free", { room: { blockTokens: 4, blocks: 8, free: 9 } }],
    ["17 tokens are in 2 blocks", { residents: [{ place: 5, length: 17 }] }],
    ["listed twice", { running: [running, { ...running, place: 1 }] }],
    ["share a place", { running: [running, { ...running, id: 2 }] }],
    ["share a place", { residents: [{ place: 0, length: 4 }] }],
    ["no place for what", { running: [{ ...running, place: undefined }] }],
    ["unseen", { running: [{ ...running, cached: 3 }] }],
    ["nothing left to compute", { running: [{ ...running, cached: 5 }] }],
    ["unread events", { running: [{ ...running, unread: 6 }] }],
    ["longer than asked", { running: [{ ...running, length: 13, cached: 12 }] }],
    ["longer than the context", { contextLength: 4 }],
    ["holds part of the cache", { queued: [{ ...running, id: 7, status: "queued", length: 3, cached: 1 }] }],
    ["is queued", { running: [{ ...running, status: "queued" }] }],
    ["wait, the limit", { queueLimit: -1 }],
    [
      "gave up a place",
      { queueLimit: -2, queued: [{ ...running, id: 7, status: "queued", place: undefined, cached: 0, recompute: 5 }] },
    ],
    [
      "has generated tokens",
      { queued: [{ ...running, id: 7, status: "queued", place: undefined, cached: 0, recompute: 4 }] },
    ],
  ])("tell when something is wrong: %s", (what, change) => {
    expect(violations({ ...sound, ...change }).join("; ")).toContain(what);
  });
});
