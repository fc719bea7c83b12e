// Who looks on sees every call once, whatever comes of it; and what is held for a call is given back when it has ended.
import { ApiError } from "@modelwire/proto";
import { afterEach, expect, test } from "vitest";
import type { CallWatcher } from "../../server/rpc/call-watcher.ts";
import { aborted, deferred, type Echo, type EchoHandlers, startEcho } from "./echo.ts";

let echo: Echo;
afterEach(() => echo.close());

/** Writes down what it sees. */
function witness() {
  const seen: string[] = [];
  const waiting = new Set<() => void>();
  const watcher: CallWatcher = {
    start({ method, requestId }) {
      const note = (what: string) => seen.push(`${method.name} ${requestId} ${what}`);
      note("starts");
      return {
        request: () => note("request"),
        response: () => note("response"),
        end: (error) => {
          note(error ? error.codeName : "OK");
          for (const wake of waiting) wake();
        },
      };
    },
  };
  const ends = async (count: number) => {
    while (seen.filter((line) => /(OK|[A-Z]{4,})$/.test(line)).length < count)
      await new Promise<void>((resolve) => waiting.add(resolve));
  };
  return { seen, watcher, ends };
}

const start = async (watchers: readonly CallWatcher[], handlers: Partial<EchoHandlers> = {}) => {
  echo = await startEcho(handlers, {}, watchers);
  return echo.client;
};
const as = (id: string) => ({ metadata: { "x-request-id": id } });

test("every message of every kind of call is seen, and its end once, by all who look on", async () => {
  const [one, other] = [witness(), witness()];
  const client = await start([one.watcher, other.watcher]);
  await client.unary({ text: "x" }, as("u"));
  for await (const _ of client.serverStream({ count: 2, text: "x" }, as("s")));
  async function* three() {
    for (let i = 0; i < 3; i += 1) yield { text: "x" };
  }
  await client.clientStream(three(), as("c"));
  await one.ends(3);
  expect(one.seen).toEqual([
    ...["Unary u starts", "Unary u request", "Unary u response", "Unary u OK"],
    ...["ServerStream s starts", "ServerStream s request", "ServerStream s response", "ServerStream s response"],
    ...["ServerStream s OK", "ClientStream c starts"],
    ...["ClientStream c request", "ClientStream c request", "ClientStream c request", "ClientStream c response"],
    "ClientStream c OK",
  ]);
  expect(other.seen).toEqual(one.seen);
});

test("a call that fails, is cancelled or has a bug ends with its code", async () => {
  const { seen, watcher, ends } = witness();
  const begun = deferred();
  const client = await start([watcher], {
    async unary({ text }, { signal }) {
      if (text === "mine") throw new ApiError("MODEL_NOT_FOUND", "no");
      if (text === "bug") throw new Error("oops");
      begun.resolve();
      await aborted(signal);
      throw signal.reason;
    },
  });
  const controller = new AbortController();
  await expect(client.unary({ text: "mine" }, as("a"))).rejects.toThrow();
  await expect(client.unary({ text: "bug" }, as("b"))).rejects.toThrow();
  const left = client.unary({ text: "wait" }, { ...as("c"), signal: controller.signal });
  left.catch(() => undefined);
  await begun.promise;
  controller.abort();
  await ends(3);
  expect(seen.filter((line) => /[A-Z]{4,}$/.test(line))).toEqual([
    "Unary a NOT_FOUND",
    "Unary b INTERNAL",
    "Unary c CANCELLED",
  ]);
});

test("a call's signal aborts when the call has ended well, and not before its answer", async () => {
  const signals: AbortSignal[] = [];
  const inTime: boolean[] = [];
  const client = await start([], {
    async unary({ text }, { signal }) {
      signals.push(signal);
      inTime.push(!signal.aborted);
      return { text };
    },
    async *serverStream({ count }, { signal }) {
      signals.push(signal);
      for (let index = 0; index < count; index += 1) {
        inTime.push(!signal.aborted);
        yield { index, text: "x" };
      }
    },
  });
  await client.unary({ text: "x" });
  for await (const _ of client.serverStream({ count: 3, text: "x" }));
  expect(inTime).toEqual([true, true, true, true]);
  await Promise.all(signals.map(aborted));
  // By us: that grpc-js tells every call's end as a cancellation as well is nothing to rely on.
  for (const { reason } of signals) expect(reason).toMatchObject({ message: "the call has ended" });
});
