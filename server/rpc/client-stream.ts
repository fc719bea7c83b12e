// A client-streaming call: messages in as the handler takes them, one response out, possibly before the last message.

import { create, type DescMethod } from "@bufbuild/protobuf";
import type { handleClientStreamingCall, ServerReadableStream } from "@grpc/grpc-js";
import type { Handler, RequestOf, ResponseOf } from "@modelwire/proto";
import type { Logger } from "pino";
import type { RunningCalls } from "./call.ts";
import type { CallWatch } from "./call-watcher.ts";
import type { CallContext } from "./context.ts";
import { readable } from "./unreadable.ts";

export function clientStream<M extends DescMethod & { methodKind: "client_streaming" }>(
  method: M,
  handler: Handler<M, CallContext>,
  running: RunningCalls,
  log: Logger,
): handleClientStreamingCall<RequestOf<M>, ResponseOf<M>> {
  return (call, callback) => {
    // A broken stream reaches the handler through its iterator; without a listener it would end the process as well.
    call.on("error", () => {});
    void running.run(
      call,
      method,
      log,
      async (context, watch) => {
        const answer = await handler(messages<M>(call, context.signal, watch), context);
        const response = create(method.output, answer) as ResponseOf<M>;
        watch.response(response);
        callback(null, response);
      },
      (error) => callback(error),
    );
  };
}

/**
 * The call's messages. A plain `for await` over the call would destroy it at the end of input and the answer with it
 * (grpc/grpc-node#1839), hence destroyOnReturn.
 *
 * A client that leaves ends the iteration with an error; but Node's HTTP/2 client half-closes a stream before it resets
 * it, so its leaving may first look like the end of its messages. Where that matters, the messages must say that they
 * are complete, as those of LogModel do.
 */
async function* messages<M extends DescMethod>(
  call: ServerReadableStream<RequestOf<M>, ResponseOf<M>>,
  signal: AbortSignal,
  watch: CallWatch,
): AsyncGenerator<RequestOf<M>> {
  const wake = () => call.destroy(signal.reason);
  signal.addEventListener("abort", wake, { once: true });
  try {
    for await (const message of call.iterator({ destroyOnReturn: false })) {
      const request = readable(message as RequestOf<M>);
      watch.request(request);
      yield request;
      signal.throwIfAborted();
    }
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", wake);
  }
}
