import { status } from "@grpc/grpc-js";
import { ApiError, toGrpcStatus } from "@modelwire/proto";
import { afterEach, expect, test } from "vitest";
import { aborted, deferred, type Echo, type EchoHandlers, startEcho } from "./echo.ts";

let echo: Echo;
const start = async (handlers?: Partial<EchoHandlers>) => {
  echo = await startEcho(handlers);
  return echo.client;
};
afterEach(() => echo.close());

test("basic: the answer comes back", async () => {
  const client = await start();
  expect((await client.unary({ text: "grüezi 🙂" })).text).toBe("grüezi 🙂");
});

test("metadata: the request id goes in, comes back in the headers and stands in the log", async () => {
  const client = await start({
    async unary(_request, { metadata, requestId }) {
      return { text: `${metadata.get("x-colour")[0]} ${requestId}` };
    },
  });
  let header: unknown;
  const { text } = await client.unary(
    {},
    { metadata: { "x-colour": "blue", "x-request-id": "abc-1" }, onHeader: (h) => (header = h.get("x-request-id")[0]) },
  );
  expect(text).toBe("blue abc-1");
  expect(header).toBe("abc-1");
  expect(echo.log).toContainEqual(
    expect.objectContaining({ requestId: "abc-1", code: "OK", method: "/modelwire.test.v1.EchoService/Unary" }),
  );
});

test("metadata: a request id that cannot stand in a log is replaced", async () => {
  const client = await start({
    async unary(_request, { requestId }) {
      return { text: requestId };
    },
  });
  const { text } = await client.unary({}, { metadata: { "x-request-id": 'a" injected' } });
  expect(text).toMatch(/^[0-9a-f-]{36}$/);
});

test("server error: reason, violations and metadata arrive; the log has the same request id", async () => {
  const client = await start({
    async unary() {
      throw new ApiError("CONTEXT_OVERFLOW", "too long", {
        violations: [{ field: "messages", description: "shorten them" }],
        metadata: { prompt_tokens: "5000" },
        resource: { type: "model", name: "m-1" },
        retryAfterMs: 1500,
      });
    },
  });
  const error = await client.unary({}).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    code: status.INVALID_ARGUMENT,
    reason: "CONTEXT_OVERFLOW",
    message: "too long",
    violations: [{ field: "messages", description: "shorten them" }],
    metadata: { prompt_tokens: "5000" },
    resource: { type: "model", name: "m-1" },
    retryAfterMs: 1500,
  });
  expect(echo.log).toContainEqual(
    expect.objectContaining({ requestId: (error as ApiError).requestId, reason: "CONTEXT_OVERFLOW" }),
  );
});

test("server error: hundreds of violations stay under the size of trailers, and say how many were left out", async () => {
  const violations = Array.from({ length: 900 }, (_, i) => ({
    field: `messages[${i}].role`,
    description: "must be a word",
  }));
  const client = await start({
    async unary() {
      throw new ApiError("INVALID_FIELD", "many", { violations });
    },
  });
  const error = (await client.unary({}).catch((e: unknown) => e)) as ApiError;
  expect(error.reason).toBe("INVALID_FIELD");
  expect(error.violations.length).toBeGreaterThan(20);
  const named = error.violations.length - 1;
  expect(error.violations.at(-1)?.description).toContain(`${900 - named} further violations`);
});

test.each([
  ["one long violation", "x", { violations: [{ field: "f".repeat(9000), description: "d".repeat(9000) }] }],
  ["a long name", "x", { resource: { type: "model", name: "n".repeat(9000) } }],
  ["long metadata", "x", { metadata: { path: "p".repeat(9000) } }],
  [
    "very much metadata",
    "x",
    { metadata: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, "v".repeat(900)])) },
  ],
  ["a long message", "\u20ac".repeat(9000), { resource: { type: "model", name: "n" } }],
])("server error: with %s the reason still arrives", async (_, message, options) => {
  const client = await start({
    async unary() {
      throw new ApiError("LIMIT_EXCEEDED", message, options);
    },
  });
  const error = (await client.unary({}).catch((e: unknown) => e)) as ApiError;
  expect(error.reason).toBe("LIMIT_EXCEEDED");
  const [trailer] = toGrpcStatus(new ApiError("LIMIT_EXCEEDED", message, options)).metadata.get(
    "grpc-status-details-bin",
  );
  expect(trailer?.length).toBeLessThanOrEqual(6 * 1024); // other gRPC stacks take 8 KiB of trailers
});

test("server error: a long value of its metadata is cut, not lost", async () => {
  const client = await start({
    async unary() {
      throw new ApiError("LIMIT_EXCEEDED", "x", { metadata: { path: "p".repeat(9000), limit: "5" } });
    },
  });
  const error = (await client.unary({}).catch((e: unknown) => e)) as ApiError;
  expect(error.metadata).toEqual({ path: `${"p".repeat(1023)}…`, limit: "5" });
});

test("server error: what is no ApiError becomes INTERNAL, with its stack in the log and not on the wire", async () => {
  const client = await start({
    async unary() {
      throw new TypeError("secret detail");
    },
  });
  const error = (await client.unary({}).catch((e: unknown) => e)) as ApiError;
  expect(error).toMatchObject({ code: status.INTERNAL, reason: "INTERNAL" });
  expect(error.message).not.toContain("secret");
  expect(error.message).toContain(error.requestId);
  expect(JSON.stringify(echo.log)).toContain("TypeError: secret detail");
});

test("client cancel: the handler's signal aborts", async () => {
  const running = deferred();
  const ended = deferred<unknown>();
  const client = await start({
    async unary(_request, { signal }) {
      running.resolve();
      await aborted(signal);
      ended.resolve(signal.reason);
      throw signal.reason;
    },
  });
  const controller = new AbortController();
  const call = client.unary({}, { signal: controller.signal }).catch((e: unknown) => e);
  await running.promise;
  controller.abort();
  expect(await call).toMatchObject({ code: status.CANCELLED });
  expect(await ended.promise).toMatchObject({ code: status.CANCELLED });
});

test("early response: a handler that answers without looking at the request", async () => {
  const client = await start({ unary: async () => ({ text: "early" }) });
  expect((await client.unary({ text: "x".repeat(1 << 20) })).text).toBe("early");
});

test("deadline: client and handler both learn of it", async () => {
  const reason = deferred<unknown>();
  const client = await start({
    async unary(_request, { signal }) {
      await aborted(signal);
      reason.resolve(signal.reason);
      throw signal.reason;
    },
  });
  const error = await client.unary({}, { timeoutMs: 300 }).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  expect(await reason.promise).toMatchObject({ code: status.DEADLINE_EXCEEDED });
});

test("graceful shutdown: a running call finishes, a new one is refused", async () => {
  const running = deferred();
  const finish = deferred();
  const client = await start({
    async unary({ text }) {
      running.resolve();
      await finish.promise;
      return { text };
    },
  });
  const call = client.unary({ text: "last" });
  await running.promise;
  const drained = echo.server.drain(30_000);
  await expect(client.unary({})).rejects.toMatchObject({ code: status.UNAVAILABLE });
  finish.resolve();
  expect((await call).text).toBe("last");
  expect(await drained).toBe(0);
});

test("forced shutdown: what runs after the grace time ends with UNAVAILABLE", async () => {
  const running = deferred();
  const client = await start({
    async unary(_request, { signal }) {
      running.resolve();
      await aborted(signal);
      throw signal.reason;
    },
  });
  const call = client.unary({}).catch((e: unknown) => e);
  await running.promise;
  expect(await echo.server.drain(1)).toBe(1);
  expect(await call).toMatchObject({ code: status.UNAVAILABLE, reason: "SHUTTING_DOWN" });
});

test("forced shutdown: a handler that ignores its signal does not hold up the process", async () => {
  const running = deferred();
  const client = await start({
    async unary() {
      running.resolve();
      return new Promise<never>(() => {});
    },
  });
  const call = client.unary({}).catch((e: unknown) => e);
  await running.promise;
  await echo.server.drain(1);
  expect(await call).toBeInstanceOf(ApiError);
  echo.close = async () => {};
});

test("back-to-back: a hundred calls one after the other", async () => {
  const client = await start();
  for (let i = 0; i < 100; i += 1) expect((await client.unary({ text: String(i) })).text).toBe(String(i));
});

test("interleaved: a hundred calls at once, each with its own answer", async () => {
  const client = await start();
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => client.unary({ text: String(i) })));
  expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
});

test("slow reader: one that does not take its answer does not delay others", async () => {
  const client = await start();
  const slow = client.unary({ text: "slow" });
  for (let i = 0; i < 20; i += 1) expect((await client.unary({ text: "fast" })).text).toBe("fast");
  expect((await slow).text).toBe("slow");
});

test("a message over the limit is RESOURCE_EXHAUSTED, and the server stays up", async () => {
  const client = await start();
  await expect(client.unary({ text: "x".repeat(5 << 20) })).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect((await client.unary({ text: "still here" })).text).toBe("still here");
});
