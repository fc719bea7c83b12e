// A span: what one call was, when, and what came of it; and its place in a trace, by W3C's Trace Context. Its attributes'
// names are OpenTelemetry's. It must never know how spans travel.
import { randomBytes } from "node:crypto";

/** A number is an integer; what may have fractions is a `double`, also when it happens to have none. */
export type Attribute = string | number | bigint | boolean | readonly string[] | { readonly double: number };

export type Attributes = Record<string, Attribute>;

export interface SpanEvent {
  readonly name: string;
  /** Milliseconds since 1970, with fractions. */
  readonly atMs: number;
}

export interface Span {
  /** 32 and 16 hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** "" at the root of a trace. */
  readonly parentSpanId: string;
  readonly traceState: string;
  name: string;
  /** Milliseconds since 1970, with fractions. */
  readonly startMs: number;
  endMs: number;
  readonly attributes: Attributes;
  readonly events: SpanEvent[];
  /** What went wrong on this side; undefined when nothing did. */
  failure: string | undefined;
}

/** Where a caller's trace stands. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  /** Whether the caller records its part. */
  readonly sampled: boolean;
}

/** A `traceparent` header of version 00 or, as far as it is like it, a later one; undefined for what is none. */
export function readTraceParent(header: string | undefined): TraceParent | undefined {
  const found = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header ?? "");
  if (!found) return undefined;
  const [, version, traceId = "", spanId = "", flags = "", rest] = found;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** A span that begins now, in the caller's trace or in a new one. */
export function newSpan(name: string, parent: TraceParent | undefined, traceState = ""): Span {
  return {
    traceId: parent?.traceId ?? randomBytes(16).toString("hex"),
    spanId: randomBytes(8).toString("hex"),
    parentSpanId: parent?.spanId ?? "",
    traceState: parent ? traceState : "",
    ...{ name, startMs: nowMs(), endMs: 0, attributes: {}, events: [], failure: undefined },
  };
}

/** Milliseconds since 1970, with fractions. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
