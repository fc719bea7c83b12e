// What a handler is told about the call it answers. Seven fields, and never a bag for everything.
import { randomUUID } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";
import type { Logger } from "pino";

/** Metadata key of the request id, both ways: a caller may choose it, and the answer's headers always carry it. */
export const REQUEST_ID_KEY = "x-request-id";

export interface CallContext {
  /**
   * Aborts when the client cancels or leaves, when the deadline passes, when the server is forced down, and at the latest
   * when the call has ended: what is held for a call can be given back then.
   */
  readonly signal: AbortSignal;
  /** Stands in the log, in the answer's headers and in every error. */
  readonly requestId: string;
  /** What the client sent along. */
  readonly metadata: Metadata;
  /** The other end's address. */
  readonly peer: string;
  /** Who asks: the same for all calls of a client, whatever connection they come by. See {@link callerOf}. */
  readonly caller: string;
  /** When the answer is worth nothing any more, in milliseconds since 1970 by `Date.now()`; undefined for never. */
  readonly deadlineMs: number | undefined;
  /** Logs with the request id. */
  readonly log: Logger;
}

/** The part of a grpc-js server call that says who made it. */
export interface CallOrigin {
  getPeer(): string;
  getAuthContext(): { readonly sslPeerCertificate?: { readonly fingerprint256: string } };
}

/** What tells callers apart: the certificate that a client proved to have, else its address without the port. */
export function callerOf(call: CallOrigin): string {
  const certificate = call.getAuthContext().sslPeerCertificate?.fingerprint256;
  return certificate === undefined ? `address:${call.getPeer().replace(/:\d+$/, "")}` : `certificate:${certificate}`;
}

/** The caller's request id when it is one that can stand in a log, else a new one. */
export function requestIdOf(metadata: Metadata): string {
  const given = metadata.get(REQUEST_ID_KEY)[0];
  return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}
