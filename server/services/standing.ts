// Who asks, until when the answer is worth something, and with whom computed beginnings of prompts are shared. It must never
// know what is asked.
import type { GenerateRequest } from "../inference/host.ts";
import type { CallContext } from "../rpc/context.ts";

/** Among whom beginnings are shared: all who give the same salt, or only calls of one caller with the same salt. */
export type PrefixScope = "shared" | "caller";

export type Standing = Pick<GenerateRequest, "caller" | "cacheScope" | "arrivedAtMs" | "deadlineAtMs">;

/** The standing of a call that arrives now. */
export function standingOf({ caller, deadlineMs }: CallContext, scope: PrefixScope, salt = ""): Standing {
  const now = performance.timeOrigin + performance.now();
  return {
    caller,
    // As JSON, so that no caller and salt read like another pair.
    cacheScope: JSON.stringify(scope === "caller" ? [caller, salt] : [salt]),
    arrivedAtMs: now,
    // What is left of it, on the other clock: that one never jumps.
    ...(deadlineMs !== undefined && { deadlineAtMs: now + deadlineMs - Date.now() }),
  };
}
