// Loads: what arrives when at a side that answers, as data. A load is a list of requests in the order of their arrival,
// {at, prompt, n}: seconds from its beginning, token ids, and how many new tokens are wanted. Knows no side.
import { readFileSync } from "node:fs";
import { prompt } from "./peers/answer-lines.mjs";

/** Eight requests one second apart: random prompts of 37 to 233 tokens (1,121), 83 to 183 new ones (1,143). */
export const ragged = JSON.parse(readFileSync(new URL("loads/ragged.json", import.meta.url), "utf8"));

/** So many requests at once, with random prompts of the same length that differ from those of other seeds. */
export function atOnce(requests, { tokens, n, seed = 0 }) {
  return Array.from({ length: requests }, (_, i) => ({ at: 0, prompt: prompt(tokens, seed * 100 + i), n }));
}

/** The same load with a part of everything: of the time between arrivals, of each prompt, and of its new tokens. */
export function scaled(load, part) {
  return load.map(({ at, prompt: ids, n }) => {
    return { at: at * part, prompt: ids.slice(0, Math.ceil(ids.length * part)), n: Math.ceil(n * part) };
  });
}

/** The same load with other random prompts, for a side that has seen it: what is cached of a prompt is not computed again. */
export function withOtherPrompts(load, seed) {
  return load.map(({ at, prompt: ids, n }, i) => ({ at, prompt: prompt(ids.length, seed * 100 + i), n }));
}

/** In words: "8 requests, 1,121 tokens of prompts, 1,143 new". */
export function described(load) {
  const sum = (of) => load.reduce((total, one) => total + of(one), 0).toLocaleString("en");
  return `${load.length} requests, ${sum(({ prompt: ids }) => ids.length)} tokens of prompts, ${sum(({ n }) => n)} new`;
}
