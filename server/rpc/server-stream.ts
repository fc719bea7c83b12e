// A server-streaming call: one request in, messages out as the handler yields them and as fast as the client reads.
import { create, type DescMethod } from "@bufbuild/protobuf";
import type { handleServerStreamingCall } from "@grpc/grpc-js";
import type { Handler, RequestOf, ResponseOf } from "@modelwire/proto";
import type { Logger } from "pino";
import type { RunningCalls } from "./call.ts";
import type { CallContext } from "./context.ts";
import { withRequest } from "./unreadable.ts";

export function serverStream<M extends DescMethod & { methodKind: "server_streaming" }>(
  method: M,
  handler: Handler<M, CallContext>,
  running: RunningCalls,
  log: Logger,
): handleServerStreamingCall<RequestOf<M>, ResponseOf<M>> {
  return (call) =>
    void running.run(
      call,
      method,
      log,
      (context, watch) =>
        withRequest(call.request, running.turns, context.signal, async (request, giveBack) => {
          const { signal } = context;
          watch.request(request);
          // Leaving the loop by any way runs the handler's `finally`: a client that left frees what its call held.
          for await (const message of handler(request, context)) {
            signal.throwIfAborted();
            // It answers, so it has read the request; one whose client does not read must not hold up others.
            giveBack();
            const response = create(method.output, message) as ResponseOf<M>;
            watch.response(response);
            if (!call.write(response)) await drained(call, signal);
          }
          signal.throwIfAborted();
          call.end();
        }),
      // Not end(): that would report OK.
      (error) => void call.emit("error", error),
    );
}

/** Waits until the client has read on. grpc-js queues without limit for a writer that does not wait. */
function drained(call: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      call.off("drain", settle);
      signal.removeEventListener("abort", settle);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    if (signal.aborted) return settle();
    call.once("drain", settle);
    signal.addEventListener("abort", settle, { once: true });
  });
}
