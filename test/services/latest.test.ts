import { expect, test } from "vitest";
import { Latest } from "../../server/services/latest.ts";

test("a reader that keeps up gets every value, and the end behind the last", async () => {
  const latest = new Latest<number>();
  let finish = () => {};
  latest.endWith(
    new Promise<void>((resolve) => {
      finish = resolve;
    }),
  );
  const reader = latest[Symbol.asyncIterator]();
  for (const value of [1, 2, 3]) {
    const next = reader.next();
    latest.put(value);
    expect(await next).toEqual({ value, done: false });
  }
  const last = reader.next();
  finish();
  expect((await last).done).toBe(true);
});

test("a reader that is behind gets the newest value only", async () => {
  const latest = new Latest<number>();
  for (let value = 1; value <= 100; value++) latest.put(value);
  latest.endWith(Promise.resolve());
  const seen: number[] = [];
  for await (const value of latest) seen.push(value);
  expect(seen).toEqual([100]);
});

test("work that fails ends the iteration, and nothing is left unhandled", async () => {
  const latest = new Latest<number>();
  latest.endWith(Promise.reject(new Error("no")));
  const seen: number[] = [];
  for await (const value of latest) seen.push(value);
  expect(seen).toEqual([]);
});
