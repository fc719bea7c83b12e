// Which models must leave for another one to come, and how much cache it may have. Pure. It must never know how a model is
// loaded or freed.
import { ApiError } from "@modelwire/proto";
import type { ModelNeed } from "./model-need.ts";

/** A model that is in memory, comes or leaves. */
export interface Occupant {
  readonly modelId: string;
  readonly name: string;
  readonly bytes: number;
  /** Calls that use it, or wait for it. */
  readonly users: number;
  /** Never gives way to others. */
  readonly kept: boolean;
  /** Can be freed at once when nobody uses it. */
  readonly ready: boolean;
  /** Grows with every use. */
  readonly lastUse: number;
}

/** How long a caller should wait before it asks again whether running streams have ended. */
const RETRY_MS = 1000;

/**
 * Who has to leave, the least recently used first and no more than necessary.
 * @param bytes that `name` needs at least
 * @param limit of all models together
 * @throws ApiError MODEL_MEMORY_FULL with the sum; without RetryInfo when waiting cannot help
 */
export function whoLeaves<T extends Occupant>(
  name: string,
  bytes: number,
  limit: number,
  occupants: readonly T[],
): readonly T[] {
  const sum = (of: readonly Occupant[]) => of.reduce((total, occupant) => total + occupant.bytes, 0);
  const kept = occupants.filter((occupant) => occupant.kept);
  if (bytes + sum(kept) > limit) throw full(name, bytes, limit, kept, false);
  const idle = occupants.filter(({ ready, users, kept }) => ready && users === 0 && !kept);
  idle.sort((a, b) => a.lastUse - b.lastUse);
  const leaving: T[] = [];
  let taken = sum(occupants);
  while (taken + bytes > limit) {
    const next = idle[leaving.length];
    if (!next)
      throw full(
        name,
        bytes,
        limit,
        occupants.filter((occupant) => !leaving.includes(occupant)),
        true,
      );
    leaving.push(next);
    taken -= next.bytes;
  }
  return leaving;
}

/** A cache that is worth loading a model for, in tokens, where its context is longer. */
const WORTHWHILE_TOKENS = 4096;

/** What a model needs at least: its weights, and the cache that was asked for, or one for a sequence. */
export function leastBytes(need: ModelNeed, asked?: number): number {
  return need.weightsBytes + need.bytesPerToken * (asked ?? leastTokens(need));
}

/**
 * How many tokens of cache a newcomer gets: all that its sequences can fill, but at most half of what is free beside its
 * weights, so that others fit too. One sequence of full length, or of {@link WORTHWHILE_TOKENS}, fits in any case.
 * @param freeBytes that it may take, at least {@link leastBytes}
 */
export function cacheTokensFor(need: ModelNeed, freeBytes: number): number {
  const half = Math.floor((freeBytes - need.weightsBytes) / 2 / need.bytesPerToken);
  return Math.max(leastTokens(need), Math.min(need.mostTokens, half));
}

function leastTokens({ contextLength }: ModelNeed): number {
  return Math.min(contextLength, WORTHWHILE_TOKENS);
}

function full(name: string, bytes: number, limit: number, holders: readonly Occupant[], mayPass: boolean): ApiError {
  const taken = holders.reduce((sum, holder) => sum + holder.bytes, 0);
  const who = holders.map((holder) => `${holder.name} (${holder.modelId}) takes ${size(holder.bytes)}${why(holder)}`);
  const beside = who.length === 0 ? "" : ` beside ${size(taken)} that cannot be freed: ${who.join(", ")}`;
  const advice = mayPass
    ? "Try again when calls have ended, or unload a model."
    : "It never fits: raise --model-memory-bytes, or lower --cache-tokens.";
  return new ApiError(
    "MODEL_MEMORY_FULL",
    `${name} needs ${size(bytes)}${beside}; models may take ${size(limit)} together, ` +
      `${size(bytes + taken - limit)} less than that. ${advice}`,
    {
      resource: { type: "model", name },
      metadata: { needed_bytes: `${bytes}`, taken_bytes: `${taken}`, limit_bytes: `${limit}` },
      ...(mayPass && { retryAfterMs: RETRY_MS }),
    },
  );
}

function why({ kept, ready, users }: Occupant): string {
  if (kept) return ", kept by --load";
  if (!ready) return ", being loaded or unloaded";
  return ` and is used by ${users} ${users === 1 ? "call" : "calls"}`;
}

function size(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
