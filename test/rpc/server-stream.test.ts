import { status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import { afterEach, expect, test } from "vitest";
import { aborted, collect, deferred, type Echo, type EchoHandlers, startEcho } from "./echo.ts";

let echo: Echo;
const start = async (handlers?: Partial<EchoHandlers>) => {
  echo = await startEcho(handlers);
  return echo.client;
};
afterEach(() => echo.close());

test("basic: the answers come in order and end", async () => {
  const client = await start();
  const answers = await collect(client.serverStream({ count: 100, text: "é" }));
  expect(answers.map(({ index }) => index)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(answers.every(({ text }) => text === "é")).toBe(true);
});

test("metadata: the request id comes back in the headers, before the first answer", async () => {
  const client = await start();
  let header: unknown;
  for await (const _ of client.serverStream(
    { count: 1 },
    { metadata: { "x-request-id": "s-1" }, onHeader: (h) => (header = h.get("x-request-id")[0]) },
  ))
    expect(header).toBe("s-1");
});

test("server error: answers before it arrive, then the error with its details", async () => {
  const client = await start({
    async *serverStream() {
      yield { index: 0 };
      throw new ApiError("QUEUE_FULL", "full", { retryAfterMs: 1000 });
    },
  });
  const seen: number[] = [];
  const error = await (async () => {
    for await (const { index } of client.serverStream({})) seen.push(index);
  })().catch((e: unknown) => e);
  expect(seen).toEqual([0]);
  expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "QUEUE_FULL", retryAfterMs: 1000 });
});

test("client cancel: the handler's finally runs, also when it is parked in an await", async () => {
  const freed = deferred();
  const client = await start({
    async *serverStream(_request, { signal }) {
      try {
        yield { index: 0 };
        await aborted(signal);
      } finally {
        freed.resolve();
      }
    },
  });
  const controller = new AbortController();
  const error = await (async () => {
    for await (const _ of client.serverStream({}, { signal: controller.signal })) controller.abort();
  })().catch((e: unknown) => e);
  expect(error).toMatchObject({ code: status.CANCELLED });
  await freed.promise;
});

test("client cancel: breaking out of the loop frees the handler", async () => {
  const freed = deferred();
  const client = await start({
    async *serverStream(_request, { signal }) {
      try {
        for (let index = 0; !signal.aborted; index += 1) yield { index, text: "x".repeat(1000) };
      } finally {
        freed.resolve();
      }
    },
  });
  for await (const _ of client.serverStream({})) break;
  await freed.promise;
});

test("early response: a stream without an answer ends well", async () => {
  const client = await start();
  expect(await collect(client.serverStream({ count: 0 }))).toEqual([]);
});

test("deadline: the stream ends with DEADLINE_EXCEEDED and the handler is freed", async () => {
  const freed = deferred<unknown>();
  const client = await start({
    async *serverStream(_request, { signal }) {
      try {
        yield { index: 0 };
        await aborted(signal);
      } finally {
        freed.resolve(signal.reason);
      }
    },
  });
  await expect(collect(client.serverStream({}, { timeoutMs: 300 }))).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
  });
  expect(await freed.promise).toMatchObject({ code: status.DEADLINE_EXCEEDED });
});

test("graceful shutdown: a running stream finishes", async () => {
  const first = deferred();
  const go = deferred();
  const client = await start({
    async *serverStream() {
      yield { index: 0 };
      first.resolve();
      await go.promise;
      yield { index: 1 };
    },
  });
  const all = collect(client.serverStream({}));
  await first.promise;
  const drained = echo.server.drain(30_000);
  go.resolve();
  expect((await all).map(({ index }) => index)).toEqual([0, 1]);
  expect(await drained).toBe(0);
});

test("forced shutdown: a stream that runs after the grace time ends with UNAVAILABLE", async () => {
  const first = deferred();
  const client = await start({
    async *serverStream(_request, { signal }) {
      yield { index: 0 };
      first.resolve();
      await aborted(signal);
    },
  });
  const all = collect(client.serverStream({})).catch((e: unknown) => e);
  await first.promise;
  expect(await echo.server.drain(1)).toBe(1);
  expect(await all).toMatchObject({ code: status.UNAVAILABLE, reason: "SHUTTING_DOWN" });
});

test("back-to-back: fifty streams one after the other", async () => {
  const client = await start();
  for (let i = 0; i < 50; i += 1) expect(await collect(client.serverStream({ count: 5 }))).toHaveLength(5);
});

test("interleaved: fifty streams at once, each with its own answers", async () => {
  const client = await start();
  const streams = await Promise.all(
    Array.from({ length: 50 }, (_, i) => collect(client.serverStream({ count: 10, text: String(i) }))),
  );
  streams.forEach((answers, i) => {
    expect(answers).toHaveLength(10);
    expect(answers.every(({ text }) => text === String(i))).toBe(true);
  });
});

test("slow reader: the handler stands still, others go on, and nothing is lost", async () => {
  let produced = 0;
  const client = await start({
    async *serverStream({ count, text }) {
      for (let index = 0; index < count; index += 1) {
        if (text === "slow") produced += 1;
        yield { index, text: text.padEnd(4096) };
      }
    },
  });
  const slow = client.serverStream({ count: 2000, text: "slow" })[Symbol.asyncIterator]();
  await slow.next();
  // The other stream is ten times what the transport can hold: by its end the slow one has come to its own stop.
  expect(await collect(client.serverStream({ count: 2000, text: "fast" }))).toHaveLength(2000);
  const stoppedAt = produced;
  expect(stoppedAt).toBeLessThan(500);
  expect(await collect(client.serverStream({ count: 200, text: "fast" }))).toHaveLength(200);
  expect(produced).toBe(stoppedAt);
  let rest = 1;
  while (!(await slow.next()).done) rest += 1;
  expect(rest).toBe(2000);
});
