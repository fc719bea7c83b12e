// How many positions the cache of a model may hold where nobody says it: from the memory that there is. Pure, but for the
// one function that asks the system. It knows bytes and tokens, and no runner.

import { blockTokens } from "./kv-blocks.ts";

export interface CacheNeeds {
  /** That run at the same time. */
  readonly sequences: number;
  /** Positions of a sequence at its longest. */
  readonly contextLength: number;
  readonly bytesPerToken: number;
}

/** The part of the available memory that a cache may fill: the rest is for weights, what is computed, and everybody else. */
const share = 1 / 2;

/**
 * Every sequence at its longest, as far as half of the memory goes; one sequence at its longest, if all of it does.
 * @param availableBytes that nothing else needs
 * @returns positions, whole blocks and at least one
 */
export function cacheBudget({ sequences, contextLength, bytesPerToken }: CacheNeeds, availableBytes: number): number {
  const longest = wholeBlocks(contextLength);
  const fits = (bytes: number) => Math.floor(bytes / bytesPerToken / blockTokens) * blockTokens;
  const one = Math.min(longest, fits(availableBytes));
  return Math.max(blockTokens, one, Math.min(sequences * longest, fits(availableBytes * share)));
}

/** Bytes that the process can still take, within the limit of its container where it has one. */
export function availableMemory(): number {
  return process.availableMemory();
}

function wholeBlocks(positions: number): number {
  return Math.ceil(positions / blockTokens) * blockTokens;
}
