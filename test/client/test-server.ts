// A real grpc-js server for tests of the client: handlers are async functions and generators, and nothing else is added.
import { once } from "node:events";
import type { DescService } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { ServerDuplexStream, ServerUnaryCall } from "@grpc/grpc-js";
import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { ServiceHandlers } from "@modelwire/proto";
import { ApiError, serviceDefinition, toGrpcStatus } from "@modelwire/proto";

export interface TestContext {
  /** Aborts when the client cancels, leaves, or its deadline passes. */
  signal: AbortSignal;
  metadata: Metadata;
  /** Sent at the end of the call. */
  trailers: Metadata;
  sendHeader(metadata: Metadata): void;
  /** Milliseconds since 1970, or Infinity. */
  deadline: number;
}

export interface TestServer {
  address: string;
  add<S extends DescService>(service: S, handlers: Partial<ServiceHandlers<S, TestContext>>): void;
  /** Ends every connection at once. */
  close(): Promise<void>;
}

/** @param options.port 0, the default, lets the system choose; `credentials` are plain text when absent */
export async function startTestServer(
  options: { port?: number; credentials?: ServerCredentials } = {},
): Promise<TestServer> {
  const { port = 0, credentials = ServerCredentials.createInsecure() } = options;
  const server = new Server({ "grpc.max_receive_message_length": 8 << 20 });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, chosen) => (error ? reject(error) : resolve(chosen)));
  });
  return {
    address: `127.0.0.1:${bound}`,
    add: (service, handlers) => {
      const given = handlers as Record<string, (input: unknown, context: TestContext) => unknown>;
      const adapted = service.methods
        .filter((method) => given[method.localName])
        .map((method) => [method.localName, adapt(method, given[method.localName] as never)]);
      server.addService(serviceDefinition(service), Object.fromEntries(adapted));
    },
    close: async () => {
      server.forceShutdown();
    },
  };
}

type Call = ServerDuplexStream<unknown, unknown> & ServerUnaryCall<unknown, unknown>;
type Answer = (error: unknown, response?: unknown, trailers?: Metadata) => void;

function adapt(
  method: DescService["methods"][number],
  handler: (input: unknown, context: TestContext) => unknown,
): (call: Call, answer?: Answer) => void {
  const streamsIn = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  return (call, answer) => {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    call.on("error", () => {});
    const trailers = new Metadata();
    const context: TestContext = {
      signal: gone.signal,
      metadata: call.metadata,
      trailers,
      sendHeader: (metadata) => call.sendMetadata(metadata),
      deadline: Number(call.getDeadline()),
    };
    const input = streamsIn ? call.iterator({ destroyOnReturn: false }) : call.request;
    const run = async () => {
      if (answer) return answer(null, create(method.output, (await handler(input, context)) as never), trailers);
      for await (const response of handler(input, context) as AsyncIterable<never>) {
        if (gone.signal.aborted) return;
        if (!call.write(create(method.output, response))) {
          await once(call, "drain", { signal: gone.signal }).catch(() => {});
        }
        if (gone.signal.aborted) return;
      }
      call.end(trailers);
    };
    run().catch((error: unknown) => {
      const api = error instanceof ApiError ? error : new ApiError({ code: status.UNKNOWN }, String(error));
      const ended = toGrpcStatus(api, trailers);
      if (answer) answer(ended);
      else call.emit("error", ended);
    });
  };
}
