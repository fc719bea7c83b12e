// From a protobuf-es service descriptor to a grpc-js definition, and the types of handlers and calls that follow from
// it. It must never know a particular service.
import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { bytesEncoder } from "./bytes-message.ts";

/** A method as grpc-js wants it. Messages are protobuf-es messages on both sides. */
export function methodDefinition<M extends DescMethod>(
  method: M,
): MethodDefinition<MessageShape<M["input"]>, MessageShape<M["output"]>> {
  const streams = {
    unary: [false, false],
    server_streaming: [false, true],
    client_streaming: [true, false],
    bidi_streaming: [true, true],
  };
  const [requestStream = false, responseStream = false] = streams[method.methodKind];
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    originalName: method.localName,
    requestStream,
    responseStream,
    requestSerialize: serializer<M["input"]>(method.input),
    requestDeserialize: deserializer<M["input"]>(method.input),
    responseSerialize: serializer<M["output"]>(method.output),
    responseDeserialize: deserializer<M["output"]>(method.output),
  };
}

/** All methods of a service, under their local names. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(method)]));
}

function serializer<D extends DescMessage>(desc: D) {
  const encodeBytes = bytesEncoder(desc);
  return (message: MessageShape<D>): Buffer => {
    const large = encodeBytes?.(message);
    if (large) return large;
    const bytes = toBinary(desc, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function deserializer<D extends DescMessage>(desc: D) {
  // A plain view and not grpc-js's Buffer: bytes fields are slices of their source and would come out as Buffers.
  return (buffer: Buffer): MessageShape<D> =>
    fromBinary(desc, new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)) as MessageShape<D>;
}

export type RequestOf<M extends DescMethod> = MessageShape<M["input"]>;
export type ResponseOf<M extends DescMethod> = MessageShape<M["output"]>;
export type RequestInit<M extends DescMethod> = MessageInitShape<M["input"]>;
export type ResponseInit<M extends DescMethod> = MessageInitShape<M["output"]>;

/** How the server side of a method looks: what streams is an async iterable. */
export type Handler<M extends DescMethod, Context> = {
  unary: (request: RequestOf<M>, context: Context) => Promise<ResponseInit<M>>;
  server_streaming: (request: RequestOf<M>, context: Context) => AsyncIterable<ResponseInit<M>>;
  client_streaming: (requests: AsyncIterable<RequestOf<M>>, context: Context) => Promise<ResponseInit<M>>;
  bidi_streaming: (requests: AsyncIterable<RequestOf<M>>, context: Context) => AsyncIterable<ResponseInit<M>>;
}[M["methodKind"]];

/** All handlers of a service. */
export type ServiceHandlers<S extends DescService, Context> = {
  [K in keyof S["method"]]: Handler<S["method"][K], Context>;
};

/** How the client side of a method looks. */
export type ClientMethod<M extends DescMethod, Options> = {
  unary: (request: RequestInit<M>, options?: Options) => Promise<ResponseOf<M>>;
  server_streaming: (request: RequestInit<M>, options?: Options) => AsyncIterable<ResponseOf<M>>;
  client_streaming: (requests: AsyncIterable<RequestInit<M>>, options?: Options) => Promise<ResponseOf<M>>;
  bidi_streaming: (requests: AsyncIterable<RequestInit<M>>, options?: Options) => AsyncIterable<ResponseOf<M>>;
}[M["methodKind"]];

/** All methods of a service. */
export type ServiceClient<S extends DescService, Options> = {
  [K in keyof S["method"]]: ClientMethod<S["method"][K], Options>;
};
