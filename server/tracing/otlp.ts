// Spans as the body of an OTLP/HTTP request, in the JSON mapping of opentelemetry-proto: ids in hexadecimal, 64-bit numbers as
// text, enums as numbers. Pure.
import type { Attribute, Attributes, Span } from "./span.ts";

/** SPAN_KIND_SERVER. */
const SERVER = 2;
/** STATUS_CODE_ERROR. */
const ERROR = 2;
/** The lowest flags bits say "sampled", and that it is known whether the parent is remote: it is, where there is one. */
const SAMPLED = 0x01;
const PARENT_KNOWN = 0x100;
const PARENT_REMOTE = 0x200;

/** @param resource what sends them, such as `service.name` */
export function traceRequest(resource: Attributes, version: string, spans: readonly Span[]) {
  const scope = { name: "modelwire", version };
  return {
    resourceSpans: [
      { resource: { attributes: attributes(resource) }, scopeSpans: [{ scope, spans: spans.map(spanMessage) }] },
    ],
  };
}

function spanMessage(span: Span) {
  const { traceId, spanId, parentSpanId, traceState, name, startMs, endMs, failure } = span;
  return {
    ...{ traceId, spanId, name, kind: SERVER },
    ...(parentSpanId !== "" && { parentSpanId }),
    ...(traceState !== "" && { traceState }),
    flags: SAMPLED | PARENT_KNOWN | (parentSpanId === "" ? 0 : PARENT_REMOTE),
    startTimeUnixNano: nanoseconds(startMs),
    endTimeUnixNano: nanoseconds(endMs),
    attributes: attributes(span.attributes),
    events: span.events.map(({ name, atMs }) => ({ name, timeUnixNano: nanoseconds(atMs) })),
    status: failure === undefined ? {} : { code: ERROR, message: failure },
  };
}

function attributes(all: Attributes) {
  return Object.entries(all).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: Attribute) {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "bigint" || typeof value === "number") return { intValue: `${value}` };
  if ("double" in value) return { doubleValue: value.double };
  return { arrayValue: { values: value.map((text) => ({ stringValue: text })) } };
}

/** To the microsecond, which is what the clock has. */
function nanoseconds(ms: number): string {
  return `${BigInt(Math.round(ms * 1000)) * 1000n}`;
}
