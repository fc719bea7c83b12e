// A gRPC server of typed services: binds, limits, drains. It must never know which services it carries.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Server, type ServerCredentials, type UntypedHandleCall } from "@grpc/grpc-js";
import { type ServiceHandlers, serviceDefinition } from "@modelwire/proto";
import type { Logger } from "pino";
import { RunningCalls } from "./call.ts";
import type { CallWatcher } from "./call-watcher.ts";
import { clientStream } from "./client-stream.ts";
import type { CallContext } from "./context.ts";
import { HealthService } from "./health.ts";
import { widenReceiveWindows } from "./receive-window.ts";
import { reflection } from "./reflection.ts";
import { serverStream } from "./server-stream.ts";
import { unary } from "./unary.ts";
import { withUnreadable } from "./unreadable.ts";

/** How long handlers have, once aborted, to send their last words before connections are cut. */
const CUT_MS = 1000;

/** How many requests of the largest size are worked on at a time. */
const LARGEST_AT_ONCE = 2;

export interface RpcServerOptions {
  log: Logger;
  /** Largest message taken or sent, in bytes. 4 MiB. */
  maxMessageBytes?: number;
  /** Most calls at a time on one connection; a client waits with further ones. 256. */
  maxConcurrentStreams?: number;
  /** Answer gRPC server reflection. true. */
  reflection?: boolean;
  /** Who looks on. Nobody. */
  watchers?: readonly CallWatcher[];
}

export class RpcServer {
  readonly health = new HealthService();
  readonly #running: RunningCalls;
  readonly #services: DescService[] = [];
  readonly #server: Server;
  readonly #options: RpcServerOptions;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    const maxMessageBytes = options.maxMessageBytes ?? 4 << 20;
    this.#running = new RunningCalls(LARGEST_AT_ONCE * maxMessageBytes, options.watchers);
    this.#server = new Server({
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
      "grpc.max_concurrent_streams": options.maxConcurrentStreams ?? 256,
      // Finds out about clients that vanished without a word, so that their slots come free.
      "grpc.keepalive_time_ms": 60_000,
      "grpc.keepalive_timeout_ms": 20_000,
      // Left on: without channelz, grpc-js 1.14 does not know its connections and forceShutdown() cuts none.
      "grpc.enable_channelz": 1,
    });
    widenReceiveWindows(this.#server);
  }

  /** Calls that are running now. */
  get activeCalls(): number {
    return this.#running.size;
  }

  /** Adds a service; before {@link listen}. */
  add<S extends DescService>(service: S, handlers: ServiceHandlers<S, CallContext>): void {
    const implementation: Record<string, UntypedHandleCall> = {};
    for (const method of service.methods) {
      const handler = handlers[method.localName as keyof typeof handlers] as (...args: never[]) => unknown;
      implementation[method.localName] = this.#adapt(method, handler.bind(handlers));
    }
    this.#server.addService(withUnreadable(serviceDefinition(service)), implementation);
    this.#services.push(service);
    this.health.set(service.typeName, "SERVING");
  }

  // The casts tie a method descriptor to the handler that its service's type already demanded in add().
  #adapt(method: DescMethod, handler: (...args: never[]) => unknown): UntypedHandleCall {
    const { log } = this.#options;
    switch (method.methodKind) {
      case "unary":
        return unary(method as never, handler as never, this.#running, log) as never;
      case "server_streaming":
        return serverStream(method as never, handler as never, this.#running, log) as never;
      case "client_streaming":
        return clientStream(method as never, handler as never, this.#running, log) as never;
      default:
        throw new Error(`${method.toString()}: the server has no adapter for ${method.methodKind} methods`);
    }
  }

  /** Binds and serves. @returns the port, which the system chose when the address ended in ":0". */
  async listen(address: string, credentials: ServerCredentials): Promise<number> {
    this.health.addTo(this.#server);
    if (this.#options.reflection ?? true) reflection(this.#services).addToServer(this.#server);
    return new Promise((resolve, reject) =>
      this.#server.bindAsync(address, credentials, (error, port) => (error ? reject(error) : resolve(port))),
    );
  }

  /**
   * Takes no new calls and lets the running ones finish; what still runs after `graceMs` is aborted with UNAVAILABLE.
   * @returns how many calls had to be aborted.
   */
  async drain(graceMs: number): Promise<number> {
    this.health.close();
    let aborted = 0;
    await new Promise<void>((resolve) => {
      let cut: NodeJS.Timeout | undefined;
      const grace = setTimeout(() => {
        aborted = this.#running.size;
        // Aborted handlers send their status first; only one that ignores its signal is cut off.
        cut = setTimeout(() => {
          this.#server.forceShutdown();
          resolve();
        }, CUT_MS);
        this.#running.abortAll();
      }, graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(grace);
        clearTimeout(cut);
        resolve();
      });
    });
    return aborted;
  }
}
