// Errors of the inference side → errors of the wire. The inference side knows no gRPC.
import { ApiError, type Reason } from "@modelwire/proto";
import { InferenceError, type InferenceReason } from "../inference/errors.ts";

const REASONS: Record<InferenceReason, Reason> = {
  CONTEXT_OVERFLOW: "CONTEXT_OVERFLOW",
  QUEUE_FULL: "QUEUE_FULL",
  CACHE_TOO_SMALL: "CACHE_TOO_SMALL",
  DEADLINE_UNREACHABLE: "DEADLINE_UNREACHABLE",
  DEADLINE_EXPIRED: "DEADLINE_UNREACHABLE",
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

/** How long a caller should wait before it joins the line again. */
const QUEUE_RETRY_MS = 1000;

/** What a failed call to the inference side means to a caller; other errors come back as they are. */
export function fromInference(error: unknown): unknown {
  if (!(error instanceof InferenceError)) return error;
  const reason = REASONS[error.reason];
  return new ApiError(reason, error.message, {
    violations: error.violations,
    metadata: error.metadata,
    cause: error,
    ...(reason === "QUEUE_FULL" && { retryAfterMs: QUEUE_RETRY_MS }),
  });
}
