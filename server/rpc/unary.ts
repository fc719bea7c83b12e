// A unary call: one request in, one response out.
import { create, type DescMethod } from "@bufbuild/protobuf";
import type { handleUnaryCall } from "@grpc/grpc-js";
import type { Handler, RequestOf, ResponseOf } from "@modelwire/proto";
import type { Logger } from "pino";
import type { RunningCalls } from "./call.ts";
import type { CallContext } from "./context.ts";
import { withRequest } from "./unreadable.ts";

export function unary<M extends DescMethod & { methodKind: "unary" }>(
  method: M,
  handler: Handler<M, CallContext>,
  running: RunningCalls,
  log: Logger,
): handleUnaryCall<RequestOf<M>, ResponseOf<M>> {
  return (call, callback) =>
    void running.run(
      call,
      method,
      log,
      (context, watch) =>
        withRequest(call.request, running.turns, context.signal, async (request) => {
          watch.request(request);
          const response = create(method.output, await handler(request, context)) as ResponseOf<M>;
          watch.response(response);
          callback(null, response);
        }),
      (error) => callback(error),
    );
}
