// Asks the bundled model every question of models/tiny-phi3/eval through a running service, greedily, and prints how many
// answers are right:
//   npm run build && node bench/eval-model.mjs [--check] [--write]
// --check fails when a figure is below what the model's README promises; --write puts the figures into that README.
// It starts the service on a temporary store, logs the int4 folder over gRPC, and asks eight questions at a time.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { AT_A_TIME, evaluate, isRight, MODEL } from "./evaluation.mjs";

/** What must hold: least share of right answers. */
const SETS = [
  { file: "capitals", what: "capitals, eight phrasings", least: 0.99 },
  {
    file: "capitals",
    what: "of these, the four phrasings never in the training data",
    least: 0.99,
    only: ({ seen }) => !seen,
  },
  { file: "followups", what: "follow-up turns", least: 0.97 },
  { file: "unknown", what: "“I don't know” for invented countries", least: 0.9 },
  { file: "other", what: "elements, opposites, colours, animals, planets, sums, jokes, small talk", least: 0.9 },
];

const started = performance.now();
const { answers, tokens } = await evaluate();
const seconds = (performance.now() - started) / 1000;
const lines = SETS.map(({ file, what, least, only = () => true }) => {
  const counted = answers.get(file).filter(({ question }) => only(question));
  const right = counted.filter(({ text, question }) => isRight(text, question)).length;
  return { what, right, of: counted.length, share: right / counted.length, least };
});
for (const { what, right, of, share } of lines)
  console.log(`figure: ${percent(share).padStart(7)}  ${right} of ${of}  ${what}`);
console.log(`figure: ${tokens} tokens in ${seconds.toFixed(1)} s, ${AT_A_TIME} conversations at a time`);
if (process.argv.includes("--verbose"))
  for (const { question, text } of [...answers.values()].flat())
    if (!isRight(text, question)) console.log(`wrong: ${JSON.stringify(question.messages)} → ${JSON.stringify(text)}`);
if (process.argv.includes("--write")) writeFigures(lines, seconds);
const below = lines.filter(({ share, least }) => share < least);
if (process.argv.includes("--check") && below.length > 0) {
  for (const { what, share, least } of below) console.error(`${what}: ${percent(share)} is below ${percent(least)}`);
  process.exitCode = 1;
}

function percent(share) {
  return `${(share * 100).toFixed(2)} %`;
}

function writeFigures(lines, seconds) {
  const readme = join(MODEL, "README.md");
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const table = [
    "Measured on the int4 folder through the running service (gRPC, streamed upload, native decoder), greedily, by",
    `\`node bench/eval-model.mjs --write\` at commit ${commit} on ${availableParallelism()} cores (${cpus()[0].model.trim()}), Node ${process.version}, in ${seconds.toFixed(0)} s:`,
    "",
    "| questions | right | share |",
    "| --- | --- | --- |",
    ...lines.map(({ what, right, of, share }) => `| ${what} | ${right} of ${of} | ${percent(share)} |`),
  ].join("\n");
  const text = readFileSync(readme, "utf8");
  writeFileSync(
    readme,
    text.replace(/<!-- figures -->[\s\S]*<!-- \/figures -->/, `<!-- figures -->\n${table}\n<!-- /figures -->`),
  );
}
