// One channel and what all calls over it share. It must never know a service.
import type { Metadata } from "@grpc/grpc-js";
import { Client } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import { channelCredentials, isLocal } from "./address.ts";
import { joinMetadata } from "./call-options.ts";
import type { ClientOptions } from "./client-options.ts";
import { Retry } from "./retry.ts";
import { VERSION } from "./version.ts";

/** Code 9 of gRPC: the client is not in the state that the call needs. */
const FAILED_PRECONDITION = 9;

export class Connection {
  readonly grpc: Client;
  /** Sent with every call. */
  readonly metadata: Metadata;
  /** For unary calls that give none of their own. */
  readonly timeoutMs: number | undefined;
  readonly retry: Retry;
  readonly #running = new Set<(reason: ApiError) => void>();
  #closed = false;

  /** @throws ApiError INVALID_ARGUMENT when the address is malformed or plain text to it would be a risk. */
  constructor(
    readonly address: string,
    options: ClientOptions = {},
  ) {
    this.grpc = new Client(address, channelCredentials(address, options), channelOptions(address, options));
    this.metadata = joinMetadata(options.metadata, undefined);
    this.timeoutMs = options.timeoutMs;
    this.retry = new Retry(options.retry === false ? { maxAttempts: 1 } : options.retry);
  }

  /** Registers a running call; `cancel` is called if the client is closed first. Returns what takes it off again. */
  enter(cancel: (reason: ApiError) => void): () => void {
    if (this.#closed) throw closedError();
    this.#running.add(cancel);
    return () => this.#running.delete(cancel);
  }

  /** Cancels what is running and lets the channel go. Doing it twice does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const reason = closedError();
    for (const cancel of [...this.#running]) cancel(reason);
    this.grpc.close();
  }
}

function closedError(): ApiError {
  return new ApiError({ code: FAILED_PRECONDITION }, "the client is closed; make a new one with createClient()");
}

function channelOptions(address: string, options: ClientOptions) {
  const keepalive = options.keepalive ?? {};
  return {
    "grpc.primary_user_agent": [options.userAgent, `modelwire-client/${VERSION}`].filter(Boolean).join(" "),
    "grpc.max_receive_message_length": options.maxReceiveBytes ?? 64 * 1024 * 1024,
    "grpc.max_send_message_length": options.maxSendBytes ?? 64 * 1024 * 1024,
    // By default gRPC looks again for a lost server after a second, and fails every call until then: retries would be idle.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 10_000,
    ...(keepalive === false
      ? {}
      : {
          "grpc.keepalive_time_ms": keepalive.timeMs ?? 30_000,
          "grpc.keepalive_timeout_ms": keepalive.timeoutMs ?? 10_000,
        }),
    // A proxy from the environment cannot reach our own machine.
    ...(isLocal(address) ? { "grpc.enable_http_proxy": 0 } : {}),
    ...options.channelOptions,
  };
}
