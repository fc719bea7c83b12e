// What can end one call before the server does (the caller's signal, the deadline, the closing of the client), and the
// one error that each of them turns into. It must never know what kind of call it is.
import type { DescMethod } from "@bufbuild/protobuf";
import type { CallOptions as GrpcCallOptions, Metadata, StatusObject } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { ApiError, fromGrpcError } from "@modelwire/proto";
import type { CallOptions } from "./call-options.ts";
import { joinMetadata } from "./call-options.ts";
import type { Connection } from "./connection.ts";
import { onAbort } from "./on-abort.ts";
import type { Bounds } from "./retry.ts";

/** The part that all call objects of grpc-js share. */
interface AnyCall {
  cancel(): void;
  on(event: "metadata", listener: (metadata: Metadata) => void): unknown;
  on(event: "status", listener: (status: StatusObject) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

export class CallScope implements Bounds {
  readonly deadline: number | undefined;
  readonly #ends = new AbortController();
  readonly #name: string;
  readonly #timeoutMs: number | undefined;
  readonly #options: CallOptions;
  readonly #metadata: Metadata;
  readonly #leave: () => void;
  #failure: { error: unknown } | undefined;

  constructor(connection: Connection, method: DescMethod, options: CallOptions = {}) {
    this.#name = `${method.parent.name}.${method.name}`;
    this.#options = options;
    const timeoutMs = options.timeoutMs ?? (method.methodKind === "unary" ? connection.timeoutMs : undefined);
    this.#timeoutMs = timeoutMs === Number.POSITIVE_INFINITY ? undefined : timeoutMs;
    this.deadline = this.#timeoutMs === undefined ? undefined : Date.now() + this.#timeoutMs;
    this.#metadata = joinMetadata(connection.metadata, options.metadata);
    const cancel = (reason: unknown) => this.#ends.abort(reason);
    const exit = connection.enter(cancel);
    const off = onAbort(options.signal, () => cancel(options.signal?.reason));
    this.#leave = () => {
      exit();
      off();
    };
  }

  /** Aborts when the caller's signal does, and when the client is closed. */
  get signal(): AbortSignal {
    return this.#ends.signal;
  }

  /** A copy for each attempt, since grpc-js adds to what it is given. */
  get metadata(): Metadata {
    return this.#metadata.clone();
  }

  get grpcOptions(): GrpcCallOptions {
    return this.deadline === undefined ? {} : { deadline: this.deadline };
  }

  /** Before an attempt begins. @throws ApiError when the call is over already. */
  check(): void {
    if (this.signal.aborted) throw this.#cancelled();
    if (this.deadline !== undefined && Date.now() >= this.deadline) throw this.#late();
  }

  /** Ties one attempt to this scope. Returns what unties it. */
  attach(call: AnyCall): () => void {
    const cancel = () => call.cancel();
    // A cancelled call emits `error`, with or without anybody reading, and Node.js ends the process if nobody listens.
    call.on("error", () => {});
    const { onHeader, onTrailer } = this.#options;
    if (onHeader) call.on("metadata", (header) => this.#guard(call, () => onHeader(header)));
    if (onTrailer) call.on("status", (end) => this.#guard(call, () => onTrailer(end.metadata)));
    this.signal.addEventListener("abort", cancel, { once: true });
    return () => {
      this.signal.removeEventListener("abort", cancel);
      call.cancel();
    };
  }

  /** The caller's own code failed in the middle of the call: that error is the one to report. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** @throws what the caller's own code threw, if it did. */
  rethrow(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /** What to throw for an error that a call ended with. Make it after an `await`, so that its stack shows the caller. */
  error(error: unknown): unknown {
    if (this.#failure) return this.#failure.error;
    if (error instanceof ApiError) return error;
    const known = fromGrpcError(error);
    if (known === undefined || known.code === status.CANCELLED) {
      if (this.signal.aborted) return this.#cancelled();
      // Some servers reset a stream whose deadline has passed a moment before our own timer sees it.
      if (known && this.deadline !== undefined && Date.now() >= this.deadline) return this.#late(error);
    }
    const text = error instanceof Error ? error.message : String(error);
    return known ?? new ApiError({ code: status.UNKNOWN }, `${this.#name} failed: ${text}`, { cause: error });
  }

  /** Lets go of the signal and the client. */
  end(): void {
    this.#leave();
  }

  #cancelled(): ApiError {
    const cause = this.signal.reason;
    if (cause instanceof ApiError) return new ApiError({ code: status.CANCELLED }, cause.message, { cause });
    return new ApiError({ code: status.CANCELLED }, `${this.#name} was cancelled by the caller`, { cause });
  }

  #late(cause?: unknown): ApiError {
    const message = `${this.#name} did not end within ${this.#timeoutMs} ms`;
    return new ApiError({ code: status.DEADLINE_EXCEEDED }, message, { cause });
  }

  #guard(call: AnyCall, notify: () => void): void {
    try {
      notify();
    } catch (error) {
      this.fail(error);
      call.cancel();
    }
  }
}
