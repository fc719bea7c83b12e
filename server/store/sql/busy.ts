// What SQLite's error codes mean here: wait and try again, the disk is full, or a fault. Knows codes, no statements.
import { ApiError } from "@modelwire/proto";

/** First and longest pause between two attempts, in milliseconds. */
const PAUSE_MS = { first: 2, longest: 50 };

/** Whether another connection holds the lock that was wanted. */
export function isBusy(error: unknown): boolean {
  return codeOf(error).startsWith("SQLITE_BUSY");
}

/**
 * Calls `attempt` again and again while the database is locked. The waiting is done here and not by SQLite, whose
 * busy handler would hold up the whole process: running streams must not feel another program's transaction.
 * @throws ApiError UNAVAILABLE when it is still locked after `waitMs`.
 */
export async function whileBusy<T>(waitMs: number, attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const end = performance.now() + waitMs;
  for (let pauseMs = PAUSE_MS.first; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS.longest)) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!isBusy(error)) throw storeError(error);
      if (performance.now() + pauseMs > end) throw tooBusy(waitMs, error);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function tooBusy(waitMs: number, cause: unknown): ApiError {
  return new ApiError(
    "STORE_BUSY",
    `another program has held the lock on the store's database for more than ${waitMs / 1000} s; try again, and see which program keeps a transaction on mlflow.db open`,
    { cause, retryAfterMs: 1000 },
  );
}

/** The error that a caller may see for one of SQLite's; anything else comes back as it is. */
export function storeError(error: unknown): unknown {
  const code = codeOf(error);
  if (code.startsWith("SQLITE_FULL"))
    return new ApiError("STORAGE_FULL", "the disk under the store's database is full; free some space and try again", {
      cause: error,
    });
  return error;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
