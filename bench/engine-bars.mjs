// What must hold of the engine on two cores, two threads on each side: the bars of `npm run bench -- engine`, as data.
// `part` is what has to be measured for it; sides are those of engine-sides.mjs, and those that engine-measure.mjs names.
import { llama, ours } from "./engine-sides.mjs";

export const bars = [
  // In process at least 0.97 of the bare runner's step: at most 3.1 % on top of it.
  { part: "overhead", figure: "added share 1", ours: "in process", atMost: 100 * (1 / 0.97 - 1) },
  { part: "overhead", figure: "added share 8", ours: "in process", atMost: 100 * (1 / 0.97 - 1) },
  { part: "overhead", figure: "added 1", ours, atMost: 1 },
  { part: "overhead", figure: "added share 1", ours, atMost: 2 },
  { part: "overhead", figure: "added share 8", ours, atMost: 5 },
  { part: "ragged", figure: "ragged rate", ours, against: ["genai engine"], atLeast: 3.3 },
  { part: "ragged", figure: "ragged rate", ours, against: ["genai one"], atLeast: 2.7 },
  { part: "ragged", figure: "ragged rate", ours, against: llama, atLeast: 2.2 },
  { part: "ragged", figure: "ragged first", ours, against: llama, atLeast: 2 },
  { part: "ragged", figure: "ragged first", ours, against: ["genai one"], atLeast: 7 },
  { part: "heavy", figure: "heavy rate", ours, against: ["one at a time"], atLeast: 3 },
  { part: "heavy", figure: "heavy rate", ours, against: llama, atLeast: 2.2 },
  { part: "stall", figure: "stall 1", ours, atMost: 3 },
  { part: "stall", figure: "stall 4", ours, atMost: 3 },
  { part: "prefix", figure: "conversation", ours, atMost: 1.05 },
  { part: "prefix", figure: "shared prompt", ours, against: ["first caller"], atLeast: 10 },
  { part: "speculation", figure: "steps repeating", ours: "guessing", against: ["plain"], atLeast: 2 },
  { part: "speculation", figure: "lost", ours: "guessing", atMost: 3 },
];
