// A real RpcServer with the test service on a free port, and the real client on it.
import { Writable } from "node:stream";
import { ServerCredentials } from "@grpc/grpc-js";
import type { ServiceClient, ServiceHandlers } from "@modelwire/proto";
import { pino } from "pino";
import { serviceClient } from "../../client/call.ts";
import type { CallOptions } from "../../client/call-options.ts";
import type { ClientOptions } from "../../client/client-options.ts";
import { Connection } from "../../client/connection.ts";
import type { CallWatcher } from "../../server/rpc/call-watcher.ts";
import type { CallContext } from "../../server/rpc/context.ts";
import { RpcServer } from "../../server/rpc/server.ts";
import { EchoService } from "../gen/modelwire/test/v1/echo_pb.ts";

export type EchoHandlers = ServiceHandlers<typeof EchoService, CallContext>;

export interface Echo {
  client: ServiceClient<typeof EchoService, CallOptions>;
  server: RpcServer;
  port: number;
  /** What the server logged, as JSON objects. */
  log: Record<string, unknown>[];
  close(): Promise<void>;
}

const plain: EchoHandlers = {
  async unary({ text }) {
    return { text };
  },
  async *serverStream({ count, text }) {
    for (let index = 0; index < count; index += 1) yield { index, text };
  },
  async clientStream(requests) {
    const texts: string[] = [];
    for await (const { text } of requests) texts.push(text);
    return { text: texts.join(""), count: texts.length };
  },
};

export async function startEcho(
  handlers: Partial<EchoHandlers> = {},
  options: ClientOptions = {},
  watchers: readonly CallWatcher[] = [],
): Promise<Echo> {
  const log: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(line, _encoding, done) {
      log.push(JSON.parse(String(line)));
      done();
    },
  });
  const server = new RpcServer({ log: pino({ base: null }, sink), watchers });
  server.add(EchoService, { ...plain, ...handlers });
  const port = await server.listen("127.0.0.1:0", ServerCredentials.createInsecure());
  const connection = new Connection(`127.0.0.1:${port}`, { retry: false, ...options });
  return {
    client: serviceClient(connection, EchoService),
    server,
    port,
    log,
    async close() {
      connection.close();
      await server.drain(0);
      // A connection or a call that is left behind would be a leak in the server.
      if (server.activeCalls !== 0) throw new Error(`${server.activeCalls} calls are still running`);
    },
  };
}

/** A promise with its ends. */
export function deferred<T = void>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((ok, no) => {
    resolve = ok;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Everything that an async iterable yields. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}
