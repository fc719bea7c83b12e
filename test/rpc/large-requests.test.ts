// Large requests that come all at once.
import { status } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { deferred, type Echo, startEcho } from "./echo.ts";

let echo: Echo;
afterEach(() => echo.close());

const LARGE = "x".repeat(3 << 20);

test("two of 3 MiB are worked on at a time, small ones pass them, and those that wait can be cancelled", async () => {
  const gate = deferred<void>();
  let working = 0;
  let most = 0;
  echo = await startEcho({
    async unary({ text }) {
      if (text.length < LARGE.length) return { text };
      working += 1;
      most = Math.max(most, working);
      await gate.promise;
      working -= 1;
      return { text: String(text.length) };
    },
  });
  const { client } = echo;
  const all = Array.from({ length: 9 }, () => client.unary({ text: LARGE }));
  await expect.poll(() => working, { timeout: 10_000 }).toBe(2);
  const late = await client.unary({ text: LARGE }, { timeoutMs: 300 }).catch((error: unknown) => error);
  expect(late).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  expect((await client.unary({ text: "small" })).text).toBe("small");
  expect(working).toBe(2);
  gate.resolve();
  expect((await Promise.all(all)).map(({ text }) => text)).toEqual(Array(9).fill(String(LARGE.length)));
  expect(most).toBe(2);
});

test("a stream that has ended lets the next large request go on, and so does one that failed", async () => {
  echo = await startEcho({
    async *serverStream({ text, count }) {
      if (count > 0) throw new Error("no");
      yield { text: String(text.length), index: 0 };
    },
  });
  for (let round = 0; round < 8; round += 1) {
    expect(await all(echo.client.serverStream({ text: LARGE }))).toEqual([String(LARGE.length)]);
    const failed = all(echo.client.serverStream({ text: LARGE, count: 1 }));
    await expect(failed).rejects.toMatchObject({ code: status.INTERNAL });
  }
});

test("streams that nobody reads do not hold up large requests of others", async () => {
  const begun = deferred<void>();
  let streams = 0;
  echo = await startEcho({
    async *serverStream({ text }) {
      streams += 1;
      if (streams === 2) begun.resolve();
      for (let index = 0; ; index += 1) yield { text, index };
    },
  });
  const stop = new AbortController();
  const unread = [1, 2].map(() =>
    echo.client.serverStream({ text: LARGE }, { signal: stop.signal })[Symbol.asyncIterator](),
  );
  for (const stream of unread) await stream.next();
  await begun.promise;
  expect((await echo.client.unary({ text: LARGE }, { timeoutMs: 10_000 })).text).toBe(LARGE);
  stop.abort();
});

async function all(messages: AsyncIterable<{ readonly text: string }>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of messages) texts.push(text);
  return texts;
}
