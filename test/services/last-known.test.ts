import { expect, test } from "vitest";
import { LastKnown } from "../../server/services/last-known.ts";

test("what is told in time is told with age 0", async () => {
  let told = 1;
  const known = new LastKnown(async () => told++, 0, 10_000);
  expect(await known.get()).toEqual({ value: 1, ageMs: 0 });
  expect(await known.get()).toEqual({ value: 2, ageMs: 0 });
});

test("who does not answer in time is told of as last, with the age, and asked only once meanwhile", async () => {
  const answers: ((value: number) => void)[] = [];
  const known = new LastKnown(() => new Promise<number>((resolve) => answers.push(resolve)), 0, 5);
  const first = await known.get();
  expect(first.value).toBe(0);
  expect(first.ageMs).toBeGreaterThanOrEqual(0);
  expect((await Promise.all([known.get(), known.get()])).map(({ value }) => value)).toEqual([0, 0]);
  expect(answers).toHaveLength(1);
  answers[0]?.(7);
  // The late answer is what is known from now on.
  const later = await known.get();
  expect(later.value).toBe(7);
  const still = await known.get();
  expect(still.value).toBe(7);
  expect(still.ageMs).toBeGreaterThan(0);
});

test("a failure counts as no answer", async () => {
  let fail = false;
  const known = new LastKnown(async () => (fail ? Promise.reject(new Error("gone")) : 3), 0, 10_000);
  await known.get();
  fail = true;
  expect((await known.get()).value).toBe(3);
});
