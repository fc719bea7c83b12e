// The echo service of the tests with a fourth kind added, and one way to call all four: texts in, texts out.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { clone, create, createFileRegistry } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { clientMethod } from "../../client/call.ts";
import type { CallOptions } from "../../client/call-options.ts";
import type { ClientOptions } from "../../client/client-options.ts";
import { Connection } from "../../client/connection.ts";
import { EchoService } from "../gen/modelwire/test/v1/echo_pb.ts";
import type { TestContext } from "./test-server.ts";
import { startTestServer } from "./test-server.ts";

/** EchoService, with BidiStream, Missing, and UnaryOnce, which is Unary without the promise that it has no side effects. */
export const Echo: DescService = (() => {
  const file = clone(FileDescriptorProtoSchema, EchoService.file.proto);
  const base = file.service[0];
  if (!base) throw new Error("the echo proto has no service");
  const input = ".modelwire.test.v1.ClientStreamRequest";
  const output = ".modelwire.test.v1.ServerStreamResponse";
  const added = [
    { name: "BidiStream", inputType: input, outputType: output, clientStreaming: true, serverStreaming: true },
    // Nobody answers this one: the server says UNIMPLEMENTED, which makes a round trip of it.
    { name: "Missing", inputType: ".modelwire.test.v1.UnaryRequest", outputType: ".modelwire.test.v1.UnaryResponse" },
    { name: "UnaryOnce", inputType: ".modelwire.test.v1.UnaryRequest", outputType: ".modelwire.test.v1.UnaryResponse" },
  ];
  base.method.push(
    ...create(FileDescriptorProtoSchema, { service: [{ method: added }] }).service.flatMap((s) => s.method),
  );
  const service = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] })).getService(
    EchoService.typeName,
  );
  if (!service) throw new Error("the echo service is lost");
  return service;
})();

/** What the server does with a call of any kind. */
export type Behaviour = (texts: AsyncIterable<string>, context: TestContext) => AsyncIterable<string>;

/** Calls one kind with texts, and gives the texts that come back, as they come. */
export type EchoCall = (texts: AsyncIterable<string>, options?: CallOptions) => AsyncGenerator<string, void>;

export const KINDS = ["unary", "serverStream", "clientStream", "bidiStream"] as const;

/** A server on which every method behaves alike, and a client for it. */
export async function startEcho(behaviour: Behaviour, options: ClientOptions = {}) {
  const server = await startTestServer();
  const connection = new Connection(server.address, options);
  server.add(Echo, handlersOf(behaviour) as object);
  const call = (kind: string) => echoCall(connection, Echo.method[kind] as DescMethod);
  return {
    connection,
    address: server.address,
    call,
    async [Symbol.asyncDispose]() {
      connection.close();
      await server.close();
    },
  };
}

type Text = { text: string };

export function handlersOf(behaviour: Behaviour): Record<string, unknown> {
  const first = async (texts: AsyncIterable<string>, context: TestContext) => {
    for await (const text of behaviour(texts, context)) return { text };
    return { text: "" };
  };
  const each = async function* (texts: AsyncIterable<string>, context: TestContext) {
    for await (const text of behaviour(texts, context)) yield { text };
  };
  return {
    unary: (request: Text, context: TestContext) => first(from(request.text), context),
    unaryOnce: (request: Text, context: TestContext) => first(from(request.text), context),
    serverStream: (request: Text, context: TestContext) => each(from(request.text), context),
    clientStream: (requests: AsyncIterable<Text>, context: TestContext) => first(texts(requests), context),
    bidiStream: (requests: AsyncIterable<Text>, context: TestContext) => each(texts(requests), context),
  };
}

export async function* from(...items: string[]): AsyncGenerator<string, void> {
  yield* items;
}

async function* texts(messages: AsyncIterable<Text>): AsyncGenerator<string, void> {
  for await (const { text } of messages) yield text;
}

/** Sends only the first text where the kind takes a single request. */
function echoCall(connection: Connection, method: DescMethod): EchoCall {
  const call = clientMethod(connection, method) as (input: unknown, options?: CallOptions) => unknown;
  const streamsIn = /client|bidi/.test(method.methodKind);
  const streamsOut = /server|bidi/.test(method.methodKind);
  return async function* (source, options) {
    let input: unknown;
    if (streamsIn) {
      input = map(source, (text) => ({ text }));
    } else {
      for await (const text of source) {
        input = { text };
        break;
      }
    }
    const output = call(input, options);
    if (streamsOut) yield* texts(output as AsyncIterable<Text>);
    else yield ((await output) as Text).text;
  };
}

async function* map<A, B>(source: AsyncIterable<A>, change: (item: A) => B): AsyncGenerator<B, void> {
  for await (const item of source) yield change(item);
}

/** All of it. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
