// Counts calls under the names that gRPC servers have for it in Prometheus, those of go-grpc-prometheus, and what uploads
// bring. It must never know what a call is about, but for the bytes of an upload.
import type { Message } from "@bufbuild/protobuf";
import { isMessage } from "@bufbuild/protobuf";
import { type ApiError, LogModelRequestSchema } from "@modelwire/proto";
import { Counter, Histogram, type Registry } from "prom-client";
import type { CallWatch, CallWatcher, WatchedCall } from "../rpc/call-watcher.ts";

const TYPES = {
  unary: "unary",
  server_streaming: "server_stream",
  client_streaming: "client_stream",
  bidi_streaming: "bidi_stream",
} as const;

/** Seconds. As go-grpc-prometheus has them, and on to the length of long answers. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

const call = ["grpc_type", "grpc_service", "grpc_method"] as const;

export function callMetrics(registry: Registry): CallWatcher {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });
  const started = counter("grpc_server_started_total", "Calls that were begun.", call);
  const handled = counter("grpc_server_handled_total", "Calls that have ended, by status code.", [
    ...call,
    "grpc_code",
  ]);
  const received = counter("grpc_server_msg_received_total", "Messages that came.", call);
  const sent = counter("grpc_server_msg_sent_total", "Messages that went out.", call);
  const uploaded = counter("modelwire_upload_bytes_total", "Bytes of models' files that came.", []);
  const seconds = new Histogram({
    ...{ name: "grpc_server_handling_seconds", help: "From a call's begin to its end.", registers },
    ...{ labelNames: [...call], buckets: SECONDS },
  });
  return {
    start({ method }: WatchedCall): CallWatch {
      const labels = {
        grpc_type: TYPES[method.methodKind],
        grpc_service: method.parent.typeName,
        grpc_method: method.name,
      };
      started.inc(labels);
      const time = seconds.startTimer(labels);
      return {
        request(message: Message) {
          received.inc(labels);
          if (isMessage(message, LogModelRequestSchema) && message.message.case === "fileChunk")
            uploaded.inc(message.message.value.data.length);
        },
        response: () => sent.inc(labels),
        end(error: ApiError | undefined) {
          handled.inc({ ...labels, grpc_code: error ? codeName(error.codeName) : "OK" });
          time();
        },
      };
    },
  };
}

/** "DEADLINE_EXCEEDED" → "DeadlineExceeded": how Go, whose names these are, writes codes. */
function codeName(name: string): string {
  if (name === "CANCELLED") return "Canceled";
  return name.toLowerCase().replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
}
