// One error type for both ends of the wire: ApiError ⇄ gRPC status with google.rpc details. It knows the wire form of
// an error and must never know which service threw it.
import type { MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyIs, anyPack, anyUnpack, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Metadata, status } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "./gen/google/rpc/status_pb.ts";
import type { ErrorReason } from "./gen/modelwire/errors/v1/error_reason_pb.ts";

/** Value of ErrorInfo.domain for every reason of {@link ErrorReason}. */
export const ERROR_DOMAIN = "modelwire";

/** Trailer that carries a binary google.rpc.Status. */
const DETAILS_TRAILER = "grpc-status-details-bin";

/** Other gRPC stacks cap all trailers together at 8 KiB; what is longer is cut, and says so. */
const MAX_DETAILS_BYTES = 6 * 1024;

/** A name of {@link ErrorReason} other than UNSPECIFIED, or another domain's reason as it came over the wire. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** The gRPC status code that each reason is always sent with. */
const CODES: Record<Reason, status> = {
  INVALID_FIELD: status.INVALID_ARGUMENT,
  STREAM_ORDER: status.INVALID_ARGUMENT,
  INVALID_PATH: status.INVALID_ARGUMENT,
  MODEL_INVALID: status.INVALID_ARGUMENT,
  DIGEST_MISMATCH: status.DATA_LOSS,
  MODEL_NOT_FOUND: status.NOT_FOUND,
  MODEL_NOT_READY: status.FAILED_PRECONDITION,
  ARTIFACT_NOT_FOUND: status.NOT_FOUND,
  OFFSET_OUT_OF_RANGE: status.OUT_OF_RANGE,
  EXPERIMENT_NOT_FOUND: status.NOT_FOUND,
  RUN_NOT_FOUND: status.NOT_FOUND,
  REQUEST_ID_REUSED: status.ALREADY_EXISTS,
  REQUEST_IN_PROGRESS: status.ABORTED,
  CONTEXT_OVERFLOW: status.INVALID_ARGUMENT,
  QUEUE_FULL: status.RESOURCE_EXHAUSTED,
  LIMIT_EXCEEDED: status.RESOURCE_EXHAUSTED,
  TEMPLATE_FAILED: status.INVALID_ARGUMENT,
  TEMPLATE_MISSING: status.FAILED_PRECONDITION,
  MODEL_NOT_SERVABLE: status.FAILED_PRECONDITION,
  WORKER_DIED: status.UNAVAILABLE,
  RUNTIME_UNAVAILABLE: status.FAILED_PRECONDITION,
  SHUTTING_DOWN: status.UNAVAILABLE,
  INTERNAL: status.INTERNAL,
  STORAGE_FULL: status.RESOURCE_EXHAUSTED,
  SCHEMA_REVISION: status.FAILED_PRECONDITION,
  STORE_BUSY: status.UNAVAILABLE,
  SCHEMA_ENFORCEMENT_FAILED: status.INVALID_ARGUMENT,
  CONTENT_MISSING: status.FAILED_PRECONDITION,
  PREDICTION_FAILED: status.INVALID_ARGUMENT,
  SIGNATURE_MISSING: status.FAILED_PRECONDITION,
  DEADLINE_UNREACHABLE: status.RESOURCE_EXHAUSTED,
  CACHE_TOO_SMALL: status.RESOURCE_EXHAUSTED,
  MODEL_MEMORY_FULL: status.RESOURCE_EXHAUSTED,
  TOOLS_NOT_SUPPORTED: status.FAILED_PRECONDITION,
};

/** One thing that is wrong with one field of a request. */
export interface FieldViolation {
  /** Path of the field, such as `messages[2].role`. */
  field: string;
  /** What is wrong with it and what would be right. */
  description: string;
}

export interface ApiErrorOptions {
  /** Every field that is wrong. */
  violations?: readonly FieldViolation[];
  /** The facts behind the message, for programs. */
  metadata?: Readonly<Record<string, string>>;
  /** What the error is about. */
  resource?: { type: string; name: string };
  /** When it is sensible to try again. */
  retryAfterMs?: number;
  /** The request id of the server's log. */
  requestId?: string;
  cause?: unknown;
}

/** An error that a caller may see: thrown where the fact is known, the same object on both ends of the wire. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** gRPC status code. */
  readonly code: status;
  /** The cause, for programs; an empty string when the other end gave none. */
  readonly reason: Reason | "";
  readonly violations: readonly FieldViolation[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly resource: { type: string; name: string } | undefined;
  readonly retryAfterMs: number | undefined;
  readonly requestId: string | undefined;

  constructor(reason: Reason | { code: status; reason?: string }, message: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = typeof reason === "string" ? CODES[reason] : reason.code;
    this.reason = (typeof reason === "string" ? reason : (reason.reason ?? "")) as Reason | "";
    this.violations = options.violations ?? [];
    this.metadata = options.metadata ?? {};
    this.resource = options.resource;
    this.retryAfterMs = options.retryAfterMs;
    this.requestId = options.requestId;
  }

  /** The code's name, such as "NOT_FOUND". */
  get codeName(): string {
    return status[this.code];
  }
}

/** INVALID_ARGUMENT for a request with wrong fields. Shows all of them in the message too, for clients without details. */
export function invalidFields(violations: readonly FieldViolation[], reason: Reason = "INVALID_FIELD"): ApiError {
  return new ApiError(reason, violations.map((v) => `${v.field}: ${v.description}`).join("; "), { violations });
}

/** What grpc-js wants in order to end a call with this error: code, text and trailers. */
export function toGrpcStatus(error: ApiError, trailers = new Metadata()) {
  const info = (metadata: Record<string, string>) =>
    anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: error.reason, domain: ERROR_DOMAIN, metadata }));
  const details = [info(clipped(error.metadata))];
  if (error.resource) {
    const value = create(ResourceInfoSchema, {
      resourceType: error.resource.type,
      resourceName: clip(error.resource.name, 256),
    });
    details.push(anyPack(ResourceInfoSchema, value));
  }
  if (error.retryAfterMs !== undefined)
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(error.retryAfterMs) })));
  if (error.requestId)
    details.push(anyPack(RequestInfoSchema, create(RequestInfoSchema, { requestId: error.requestId })));
  if (error.code === status.RESOURCE_EXHAUSTED)
    details.push(
      anyPack(
        QuotaFailureSchema,
        create(QuotaFailureSchema, {
          violations: [{ subject: clip(error.resource?.name ?? "", 256), description: clip(error.message, 512) }],
        }),
      ),
    );
  const message = clip(error.message, 2048);
  let violations = [...error.violations];
  const encode = () =>
    toBinary(
      StatusSchema,
      create(StatusSchema, { code: error.code, message, details: [...details, ...badRequest(violations)] }),
    );
  let bytes = encode();
  const all = violations.length;
  while (bytes.length > MAX_DETAILS_BYTES && violations.length > 0) {
    const kept = Math.floor(violations.length / 2);
    if (kept > 0) {
      violations = violations.slice(0, kept);
      violations.push({ field: "", description: `${all - kept} further violations are left out here` });
    }
    if (violations.length <= 2)
      violations = violations.map((v) => ({ field: clip(v.field, 256), description: clip(v.description, 512) }));
    bytes = encode();
    if (violations.length <= 2) break;
  }
  // Whatever else is too long, the cause for programs gets through.
  if (bytes.length > MAX_DETAILS_BYTES)
    bytes = toBinary(StatusSchema, create(StatusSchema, { code: error.code, details: [info({})] }));
  trailers.set(DETAILS_TRAILER, Buffer.from(bytes));
  return { code: error.code, details: message, metadata: trailers };
}

function badRequest(violations: readonly FieldViolation[]) {
  if (violations.length === 0) return [];
  return [anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations: violations.map((v) => ({ ...v })) }))];
}

function clipped(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, clip(value, 1024)]));
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** The ApiError behind what a grpc-js call ended with; `undefined` when it is no error of a call. */
export function fromGrpcError(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) return error;
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "number" || !(error.code in status))
    return undefined;
  const details = "details" in error && typeof error.details === "string" ? error.details : error.message;
  const raw =
    "metadata" in error && error.metadata instanceof Metadata ? error.metadata.get(DETAILS_TRAILER)[0] : undefined;
  const options: ApiErrorOptions = { cause: error };
  let reason = "";
  for (const any of raw instanceof Uint8Array ? unpackStatus(raw) : []) {
    if (anyIs(any, ErrorInfoSchema)) {
      const info = anyUnpack(any, ErrorInfoSchema);
      reason = info?.reason ?? "";
      options.metadata = info?.metadata ?? {};
    } else if (anyIs(any, BadRequestSchema)) {
      const fields = anyUnpack(any, BadRequestSchema)?.fieldViolations ?? [];
      options.violations = fields.map(({ field, description }) => ({ field, description }));
    } else if (anyIs(any, RetryInfoSchema)) {
      const delay = anyUnpack(any, RetryInfoSchema)?.retryDelay;
      if (delay) options.retryAfterMs = durationMs(delay);
    } else if (anyIs(any, RequestInfoSchema)) {
      options.requestId = anyUnpack(any, RequestInfoSchema)?.requestId ?? "";
    } else if (anyIs(any, ResourceInfoSchema)) {
      const info = anyUnpack(any, ResourceInfoSchema);
      if (info) options.resource = { type: info.resourceType, name: info.resourceName };
    }
  }
  return new ApiError({ code: error.code, reason }, details, options);
}

/** Details of a status trailer; an unreadable trailer counts as none, since the code and the text still stand. */
function unpackStatus(bytes: Uint8Array): MessageShape<typeof StatusSchema>["details"] {
  try {
    return fromBinary(StatusSchema, bytes).details;
  } catch {
    return [];
  }
}
