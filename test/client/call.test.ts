// What a call of each kind promises its caller, against a real server. The same claims for every kind, so that a missing
// one shows; then those that only some kinds can make.
import { getEventListeners, once } from "node:events";
import { Metadata, status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import { collect, from, KINDS, startEcho } from "./echo.ts";

/** The error that a promise rejects with. */
async function errorOf(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

/** A promise and what settles it. */
function signalled<T = void>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Waits until a number stays as it is over a handful of round trips on the same connection. */
async function standstill(value: () => number, echo: Awaited<ReturnType<typeof startEcho>>): Promise<void> {
  for (let seen = -1; seen !== value(); ) {
    seen = value();
    for (let trip = 0; trip < 5; trip++) await errorOf(collect(echo.call("missing")(from("b"))));
  }
}

/** A server that says when a call has arrived, then answers nothing until the client is gone. */
function silent() {
  const arrived = signalled();
  const left = signalled();
  return {
    arrived: arrived.promise,
    left: left.promise,
    async *behaviour(_: AsyncIterable<string>, { signal }: { signal: AbortSignal }): AsyncGenerator<string> {
      arrived.resolve();
      if (!signal.aborted) await once(signal, "abort");
      left.resolve();
      yield* [];
    },
  };
}

describe.each(KINDS)("%s", (kind) => {
  test("gives the server's answer", async () => {
    await using echo = await startEcho(async function* (texts) {
      for await (const text of texts) yield `${text}!`;
    });
    expect(await collect(echo.call(kind)(from("a")))).toEqual(["a!"]);
  });

  test("sends the client's metadata and the call's, of which the call's wins, and shows header and trailer", async () => {
    let header = new Metadata();
    let trailer = new Metadata();
    await using echo = await startEcho(
      async function* (_, { metadata, sendHeader, trailers }) {
        const answer = new Metadata();
        answer.set("kind", kind);
        sendHeader(answer);
        trailers.set("end", "reached");
        yield [...metadata.get("who"), ...metadata.get("what"), String(metadata.get("user-agent"))].join(" ");
      },
      { metadata: { who: "client", what: "default" }, userAgent: "tests/1" },
    );
    const [text] = await collect(
      echo.call(kind)(from("a"), {
        metadata: { what: "own" },
        onHeader: (metadata) => {
          header = metadata;
        },
        onTrailer: (metadata) => {
          trailer = metadata;
        },
      }),
    );
    expect(text).toMatch(/^client own tests\/1 modelwire-client\/\d/);
    expect(header.get("kind")).toEqual([kind]);
    expect(trailer.get("end")).toEqual(["reached"]);
  });

  test("throws a server's error with all its details, and a stack that leads to the caller", async () => {
    const sent = new ApiError("QUEUE_FULL", "8 wait already", {
      violations: [{ field: "model", description: "is busy" }],
      metadata: { waiting: "8" },
      resource: { type: "model", name: "m-1" },
      retryAfterMs: 60_000,
      requestId: "r-1",
    });
    await using echo = await startEcho(async function* () {
      yield* [];
      throw sent;
    });
    async function theCaller() {
      await collect(echo.call(kind)(from("a")));
    }
    const error = await errorOf(theCaller());
    const { code, reason, message, violations, metadata, resource, retryAfterMs, requestId } = error;
    expect({ code, reason, message, violations, metadata, resource, retryAfterMs, requestId }).toEqual({
      code: status.RESOURCE_EXHAUSTED,
      reason: "QUEUE_FULL",
      message: "8 wait already",
      violations: sent.violations,
      metadata: sent.metadata,
      resource: sent.resource,
      retryAfterMs: 60_000,
      requestId: "r-1",
    });
    expect(error.stack).toContain("theCaller");
  });

  test("ends with CANCELLED and the signal's reason when the signal aborts, and the server hears of it", async () => {
    const server = silent();
    await using echo = await startEcho(server.behaviour);
    const abort = new AbortController();
    const failed = errorOf(collect(echo.call(kind)(from("a"), { signal: abort.signal })));
    await server.arrived;
    const reason = new Error("changed my mind");
    abort.abort(reason);
    const error = await failed;
    expect(error.code).toBe(status.CANCELLED);
    expect(error.cause).toBe(reason);
    await server.left;
  });

  test("never reaches the server when the signal has aborted before", async () => {
    let calls = 0;
    await using echo = await startEcho(async function* () {
      calls++;
      yield "";
    });
    const error = await errorOf(collect(echo.call(kind)(from("a"), { signal: AbortSignal.abort("early") })));
    expect([error.code, error.cause, calls]).toEqual([status.CANCELLED, "early", 0]);
  });

  test("ends with DEADLINE_EXCEEDED when timeoutMs passes, and the server knew the deadline", async () => {
    const left = signalled<number>();
    await using echo = await startEcho(async function* (_, { signal, deadline }) {
      if (!signal.aborted) await once(signal, "abort");
      left.resolve(deadline);
      yield* [];
    });
    const before = Date.now();
    const options = { timeoutMs: 60, signal: new AbortController().signal };
    const error = await errorOf(collect(echo.call(kind)(from("a"), options)));
    expect(error.code).toBe(status.DEADLINE_EXCEEDED);
    expect((await left.promise) - before).toBeLessThan(1_000);
  });

  test("leaves nothing on the signal, called back to back", async () => {
    await using echo = await startEcho(async function* (texts) {
      yield* texts;
    });
    const { signal } = new AbortController();
    for (let i = 0; i < 30; i++) {
      expect(await collect(echo.call(kind)(from(String(i)), { signal }))).toEqual([String(i)]);
    }
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("keeps many calls apart that share a connection and a signal", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    await using echo = await startEcho(async function* (texts) {
      for await (const text of texts) yield text;
    });
    const { signal } = new AbortController();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => collect(echo.call(kind)(from(String(i)), { signal }))),
    );
    expect(answers.flat()).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });

  test("is cancelled when the client is closed, and cannot be made afterwards", async () => {
    const server = silent();
    await using echo = await startEcho(server.behaviour);
    const failed = errorOf(collect(echo.call(kind)(from("a"))));
    await server.arrived;
    echo.connection.close();
    expect((await failed).code).toBe(status.CANCELLED);
    const late = await errorOf(collect(echo.call(kind)(from("a"))));
    expect([late.code, late.message]).toEqual([status.FAILED_PRECONDITION, expect.stringContaining("closed")]);
  });

  test("reports what onHeader throws, as it is, and cancels the call", async () => {
    const left = signalled();
    await using echo = await startEcho(async function* (_, { sendHeader, signal }) {
      sendHeader(new Metadata());
      if (!signal.aborted) await once(signal, "abort");
      left.resolve();
      yield* [];
    });
    const mine = new TypeError("my callback");
    const onHeader = () => {
      throw mine;
    };
    await expect(collect(echo.call(kind)(from("a"), { onHeader }))).rejects.toBe(mine);
    await left.promise;
  });
});

describe.each(["serverStream", "bidiStream"])("%s", (kind) => {
  test("tells the server at once when the loop is left", async () => {
    const left = signalled();
    await using echo = await startEcho(async function* (_, { signal }) {
      signal.addEventListener("abort", () => left.resolve());
      for (let i = 0; !signal.aborted; i++) yield String(i);
    });
    for await (const text of echo.call(kind)(from("a"))) if (text === "3") break;
    await left.promise;
  });

  test("holds the server back while the reader is slow, and loses nothing", async () => {
    let produced = 0;
    const total = 2_000;
    await using echo = await startEcho(async function* () {
      for (; produced < total; produced++) yield `${produced} ${"x".repeat(4_096)}`;
    });
    const reader = echo.call(kind)(from("a"));
    await reader.next();
    await standstill(() => produced, echo);
    expect(produced).toBeLessThan(total / 2);
    expect(await collect(reader)).toHaveLength(total - 1);
  });

  test("gives what came before the end, in order, however fast it came", async () => {
    await using echo = await startEcho(async function* () {
      for (let i = 0; i < 500; i++) yield String(i);
    });
    expect(await collect(echo.call(kind)(from("a")))).toEqual(Array.from({ length: 500 }, (_, i) => String(i)));
  });
});

describe.each(["clientStream", "bidiStream"])("%s", (kind) => {
  /** A source of 128 MiB that says how it ended. (An endless one would take the machine along if nothing held it back.) */
  function ample() {
    const closed = signalled();
    const state = { sent: 0, closed: closed.promise };
    const source = (async function* () {
      try {
        while (state.sent < 8_192) {
          state.sent++;
          yield "x".repeat(16_384);
        }
      } finally {
        closed.resolve();
      }
    })();
    return { source, state };
  }

  test("an answer that comes before the upload is through stops the upload and closes its source", async () => {
    const { source, state } = ample();
    await using echo = await startEcho(async function* (texts) {
      for await (const _ of texts) break;
      yield "enough";
    });
    expect(await collect(echo.call(kind)(source))).toEqual(["enough"]);
    await state.closed;
  });

  test("an error that comes before the upload is through stops the upload and closes its source", async () => {
    const { source, state } = ample();
    await using echo = await startEcho(async function* (texts) {
      for await (const _ of texts) break;
      yield* [];
      throw new ApiError("LIMIT_EXCEEDED", "too much");
    });
    expect((await errorOf(collect(echo.call(kind)(source)))).reason).toBe("LIMIT_EXCEEDED");
    await state.closed;
  });

  test("cancelling closes the source, also one that is parked in an await of its own", async () => {
    const server = silent();
    await using echo = await startEcho(server.behaviour);
    const abort = new AbortController();
    const parked = signalled();
    const unpark = signalled();
    const closed = signalled();
    const source = (async function* () {
      try {
        yield "a";
        parked.resolve();
        await unpark.promise;
        yield "b";
      } finally {
        closed.resolve();
      }
    })();
    const failed = errorOf(collect(echo.call(kind)(source, { signal: abort.signal })));
    await Promise.all([server.arrived, parked.promise]);
    abort.abort();
    expect((await failed).code).toBe(status.CANCELLED);
    unpark.resolve();
    await closed.promise;
  });

  test("takes no more from the source than the server takes from the wire", async () => {
    const { source, state } = ample();
    const reads = signalled();
    await using echo = await startEcho(async function* (_, { signal }) {
      reads.resolve();
      if (!signal.aborted) await once(signal, "abort");
      yield* [];
    });
    const abort = new AbortController();
    const failed = errorOf(collect(echo.call(kind)(source, { signal: abort.signal })));
    await reads.promise;
    await standstill(() => state.sent, echo);
    expect(state.sent).toBeLessThan(200); // 16 KiB each: the window and the buffers, not the machine's memory
    abort.abort();
    await failed;
    await state.closed;
  });

  test("reports what the source throws, as it is, and the server hears of it", async () => {
    const server = silent();
    await using echo = await startEcho(server.behaviour);
    const mine = new RangeError("no more paper");
    const source = (async function* () {
      yield "a";
      await server.arrived;
      throw mine;
    })();
    await expect(collect(echo.call(kind)(source))).rejects.toBe(mine);
    await server.left;
  });
});
