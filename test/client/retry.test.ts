// Which calls are tried again, when, and when not.
import { status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import { expect, test } from "vitest";
import { clientMethod } from "../../client/call.ts";
import { Connection } from "../../client/connection.ts";
import type { RetryPolicy } from "../../client/retry.ts";
import { Retry } from "../../client/retry.ts";
import type { Behaviour } from "./echo.ts";
import { collect, Echo, from, handlersOf, startEcho } from "./echo.ts";
import { startTestServer } from "./test-server.ts";

/** A policy that does not wait, and remembers how long it would have waited. */
function recorded(policy: Partial<RetryPolicy> = {}) {
  const waits: number[] = [];
  const sleep = async (ms: number) => {
    waits.push(ms);
  };
  return { waits, policy: { random: () => 0.5, sleep, ...policy } };
}

/** Fails with the given errors first, then answers. */
function failing(...errors: ApiError[]) {
  const state = { calls: 0 };
  const behaviour: Behaviour = async function* (texts) {
    state.calls++;
    const error = errors.shift();
    if (error) throw error;
    yield* texts;
  };
  return { state, behaviour };
}

const down = (retryAfterMs?: number) => new ApiError("SHUTTING_DOWN", "down", { retryAfterMs });

test.each(["unary", "serverStream"])(
  "%s without side effects survives two failures, waiting longer each time",
  async (kind) => {
    const { waits, policy } = recorded();
    const { state, behaviour } = failing(down(), down());
    await using echo = await startEcho(behaviour, { retry: policy });
    expect(await collect(echo.call(kind)(from("a")))).toEqual(["a"]);
    expect([state.calls, waits]).toEqual([3, [50, 100]]);
  },
);

test.each(["unaryOnce", "clientStream", "bidiStream"])(
  "%s, which may have side effects, is tried once",
  async (kind) => {
    const { waits, policy } = recorded();
    const { state, behaviour } = failing(down());
    await using echo = await startEcho(behaviour, { retry: policy });
    await expect(collect(echo.call(kind)(from("a")))).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    expect([state.calls, waits]).toEqual([1, []]);
  },
);

test("only UNAVAILABLE is tried again", async () => {
  for (const error of [new ApiError("INTERNAL", "x"), new ApiError("QUEUE_FULL", "x", { retryAfterMs: 1 })]) {
    const { state, behaviour } = failing(error);
    await using echo = await startEcho(behaviour, { retry: recorded().policy });
    await expect(collect(echo.call("unary")(from("a")))).rejects.toMatchObject({ reason: error.reason });
    expect(state.calls).toBe(1);
  }
});

test("a full server is asked again when that is allowed, whatever the method, and only when it says after how long", async () => {
  const full = (retryAfterMs?: number) => new ApiError("QUEUE_FULL", "full", { retryAfterMs });
  for (const kind of ["unary", "unaryOnce", "serverStream"]) {
    const { waits, policy } = recorded({ whenFull: true });
    const { state, behaviour } = failing(full(300), full());
    await using echo = await startEcho(behaviour, { retry: policy });
    await expect(collect(echo.call(kind)(from("a")))).rejects.toMatchObject({ reason: "QUEUE_FULL" });
    expect([state.calls, waits]).toEqual([2, [300]]);
    expect(await collect(echo.call(kind)(from("a")))).toEqual(["a"]);
  }
});

test("attempts end at maxAttempts with the last error; retry: false makes that one", async () => {
  const { state, behaviour } = failing(...Array.from({ length: 9 }, () => down()));
  await using echo = await startEcho(behaviour, { retry: recorded({ maxAttempts: 3 }).policy });
  await expect(collect(echo.call("unary")(from("a")))).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(state.calls).toBe(3);
  await using once = await startEcho(behaviour, { retry: false });
  await expect(collect(once.call("unary")(from("a")))).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(state.calls).toBe(4);
});

test("a stream that has given something is not begun again", async () => {
  let calls = 0;
  await using echo = await startEcho(
    async function* (_, { signal }) {
      calls++;
      yield "first";
      await new Promise<void>((resolve) => continued.then(resolve));
      if (!signal.aborted) throw down();
    },
    { retry: recorded().policy },
  );
  let go = () => {};
  const continued = new Promise<void>((resolve) => {
    go = resolve;
  });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const text of echo.call("serverStream")(from("a"))) {
      seen.push(text);
      go();
    }
  })();
  await expect(reading).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
  expect([calls, seen]).toEqual([1, ["first"]]);
});

test("a server's RetryInfo is the least wait, and one that asks for too much is not asked again", async () => {
  const { waits, policy } = recorded();
  const { state, behaviour } = failing(down(700), down(60_000));
  await using echo = await startEcho(behaviour, { retry: policy });
  await expect(collect(echo.call("unary")(from("a")))).rejects.toMatchObject({ retryAfterMs: 60_000 });
  expect([state.calls, waits]).toEqual([2, [700]]);
});

test("the wait is drawn evenly from nothing to the back-off, which doubles up to its most", async () => {
  const { waits, policy } = recorded({ random: () => 1, maxAttempts: 9, maxBackoffMs: 1_000 });
  const retry = new Retry(policy);
  const bounds = { signal: new AbortController().signal, deadline: undefined };
  for (let attempt = 1; attempt <= 6; attempt++) await retry.again(down(), attempt, bounds);
  expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});

test("no attempt is begun that could not begin before the deadline", async () => {
  const { waits, policy } = recorded({ now: () => 1_000 });
  const retry = new Retry(policy);
  const { signal } = new AbortController();
  expect(await retry.again(down(), 1, { signal, deadline: 1_050 })).toBe(false);
  expect(await retry.again(down(), 1, { signal, deadline: 1_051 })).toBe(true);
  expect(waits).toEqual([50]);
});

test("aborting ends the wait between two attempts", async () => {
  const { behaviour } = failing(down(), down());
  const abort = new AbortController();
  const retry = {
    initialBackoffMs: 3_600_000,
    maxBackoffMs: 3_600_000,
    random: () => {
      queueMicrotask(() => abort.abort("enough"));
      return 1;
    },
  };
  await using echo = await startEcho(behaviour, { retry });
  const calling = collect(echo.call("unary")(from("a"), { signal: abort.signal }));
  await expect(calling).rejects.toMatchObject({ code: status.CANCELLED, cause: "enough" });
});

test("a server that comes up while a call waits is found", async () => {
  const placeholder = await startTestServer();
  await placeholder.close();
  let server: Awaited<ReturnType<typeof startTestServer>> | undefined;
  const sleep = async () => {
    server ??= await startTestServer({ port: Number(placeholder.address.split(":")[1]) });
    server.add(Echo, handlersOf((texts) => texts) as object);
    // gRPC looks again on its own clock; this waits for exactly that.
    await new Promise((resolve) => connection.grpc.waitForReady(Date.now() + 10_000, resolve));
  };
  const connection = new Connection(placeholder.address, { retry: { sleep } });
  const unary = clientMethod(connection, Echo.method.unary as never) as (request: object) => Promise<object>;
  expect(await unary({ text: "a" })).toMatchObject({ text: "a" });
  connection.close();
  await server?.close();
});
