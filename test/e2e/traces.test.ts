// Traces as a collector gets them: a receiver of OTLP over HTTP that reads every field, and the real service.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SpanExporter } from "../../server/tracing/exporter.ts";
import { newSpan } from "../../server/tracing/span.ts";
import { MODEL, type Service, startService } from "./service.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const SPAIN = [{ role: "user", content: "What is the capital of Spain?" }];

interface Received {
  traceId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  ms: number;
  attributes: Record<string, unknown>;
  events: { name: string; afterMs: number }[];
  status: number;
  resource: Record<string, unknown>;
  headers: Record<string, unknown>;
}

/** Every field of opentelemetry-proto's trace messages that we send, and how JSON has it. What is not in here is refused. */
function anyValue(value: Record<string, unknown>): unknown {
  const [[kind, is] = []] = Object.entries(value);
  if (kind === "stringValue" && typeof is === "string") return is;
  if (kind === "boolValue" && typeof is === "boolean") return is;
  if (kind === "doubleValue" && typeof is === "number") return is;
  if (kind === "intValue" && /^-?\d{1,19}$/.test(String(is)) && typeof is === "string") return Number(is);
  if (kind === "arrayValue") return (is as { values: Record<string, unknown>[] }).values.map(anyValue);
  throw new Error(`no value: ${JSON.stringify(value)}`);
}

type KeyValues = { key: string; value: Record<string, unknown> }[];
const attributesOf = (list: KeyValues) => Object.fromEntries(list.map(({ key, value }) => [key, anyValue(value)]));

function only(value: object, fields: readonly string[]): void {
  const strangers = Object.keys(value).filter((key) => !fields.includes(key));
  if (strangers.length > 0) throw new Error(`unknown fields: ${strangers}`);
}

const SPAN =
  "traceId spanId parentSpanId traceState flags name kind startTimeUnixNano endTimeUnixNano attributes events status";

let collector: Server;
let received: Received[];
let refused: unknown[];
let answer: number;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  [received, refused, answer] = [[], [], 200];
  collector = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    try {
      if (request.method !== "POST" || request.url !== "/v1/traces")
        throw new Error(`${request.method} ${request.url}`);
      const message = JSON.parse(body);
      only(message, ["resourceSpans"]);
      for (const { resource, scopeSpans } of message.resourceSpans)
        for (const { scope, spans } of scopeSpans) {
          only(scope, ["name", "version"]);
          for (const span of spans) {
            only(span, SPAN.split(" "));
            for (const [id, digits] of [
              [span.traceId, 32],
              [span.spanId, 16],
              [span.parentSpanId ?? PARENT, 16],
            ] as const)
              if (!/^[0-9a-f]+$/.test(id) || id.length !== digits) throw new Error(`id ${id}`);
            const [start, end] = [BigInt(span.startTimeUnixNano), BigInt(span.endTimeUnixNano)];
            received.push({
              ...{ traceId: span.traceId, parentSpanId: span.parentSpanId ?? "", name: span.name, kind: span.kind },
              ms: Number(end - start) / 1e6,
              attributes: attributesOf(span.attributes),
              events: span.events.map((event: { name: string; timeUnixNano: string }) => {
                return { name: event.name, afterMs: Number(BigInt(event.timeUnixNano) - start) / 1e6 };
              }),
              status: span.status.code ?? 0,
              resource: attributesOf(resource.attributes),
              headers: request.headers,
            });
          }
        }
    } catch (error) {
      refused.push(error);
    }
    response.writeHead(answer).end("{}");
  });
  collector.listen(0, "127.0.0.1");
  await once(collector, "listening");
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  collector.closeAllConnections();
  await new Promise((resolve) => collector.close(resolve));
});

const endpoint = () => `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;

/** Starts a service that sends traces, has `use` ask it, and stops it, with which the last spans are sent. */
async function traced(flags: readonly string[], use: (client: Service["client"]) => Promise<unknown>) {
  const service = await startService(["--otlp-endpoint", endpoint(), ...flags]);
  try {
    await service.client.models.log(MODEL, { name: "tiny-phi3" });
    await use(service.client);
  } finally {
    await service.close();
  }
  expect(refused).toEqual([]);
  return received;
}

const sampled = (flags: string) => ({ metadata: { traceparent: `00-${TRACE}-${PARENT}-${flags}` } });

test("a chat is a span in its caller's trace, with model, options, tokens, reasons and its first token", async () => {
  let usage = { promptTokens: 0, completionTokens: 0 };
  const flags = ["--service-name", "llm", "--otlp-headers", "x-key=a%2Cb"];
  const spans = await traced(flags, async (client) => {
    const input = {
      model: "tiny-phi3",
      messages: SPAIN,
      temperature: 0,
      topP: 0.5,
      maxTokens: 64,
      seed: 2n ** 64n - 1n,
    };
    const stream = client.chat.stream(input, sampled("01"));
    for await (const _ of stream);
    ({ usage } = await stream.final());
  });
  const span = spans.find(({ name }) => name === "chat tiny-phi3");
  expect(span).toMatchObject({
    ...{ traceId: TRACE, parentSpanId: PARENT, kind: 2, status: 0 },
    attributes: {
      ...{ "rpc.system": "grpc", "rpc.service": "modelwire.inference.v1.ChatService", "rpc.method": "StreamChat" },
      ...{ "rpc.grpc.status_code": 0, "gen_ai.operation.name": "chat", "gen_ai.request.model": "tiny-phi3" },
      ...{ "gen_ai.request.temperature": 0, "gen_ai.request.top_p": 0.5, "gen_ai.request.max_tokens": 64 },
      "gen_ai.request.seed": "18446744073709551615",
      "gen_ai.response.model": expect.stringMatching(/^m-/),
      "gen_ai.response.id": expect.stringMatching(/^chatcmpl-/),
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.input_tokens": usage.promptTokens,
      "gen_ai.usage.output_tokens": usage.completionTokens,
    },
    events: [{ name: "gen_ai.first_token" }],
    resource: { "service.name": "llm" },
    headers: { "x-key": "a,b" },
  });
  expect(span?.events[0]?.afterMs).toBeGreaterThan(0);
  expect(span?.events[0]?.afterMs).toBeLessThan(span?.ms ?? 0);
});

test("what was said is in no span, unless that is asked for", async () => {
  const ask = async (client: Service["client"]) => {
    await client.chat.complete({ model: "tiny-phi3", messages: SPAIN });
    for await (const _ of client.chat.stream({ model: "tiny-phi3", messages: SPAIN }));
  };
  expect(JSON.stringify(await traced([], ask))).not.toMatch(/Spain|Madrid/);
  received.length = 0;
  const spans = (await traced(["--trace-content"], ask)).filter(({ name }) => name.startsWith("chat "));
  expect(spans).toHaveLength(2);
  for (const { attributes } of spans) {
    expect(JSON.parse(String(attributes["gen_ai.input.messages"]))).toEqual([
      { role: "user", parts: [{ type: "text", content: "What is the capital of Spain?" }] },
    ]);
    expect(JSON.parse(String(attributes["gen_ai.output.messages"]))).toMatchObject([
      {
        role: "assistant",
        parts: [{ type: "text", content: expect.stringContaining("Madrid") }],
        finish_reason: "stop",
      },
    ]);
  }
});

test("a call that fails says why; only what the server did wrong is an error of its span", async () => {
  const spans = await traced([], async (client) => {
    const call = client.chat.complete({ model: "nobody", messages: SPAIN }, sampled("01"));
    await expect(call).rejects.toMatchObject({ reason: "MODEL_NOT_FOUND" });
    await client.serving.loadModel({ model: "tiny-phi3" });
    const long = { model: "tiny-phi3", messages: SPAIN, ignoreEos: true, maxTokens: 2000, n: 8, logprobs: 20 };
    const late = client.chat.complete(long, { timeoutMs: 600 });
    await expect(late).rejects.toMatchObject({ code: 4 });
  });
  const of = (name: string) => spans.find((span) => span.name === name);
  expect(of("chat nobody")).toMatchObject({
    status: 0,
    attributes: { "rpc.grpc.status_code": 5, "error.type": "MODEL_NOT_FOUND" },
  });
  expect(of("chat tiny-phi3")).toMatchObject({ status: 2, attributes: { "rpc.grpc.status_code": 4 } });
});

test("a caller that does not record its trace is not recorded, and one that says nonsense begins a trace", async () => {
  const spans = await traced([], async (client) => {
    const count = (metadata: Record<string, string>) =>
      client.tokenizer.countTokens({ model: "tiny-phi3", source: { case: "text", value: "x" } }, { metadata });
    await count({ traceparent: `00-${TRACE}-${PARENT}-00` });
    await count({ traceparent: `00-${"0".repeat(32)}-${PARENT}-01` });
    await count({ traceparent: "nonsense" });
  });
  const counted = spans.filter(({ name }) => name.endsWith("/CountTokens"));
  expect(counted.map(({ parentSpanId }) => parentSpanId)).toEqual(["", ""]);
  expect(new Set(counted.map(({ traceId }) => traceId)).size).toBe(2);
});

test("a collector that refuses or is away costs spans and nothing else, and it is said how many", async () => {
  const losses: [number, string][] = [];
  const make = (url: string) =>
    new SpanExporter({
      ...{ endpoint: url, resource: {}, version: "0", delayMs: 60_000 },
      onLoss: (spans, why) => losses.push([spans, why]),
    });
  answer = 503;
  const refusing = make(endpoint());
  for (let i = 0; i < 3; i += 1) refusing.add(newSpan("x", undefined));
  await refusing.close(5000);
  const away = make("http://127.0.0.1:1");
  for (let i = 0; i < 3000; i += 1) away.add(newSpan("x", undefined));
  await away.close(5000);
  expect(losses[0]).toEqual([3, expect.stringContaining("answers 503")]);
  // Those that did not fit the queue are among them.
  expect(losses.slice(1).reduce((sum, [spans]) => sum + spans, 0)).toBe(3000);
  expect(losses.some(([, why]) => why.includes("too slowly"))).toBe(true);
});
