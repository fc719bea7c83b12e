// Decides whether and when a failed call is tried again. It must never start a call itself.
import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";

export interface RetryPolicy {
  /** Most attempts, the first included. 4 when absent; 1 means no retries. */
  maxAttempts: number;
  /** Upper end of the first wait, in milliseconds; it doubles each time. 100 when absent. */
  initialBackoffMs: number;
  /** Most milliseconds between two attempts. 3,000 when absent. A server that asks for a longer wait is not asked again. */
  maxBackoffMs: number;
  /**
   * Try again, whatever the method, when the server is full or has too little time, and says after how long that is
   * sensible: RESOURCE_EXHAUSTED with RetryInfo, which it sends before it has done anything. false when absent.
   */
  whenFull: boolean;
  /** From 0 to just under 1. Math.random when absent. */
  random: () => number;
  /** Milliseconds since 1970. Date.now when absent. */
  now: () => number;
  /** Resolves after that many milliseconds, or early when the signal aborts. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What bounds a call: no attempt begins after either. */
export interface Bounds {
  signal: AbortSignal;
  /** Milliseconds since 1970; undefined for none. */
  deadline: number | undefined;
}

/** Whether the proto says that a method may be called twice without harm. */
export function isSafeToRepeat(method: DescMethod): boolean {
  return method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

export class Retry {
  readonly #policy: RetryPolicy;

  constructor(policy: Partial<RetryPolicy> = {}) {
    this.#policy = { ...DEFAULTS, ...policy };
  }

  /** What of a call is worth another attempt. @param safe whether it may be made twice without harm */
  worth(safe: boolean): (error: unknown) => boolean {
    return (error) => (safe && isUnavailable(error)) || (this.#policy.whenFull && isFull(error));
  }

  /**
   * Waits for the next attempt and says true; false means that the error stands: it is not worth another, attempts are
   * used up, or the wait would pass the deadline. The wait is drawn evenly from 0 to the back-off ("full jitter":
   * many clients that failed together do not come back together), and is never shorter than the server's RetryInfo.
   *
   * @param attempt how many were made, from 1
   * @param retryable which errors are worth another attempt; UNAVAILABLE alone when absent
   */
  async again(error: unknown, attempt: number, bounds: Bounds, retryable = isUnavailable): Promise<boolean> {
    const { maxAttempts, initialBackoffMs, maxBackoffMs, random, now, sleep } = this.#policy;
    if (attempt >= maxAttempts || !retryable(error) || bounds.signal.aborted) return false;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    if (asked > maxBackoffMs) return false;
    const ceiling = Math.min(maxBackoffMs, initialBackoffMs * 2 ** (attempt - 1));
    const wait = Math.max(asked, random() * ceiling);
    if (bounds.deadline !== undefined && now() + wait >= bounds.deadline) return false;
    await sleep(wait, bounds.signal);
    return true;
  }
}

export function isUnavailable(error: unknown): boolean {
  return error instanceof ApiError && error.code === status.UNAVAILABLE;
}

/** The server refused before it did anything, and says when to come again. */
function isFull(error: unknown): boolean {
  return error instanceof ApiError && error.code === status.RESOURCE_EXHAUSTED && (error.retryAfterMs ?? 0) > 0;
}

const DEFAULTS: RetryPolicy = {
  maxAttempts: 4,
  initialBackoffMs: 100,
  maxBackoffMs: 3_000,
  whenFull: false,
  random: Math.random,
  now: Date.now,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done, { once: true });
    }),
};
