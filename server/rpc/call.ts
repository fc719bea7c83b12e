// What all call kinds share: the context of a call, its place among the running ones, its one line in the access log,
// and the way an error leaves. It must never know what a call is about.

import type { DescMethod } from "@bufbuild/protobuf";
import { Metadata, type ServerErrorResponse, type StatusObject, status } from "@grpc/grpc-js";
import { ApiError, toGrpcStatus } from "@modelwire/proto";
import type { Logger } from "pino";
import { type CallWatch, type CallWatcher, together } from "./call-watcher.ts";
import { type CallContext, type CallOrigin, callerOf, REQUEST_ID_KEY, requestIdOf } from "./context.ts";
import { Turns } from "./turns.ts";

/** The part of a grpc-js server call that does not depend on its kind. */
export interface AnyServerCall extends CallOrigin {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPath(): string;
  getDeadline(): Date | number;
  sendMetadata(metadata: Metadata): void;
  on(event: "cancelled", listener: () => void): unknown;
}

/** Longest delay of a Node.js timer; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const DEADLINE_SLACK_MS = 100;

const ENDED = new ApiError({ code: status.CANCELLED }, "the call has ended");

/** The running calls of a server. */
export class RunningCalls {
  readonly turns: Turns;
  readonly #abort = new Set<AbortController>();
  readonly #watcher: CallWatcher;

  /** @param largeBytes How many bytes of large requests are worked on at a time. */
  constructor(largeBytes: number, watchers: readonly CallWatcher[] = []) {
    this.turns = new Turns(largeBytes);
    this.#watcher = together(watchers);
  }

  get size(): number {
    return this.#abort.size;
  }

  /** Aborts every call; their handlers end on their signal. */
  abortAll(): void {
    const reason = new ApiError("SHUTTING_DOWN", "the server stopped before the call was done; try again");
    for (const controller of this.#abort) controller.abort(reason);
  }

  /**
   * Runs one call: `handle` answers it, `fail` sends the error that it ends with. Neither a throwing handler nor a
   * throwing `fail` escapes, since nobody awaits a grpc-js handler.
   */
  async run(
    call: AnyServerCall,
    method: DescMethod,
    log: Logger,
    handle: (context: CallContext, watch: CallWatch) => Promise<void>,
    fail: (error: ServerErrorResponse | Partial<StatusObject>) => void,
  ): Promise<void> {
    const started = performance.now();
    const requestId = requestIdOf(call.metadata);
    const controller = new AbortController();
    const deadline = Number(call.getDeadline());
    const context: CallContext = {
      signal: controller.signal,
      requestId,
      metadata: call.metadata,
      peer: call.getPeer(),
      caller: callerOf(call),
      deadlineMs: Number.isFinite(deadline) ? deadline : undefined,
      log: log.child({ requestId }),
    };
    const watch = this.#watcher.start({ method, requestId, metadata: call.metadata, peer: context.peer });
    call.on("cancelled", () => controller.abort(endReason(call)));
    if (call.cancelled) controller.abort(endReason(call));
    // grpc-js tells the client that the deadline passed, but a handler only once the client has closed the stream.
    const left = deadline - Date.now();
    const timer = left < MAX_TIMER_MS ? setTimeout(() => controller.abort(endReason(call)), left) : undefined;
    this.#abort.add(controller);
    let error: ApiError | undefined;
    try {
      const headers = new Metadata();
      headers.set(REQUEST_ID_KEY, requestId);
      call.sendMetadata(headers);
      await handle(context, watch);
    } catch (thrown) {
      error = toApiError(thrown, context);
      fail(toGrpcStatus(error));
    } finally {
      clearTimeout(timer);
      this.#abort.delete(controller);
      const ms = Math.round((performance.now() - started) * 10) / 10;
      const end = error ?? (controller.signal.aborted ? (controller.signal.reason as ApiError) : undefined);
      const code = end?.codeName ?? "OK";
      const line = {
        method: call.getPath(),
        peer: context.peer,
        code,
        ms,
        ...(error && { reason: error.reason, error: error.message }),
      };
      if (error?.code === status.INTERNAL) context.log.error(line, "call");
      else context.log.info(line, "call");
      watch.end(end);
      // What was held for the call is held no longer.
      controller.abort(ENDED);
    }
  }
}

/**
 * grpc-js tells a deadline and a client that left by the same event; the clock tells them apart. A client whose deadline
 * passes cancels by its own clock, which is ahead of ours by the time that the request was under way.
 */
function endReason(call: AnyServerCall): ApiError {
  return Number(call.getDeadline()) - Date.now() <= DEADLINE_SLACK_MS
    ? new ApiError({ code: status.DEADLINE_EXCEEDED }, "the call's deadline passed")
    : new ApiError({ code: status.CANCELLED }, "the client cancelled the call");
}

/** What the client is told: an ApiError as it is; anything else only as INTERNAL, with its stack in the log. */
function toApiError(thrown: unknown, context: CallContext): ApiError {
  if (context.signal.aborted && (thrown === context.signal.reason || isAbort(thrown)))
    return context.signal.reason as ApiError;
  const { requestId } = context;
  if (thrown instanceof ApiError) {
    const { reason, message, violations, metadata, resource, retryAfterMs } = thrown;
    return new ApiError({ code: thrown.code, reason }, message, {
      violations,
      metadata,
      requestId,
      ...(resource && { resource }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }
  context.log.error({ err: thrown }, "a handler threw what is no ApiError");
  return new ApiError("INTERNAL", `internal error; the server's log has it under request id ${requestId}`, {
    requestId,
  });
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown.name === "AbortError" || ("code" in thrown && thrown.code === "ABORT_ERR"));
}
