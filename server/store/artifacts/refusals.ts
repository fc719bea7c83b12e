// Why a file of an upload is not taken, in words. It must never look at a file.
import { ApiError } from "@modelwire/proto";

export function wrongSize(path: string, expected: number, got: number | "more"): ApiError {
  return new ApiError(
    "DIGEST_MISMATCH",
    `file "${path}": the sender said ${expected} bytes, ${got} bytes arrived; send the model again`,
    { metadata: { path, expected_bytes: String(expected), actual_bytes: String(got) } },
  );
}

export function wrongDigest(path: string, expected: string, actual: string): ApiError {
  return new ApiError(
    "DIGEST_MISMATCH",
    `file "${path}": its bytes have the SHA-256 ${actual}, the sender said ${expected}; send the model again`,
    { metadata: { path, expected, actual } },
  );
}

/** @param what That the store does no more. */
export function missing(path: string, what: string): ApiError {
  return new ApiError(
    "CONTENT_MISSING",
    `file "${path}": the store ${what} any more; ask PlanUpload again, or send the whole file`,
    { metadata: { path } },
  );
}
