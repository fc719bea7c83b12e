// A span for every call, in the trace that its caller began. It must never know what a call is about: gen-ai reads messages.
import { status } from "@grpc/grpc-js";
import type { CallWatcher } from "../rpc/call-watcher.ts";
import { GenAiCall } from "./gen-ai.ts";
import { newSpan, nowMs, readTraceParent, type Span } from "./span.ts";

/** Codes that say that the server failed and not its caller, as OpenTelemetry's conventions for gRPC have it. */
const OUR_FAULT: ReadonlySet<status> = new Set([
  ...[status.UNKNOWN, status.DEADLINE_EXCEEDED, status.UNIMPLEMENTED],
  ...[status.INTERNAL, status.UNAVAILABLE, status.DATA_LOSS],
]);

/**
 * A caller that says that it does not record its trace is not recorded here either.
 * @param content whether the contents of messages are told
 * @param done takes each span when its call has ended
 */
export function callTraces(content: boolean, done: (span: Span) => void): CallWatcher {
  return {
    start({ method, metadata, requestId }) {
      const header = (key: string) => {
        const [value] = metadata.get(key);
        return typeof value === "string" ? value : undefined;
      };
      const parent = readTraceParent(header("traceparent"));
      if (parent && !parent.sampled) return { request() {}, response() {}, end() {} };
      const service = method.parent.typeName;
      const span = newSpan(`${service}/${method.name}`, parent, header("tracestate"));
      Object.assign(span.attributes, {
        ...{ "rpc.system": "grpc", "rpc.service": service, "rpc.method": method.name },
        "modelwire.request_id": requestId,
      });
      const call = new GenAiCall(content);
      return {
        request(message) {
          const told = call.request(message);
          span.name = told?.name ?? span.name;
          Object.assign(span.attributes, told?.attributes);
        },
        response(message) {
          const told = call.response(message);
          Object.assign(span.attributes, told?.attributes);
          if (told?.first && span.events.length === 0) span.events.push({ name: "gen_ai.first_token", atMs: nowMs() });
        },
        end(error) {
          span.endMs = nowMs();
          span.attributes["rpc.grpc.status_code"] = error?.code ?? status.OK;
          if (error) span.attributes["error.type"] = error.reason || error.codeName;
          if (error && OUR_FAULT.has(error.code)) span.failure = error.message;
          done(span);
        },
      };
    },
  };
}
