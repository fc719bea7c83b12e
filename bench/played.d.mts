// Types of played.mjs, for its test.

export interface LoadRequest {
  at: number;
  prompt: number[];
  n: number;
}

export type Times = readonly (readonly number[])[];

export function checkPlayed(load: readonly LoadRequest[], times: Times): void;
export function rate(times: Times): number;
export function firstTokens(load: readonly LoadRequest[], times: Times): number[];
export function gaps(times: Times): number[];
export function steadyGaps(times: Times): number[];
export function mean(numbers: readonly number[]): number;
export function percentile(numbers: readonly number[], part: number): number;
