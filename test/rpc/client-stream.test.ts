import http2 from "node:http2";
import { connect } from "node:net";
import { status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import { afterEach, expect, test } from "vitest";
import { aborted, deferred, type Echo, type EchoHandlers, startEcho } from "./echo.ts";

let echo: Echo;
const start = async (handlers?: Partial<EchoHandlers>) => {
  echo = await startEcho(handlers);
  return echo.client;
};
afterEach(() => echo.close());

async function* texts(count: number, text = "x"): AsyncGenerator<{ text: string }> {
  for (let i = 0; i < count; i += 1) yield { text };
}

/** Messages for ever; resolves `stopped` when its reader has had enough. */
function endless(text = "x".repeat(10_000)) {
  const stopped = deferred();
  let sent = 0;
  async function* source() {
    try {
      for (;;) {
        sent += 1;
        yield { text };
      }
    } finally {
      stopped.resolve();
    }
  }
  return { source: source(), stopped: stopped.promise, sent: () => sent };
}

test("basic: the server sees every message in order", async () => {
  const client = await start();
  async function* letters() {
    for (const text of "abcdefghij") yield { text };
  }
  expect(await client.clientStream(letters())).toMatchObject({ text: "abcdefghij", count: 10 });
});

test("metadata: the request id comes back in the headers", async () => {
  const client = await start();
  let header: unknown;
  await client.clientStream(texts(1), {
    metadata: { "x-request-id": "c-1" },
    onHeader: (h) => (header = h.get("x-request-id")[0]),
  });
  expect(header).toBe("c-1");
});

test("server error: it comes with its details, and the client's source is closed", async () => {
  const client = await start({
    async clientStream(requests) {
      for await (const _ of requests)
        throw new ApiError("INVALID_PATH", "bad path", { violations: [{ field: "path", description: "no" }] });
      return {};
    },
  });
  const { source, stopped } = endless();
  await expect(client.clientStream(source)).rejects.toMatchObject({
    reason: "INVALID_PATH",
    violations: [{ field: "path", description: "no" }],
  });
  await stopped;
});

test("client cancel: the handler's signal aborts, and its iteration ends", async () => {
  const first = deferred();
  const reason = deferred<unknown>();
  const ended = deferred();
  const client = await start({
    async clientStream(requests, { signal }) {
      signal.addEventListener("abort", () => reason.resolve(signal.reason));
      try {
        for await (const _ of requests) first.resolve();
      } finally {
        ended.resolve();
      }
      await aborted(signal);
      throw signal.reason;
    },
  });
  const controller = new AbortController();
  const never = deferred();
  async function* one() {
    yield { text: "x" };
    await never.promise;
  }
  const call = client.clientStream(one(), { signal: controller.signal }).catch((e: unknown) => e);
  await first.promise;
  controller.abort();
  expect(await call).toMatchObject({ code: status.CANCELLED });
  await ended.promise;
  expect(await reason.promise).toMatchObject({ code: status.CANCELLED });
});

test("client cancel: a connection that breaks is no complete upload either", async () => {
  const first = deferred();
  const outcome = deferred<unknown>();
  const client = await start({
    async clientStream(requests) {
      try {
        for await (const _ of requests) first.resolve();
        outcome.resolve("complete");
      } catch (error) {
        outcome.resolve(error);
        throw error;
      }
      return {};
    },
  });
  const socket = connect(echo.port, "127.0.0.1");
  const session = http2.connect("http://127.0.0.1", { createConnection: () => socket });
  const stream = session.request({
    ":method": "POST",
    ":path": "/modelwire.test.v1.EchoService/ClientStream",
    "content-type": "application/grpc",
    te: "trailers",
  });
  for (const emitter of [session, stream]) emitter.on("error", () => {});
  stream.write(Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x78]));
  await first.promise;
  socket.destroy();
  expect(await outcome.promise).toMatchObject({ code: status.CANCELLED });
  expect((await client.unary({ text: "still here" })).text).toBe("still here");
});

test("early response: an answer before the last message ends the upload", async () => {
  const client = await start({
    async clientStream(requests) {
      for await (const { text } of requests) return { text, count: 1 };
      return {};
    },
  });
  const { source, stopped } = endless("early");
  expect(await client.clientStream(source)).toMatchObject({ text: "early", count: 1 });
  await stopped;
});

test("deadline: the handler's signal aborts, and its iteration ends", async () => {
  const ended = deferred();
  const client = await start({
    async clientStream(requests, { signal }) {
      try {
        for await (const _ of requests);
      } finally {
        ended.resolve();
      }
      await aborted(signal);
      throw signal.reason;
    },
  });
  const never = deferred();
  async function* one() {
    yield { text: "x" };
    await never.promise;
  }
  const call = client.clientStream(one(), { timeoutMs: 300 });
  await expect(call).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await ended.promise;
  never.resolve();
});

test("graceful shutdown: a running upload finishes", async () => {
  const first = deferred();
  const go = deferred();
  const client = await start({
    async clientStream(requests) {
      let count = 0;
      for await (const _ of requests) {
        count += 1;
        first.resolve();
      }
      return { count };
    },
  });
  async function* two() {
    yield { text: "a" };
    await go.promise;
    yield { text: "b" };
  }
  const call = client.clientStream(two());
  await first.promise;
  const drained = echo.server.drain(30_000);
  go.resolve();
  expect((await call).count).toBe(2);
  expect(await drained).toBe(0);
});

test("forced shutdown: an upload that runs after the grace time ends with UNAVAILABLE", async () => {
  const first = deferred();
  const client = await start({
    async clientStream(requests) {
      for await (const _ of requests) first.resolve();
      return {};
    },
  });
  const never = deferred();
  async function* one() {
    yield { text: "x" };
    await never.promise;
  }
  const call = client.clientStream(one()).catch((e: unknown) => e);
  await first.promise;
  expect(await echo.server.drain(1)).toBe(1);
  expect(await call).toMatchObject({ code: status.UNAVAILABLE, reason: "SHUTTING_DOWN" });
  never.resolve();
});

test("back-to-back: fifty uploads one after the other", async () => {
  const client = await start();
  for (let i = 0; i < 50; i += 1) expect((await client.clientStream(texts(5))).count).toBe(5);
});

test("interleaved: fifty uploads at once, each with its own answer", async () => {
  const client = await start();
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => client.clientStream(texts(10, String(i)))));
  answers.forEach(({ text, count }, i) => {
    expect(count).toBe(10);
    expect(text).toBe(String(i).repeat(10));
  });
});

test("slow reader: a handler that does not take messages stops the client's source, and others go on", async () => {
  const go = deferred();
  const client = await start({
    async clientStream(requests) {
      let count = 0;
      let text = "";
      for await (const request of requests) {
        if (count === 0 && request.text.startsWith("slow")) await go.promise;
        text = request.text.slice(0, 4);
        count += 1;
      }
      return { text, count };
    },
  });
  let sent = 0;
  async function* slow() {
    for (let i = 0; i < 1000; i += 1) {
      sent += 1;
      yield { text: "slow".padEnd(10_000) };
    }
  }
  const held = client.clientStream(slow());
  expect((await client.clientStream(texts(1000, "fast".padEnd(10_000)))).count).toBe(1000);
  const stoppedAt = sent;
  expect(stoppedAt).toBeLessThan(500);
  expect((await client.clientStream(texts(100, "fast"))).count).toBe(100);
  expect(sent).toBe(stoppedAt);
  go.resolve();
  expect((await held).count).toBe(1000);
});
