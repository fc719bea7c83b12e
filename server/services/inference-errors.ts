// Errors of the inference side → errors of the wire. The inference side knows no gRPC.
import { ApiError } from "@modelwire/proto";
import { InferenceError } from "../inference/errors.ts";

const REASONS = {
  CONTEXT_OVERFLOW: "CONTEXT_OVERFLOW",
  QUEUE_FULL: "QUEUE_FULL",
  MODEL_INVALID: "MODEL_INVALID",
  TEMPLATE_FAILED: "TEMPLATE_FAILED",
  TEMPLATE_MISSING: "TEMPLATE_MISSING",
  INVALID_OPTION: "INVALID_FIELD",
  WORKER_DIED: "WORKER_DIED",
  RUNTIME_UNAVAILABLE: "RUNTIME_UNAVAILABLE",
} as const;

/** What a failed call to the inference side means to a caller; other errors come back as they are. */
export function fromInference(error: unknown): unknown {
  if (!(error instanceof InferenceError)) return error;
  const reason = REASONS[error.reason as keyof typeof REASONS];
  if (!reason) return error;
  return new ApiError(reason, error.message, {
    violations: error.violations,
    metadata: error.metadata,
    cause: error,
    ...(reason === "QUEUE_FULL" && { retryAfterMs: 1000 }),
  });
}
