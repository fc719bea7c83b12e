// Makes a typed function of a method descriptor, one for each of gRPC's four kinds. It must never know a particular
// service; what may end a call early is in call-scope, what may be repeated is in retry.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { ClientReadableStream } from "@grpc/grpc-js";
import type { ClientMethod, RequestInit, RequestOf, ResponseOf, ServiceClient } from "@modelwire/proto";
import { methodDefinition } from "@modelwire/proto";
import type { CallOptions } from "./call-options.ts";
import { CallScope } from "./call-scope.ts";
import type { Connection } from "./connection.ts";
import { isSafeToRepeat } from "./retry.ts";
import { send } from "./send.ts";

/** All methods of a service, under their local names. */
export function serviceClient<S extends DescService>(
  connection: Connection,
  service: S,
): ServiceClient<S, CallOptions> {
  const methods = service.methods.map((method) => [method.localName, clientMethod(connection, method)]);
  return Object.fromEntries(methods) as ServiceClient<S, CallOptions>;
}

/**
 * One method. Every error of a call is an ApiError; what a caller's own iterable or callback throws comes out as it is.
 * Streams of responses begin at the first `next()`, and leaving the loop early cancels the call.
 */
export function clientMethod<M extends DescMethod>(connection: Connection, method: M): ClientMethod<M, CallOptions> {
  type Method = (input: never, options?: CallOptions) => unknown;
  const kinds: Record<DescMethod["methodKind"], Method> = {
    unary: (request: RequestInit<M>, options) => unary(connection, method, request, options),
    server_streaming: (request: RequestInit<M>, options) => serverStream(connection, method, request, options),
    client_streaming: (requests: AsyncIterable<RequestInit<M>>, options) =>
      clientStream(connection, method, requests, options),
    bidi_streaming: (requests: AsyncIterable<RequestInit<M>>, options) =>
      bidiStream(connection, method, requests, options),
  };
  return kinds[method.methodKind] as ClientMethod<M, CallOptions>;
}

async function unary<M extends DescMethod>(
  connection: Connection,
  method: M,
  init: RequestInit<M>,
  options?: CallOptions,
): Promise<ResponseOf<M>> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const request = create(method.input, init) as RequestOf<M>;
  const worth = connection.retry.worth(isSafeToRepeat(method));
  const scope = new CallScope(connection, method, options);
  try {
    for (let attempt = 1; ; attempt++) {
      scope.check();
      let detach = () => {};
      try {
        const response = await new Promise<ResponseOf<M>>((resolve, reject) => {
          const { metadata, grpcOptions } = scope;
          detach = scope.attach(
            connection.grpc.makeUnaryRequest(
              path,
              requestSerialize,
              responseDeserialize,
              request,
              metadata,
              grpcOptions,
              (error, value) => (error ? reject(error) : resolve(value as ResponseOf<M>)),
            ),
          );
        });
        scope.rethrow();
        return response;
      } catch (raw) {
        const error = scope.error(raw);
        if (!(await connection.retry.again(error, attempt, scope, worth))) throw error;
      } finally {
        detach();
      }
    }
  } finally {
    scope.end();
  }
}

async function* serverStream<M extends DescMethod>(
  connection: Connection,
  method: M,
  init: RequestInit<M>,
  options?: CallOptions,
): AsyncGenerator<ResponseOf<M>, void, undefined> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const request = create(method.input, init) as RequestOf<M>;
  const worth = connection.retry.worth(isSafeToRepeat(method));
  const scope = new CallScope(connection, method, options);
  try {
    for (let attempt = 1; ; attempt++) {
      scope.check();
      const { metadata, grpcOptions } = scope;
      const call = connection.grpc.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        grpcOptions,
      );
      let begun = false;
      try {
        for await (const response of read(scope, call)) {
          begun = true;
          yield response;
        }
        return;
      } catch (error) {
        // What came before the failure has been handed out: a second attempt would give it twice.
        if (begun || !(await connection.retry.again(error, attempt, scope, worth))) throw error;
      }
    }
  } finally {
    scope.end();
  }
}

async function clientStream<M extends DescMethod>(
  connection: Connection,
  method: M,
  requests: AsyncIterable<RequestInit<M>>,
  options?: CallOptions,
): Promise<ResponseOf<M>> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const scope = new CallScope(connection, method, options);
  const over = new AbortController();
  let detach = () => {};
  let sending = Promise.resolve();
  try {
    scope.check();
    const response = await new Promise<ResponseOf<M>>((resolve, reject) => {
      const { metadata, grpcOptions } = scope;
      const call = connection.grpc.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        metadata,
        grpcOptions,
        (error, value) => (error ? reject(error) : resolve(value as ResponseOf<M>)),
      );
      detach = scope.attach(call);
      sending = send(call, method.input, requests, over.signal).catch((error: unknown) => {
        scope.fail(error);
        call.cancel();
      });
    });
    scope.rethrow();
    return response;
  } catch (error) {
    throw scope.error(error);
  } finally {
    over.abort();
    detach();
    scope.end();
    await sending;
  }
}

async function* bidiStream<M extends DescMethod>(
  connection: Connection,
  method: M,
  requests: AsyncIterable<RequestInit<M>>,
  options?: CallOptions,
): AsyncGenerator<ResponseOf<M>, void, undefined> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const scope = new CallScope(connection, method, options);
  const over = new AbortController();
  let sending = Promise.resolve();
  try {
    scope.check();
    const { metadata, grpcOptions } = scope;
    const call = connection.grpc.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      grpcOptions,
    );
    sending = send(call, method.input, requests, over.signal).catch((error: unknown) => {
      scope.fail(error);
      call.cancel();
    });
    yield* read(scope, call);
  } finally {
    over.abort();
    scope.end();
    await sending;
  }
}

/** The responses of one attempt. Ends the attempt however the loop over it ends. */
async function* read<T>(scope: CallScope, call: ClientReadableStream<T>): AsyncGenerator<T, void, undefined> {
  const detach = scope.attach(call);
  try {
    // Leaving the loop must not destroy the stream, which tells the server nothing (grpc-node#1238); detach() cancels.
    for await (const response of call.iterator({ destroyOnReturn: false })) yield response as T;
    scope.rethrow();
  } catch (error) {
    throw scope.error(error);
  } finally {
    detach();
  }
}
