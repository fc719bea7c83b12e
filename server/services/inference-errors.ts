// Errors of the inference side → errors of the wire. The inference side knows no gRPC.
import { status } from "@grpc/grpc-js";
import { ApiError, type Reason } from "@modelwire/proto";
import { InferenceError, type InferenceReason } from "../inference/errors.ts";

const REASONS: Record<Exclude<InferenceReason, "DEADLINE_EXPIRED">, Reason> = {
  CONTEXT_OVERFLOW: "CONTEXT_OVERFLOW",
  QUEUE_FULL: "QUEUE_FULL",
  CACHE_TOO_SMALL: "CACHE_TOO_SMALL",
  DEADLINE_UNREACHABLE: "DEADLINE_UNREACHABLE",
  TOOLS_NOT_SUPPORTED: "TOOLS_NOT_SUPPORTED",
  INVALID_FORMAT: "INVALID_FIELD",
  MODEL_INVALID: "MODEL_INVALID",
  // Unloaded between being looked up and being asked.
  MODEL_NOT_LOADED: "MODEL_NOT_READY",
  MODEL_FAILED: "MODEL_NOT_SERVABLE",
  PREDICTION_FAILED: "PREDICTION_FAILED",
  TEMPLATE_FAILED: "TEMPLATE_FAILED",
  TEMPLATE_MISSING: "TEMPLATE_MISSING",
  INVALID_OPTION: "INVALID_FIELD",
  WORKER_DIED: "WORKER_DIED",
  RUNTIME_UNAVAILABLE: "RUNTIME_UNAVAILABLE",
  CLOSED: "SHUTTING_DOWN",
  INTERNAL: "INTERNAL",
};

/**
 * What a failed call to the inference side means to a caller; other errors come back as they are.
 * @param options what goes before the fields of options that it refuses, where the request has them
 */
export function fromInference(error: unknown, options = ""): unknown {
  if (!(error instanceof InferenceError)) return error;
  const { message, metadata } = error;
  if (error.reason === "DEADLINE_EXPIRED")
    return new ApiError({ code: status.DEADLINE_EXCEEDED }, message, { metadata });
  const retryAfterMs = Number(metadata.retry_after_ms);
  const place = error.reason === "INVALID_OPTION" ? options : "";
  return new ApiError(REASONS[error.reason], message, {
    violations: error.violations.map(({ field, description }) => ({ field: `${place}${field}`, description })),
    metadata,
    cause: error,
    ...(retryAfterMs > 0 && { retryAfterMs }),
  });
}
