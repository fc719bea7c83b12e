// How many steps guessing from the prompt saves, without a model: texts of this repository are played as answers to prompts
// that they repeat, or do not, and a guess is right when the text goes on so.
//   npm run build && node bench/prompt-lookup.mjs
// The costs of longer steps are those that the guesser assumes. It fails when an answer that repeats its prompt takes more
// than half of the steps, on the average, or any other one more than 3 % longer.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nativeCosts, PromptLookup } from "../server/dist/decoder/prompt-lookup.js";
import { Tokenizer } from "../server/dist/tokenizer/tokenizer.js";
import { printMachine } from "./service.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MOST = 7;
const LONGEST = 3000;

const file = (path) => readFileSync(ROOT + path, "utf8");
const git = (...args) => execFileSync("git", args, { cwd: ROOT, encoding: "utf8" });

/** The file as it was before its last changes and as it is, by the history; without one there is no case. */
function edit(path, changes) {
  const commits = git("log", "--format=%h", "--", path).trim().split("\n");
  if (commits.length < 2) return [];
  const before = commits[Math.min(changes, commits.length - 1)];
  return [
    {
      title: `${path}, changed`,
      prompt: `${git("show", `${before}:${path}`)}\nMake the changes.\n`,
      answer: file(path),
    },
  ];
}

/** Paragraphs of prose. */
const paragraphs = (path) =>
  file(path)
    .split("\n\n")
    .filter((text) => text.length > 150 && !text.startsWith("|"));

const quotes = paragraphs("docs/architecture.md")
  .slice(0, 8)
  .map((text, i) => `${paragraphs("docs/performance.md")[i]?.slice(0, 120) ?? ""}\n> ${text.slice(0, 260)}\n`);
const table = "bench/results/kernels-quick";
const sampler = file("server/decoder/sampler.ts");

const repeating = [
  ...edit("README.md", 3),
  ...edit("docs/architecture.md", 2),
  ...edit("server/decoder/engine.ts", 2),
  ...edit("server/onnx/stock-runner.ts", 2),
  {
    title: "names in code, changed",
    prompt: sampler,
    answer: sampler.replaceAll("logits", "scores").replaceAll("weight", "mass"),
  },
  { title: "a table as JSON", prompt: file(`${table}.md`), answer: file(`${table}.json`) },
  { title: "remarks on quotes", prompt: file("docs/architecture.md"), answer: quotes.join("\n") },
];
const other = [
  { title: "prose", prompt: "Tell me how fast it is.\n", answer: file("docs/performance.md") },
  { title: "prose beside other prose", prompt: file("CONTRIBUTING.md"), answer: file("docs/architecture.md") },
  { title: "a licence", prompt: file("README.md"), answer: file("LICENSE") },
  { title: "code", prompt: file("README.md"), answer: file("server/onnx/rewrite.ts") },
  { title: "jokes", prompt: "Tell me jokes.\n", answer: file("models/tiny-phi3/recipe/tables/jokes.py") },
  { title: "noise", prompt: "", answer: noise(6000) },
];

function noise(length) {
  let state = 7;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(33 + ((state >>> 25) % 90));
  };
  return Array.from({ length }, next).join("");
}

/** The bundled tokenizer cuts English finely; words stand for a vocabulary of tens of thousands. */
const tokenizer = await Tokenizer.open(`${ROOT}models/tiny-phi3/onnx`);
const words = new Map();
const encodings = {
  "the bundled vocabulary": (text) => tokenizer.encode(text),
  words: (text) =>
    (text.match(/ ?[A-Za-z]{1,7}|\d| ?[^\sA-Za-z\d]+|\s+/g) ?? []).map((word) => {
      if (!words.has(word)) words.set(word, words.size);
      return words.get(word);
    }),
};

/** Steps and cost per token of the answer, and microseconds of guessing per step. */
function play(prompt, answer) {
  const text = Int32Array.of(...prompt, ...answer);
  const lookup = new PromptLookup();
  let [steps, cost, drafted, accepted, spent] = [0, 0, 0, 0, 0];
  for (let at = prompt.length; at < text.length; ) {
    const begin = performance.now();
    const guesses = lookup.draft(text.subarray(0, at), Math.min(MOST, text.length - at - 1));
    spent += performance.now() - begin;
    let right = 0;
    while (right < guesses.length && guesses[right] === text[at + right]) right++;
    steps++;
    cost += nativeCosts[guesses.length];
    drafted += guesses.length;
    accepted += right;
    at += right + 1;
  }
  const tokens = text.length - prompt.length;
  return {
    tokens,
    steps: steps / tokens,
    cost: cost / tokens,
    right: accepted / drafted,
    micros: (spent * 1000) / steps,
  };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

printMachine(`at most ${MOST} guesses a step, the first ${LONGEST} tokens of each answer`);
for (const [vocabulary, encode] of Object.entries(encodings)) {
  console.log(`\n${vocabulary}\n${"".padEnd(36)} tokens  steps/token  cost/token  right  µs/step`);
  const playAll = (cases) =>
    cases.map(({ title, prompt, answer }) => {
      const figures = play(encode(prompt), encode(answer).slice(0, LONGEST));
      const cells = [
        title.padEnd(36),
        String(figures.tokens).padStart(6),
        figures.steps.toFixed(3).padStart(12),
        figures.cost.toFixed(3).padStart(11),
        (Number.isNaN(figures.right) ? "" : `${Math.round(figures.right * 100)} %`).padStart(6),
        figures.micros.toFixed(1).padStart(8),
      ];
      console.log(cells.join(" "));
      return figures;
    });
  const repeated = mean(playAll(repeating).map(({ steps }) => steps));
  const dearest = Math.max(...playAll(other).map(({ cost }) => cost));
  console.log(`figure: ${vocabulary}: ${(1 / repeated).toFixed(2)} x fewer steps where the prompt is repeated, bar 2`);
  console.log(`figure: ${vocabulary}: the dearest other answer costs ${dearest.toFixed(3)} of the plain way, bar 1.03`);
  if (repeated > 0.5 || dearest > 1.03) process.exitCode = 1;
}
