// Types of loads.mjs, for its test.
import type { LoadRequest } from "./played.d.mts";

export const ragged: LoadRequest[];
export function atOnce(requests: number, size: { tokens: number; n: number; seed?: number }): LoadRequest[];
export function scaled(load: readonly LoadRequest[], part: number): LoadRequest[];
export function withOtherPrompts(load: readonly LoadRequest[], seed: number): LoadRequest[];
export function described(load: readonly LoadRequest[]): string;
