// Asks the bundled model every question of models/tiny-phi3/eval through a running service, greedily, and prints how many
// answers are right:
//   npm run build && node bench/eval-model.mjs [--check] [--write]
// --check fails when a figure is below what the model's README promises; --write puts the figures into that README.
// It starts the service on a temporary store, logs the int4 folder over gRPC, and asks eight questions at a time.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@modelwire/client";
import { parseConfig, startServer } from "modelwire";

const MODEL = fileURLToPath(new URL("../models/tiny-phi3/", import.meta.url));
const AT_A_TIME = 8;

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

const store = mkdtempSync(join(tmpdir(), "modelwire-eval-"));
const server = await startServer(parseConfig(["--port", "0", "--store", store, "--log-level", "warn"], {}));
const client = createClient(server.address);
const started = performance.now();
let tokens = 0;
try {
  const { model } = await client.models.log(join(MODEL, "onnx"), { name: "tiny-phi3" });
  const verdicts = new Map();
  for (const file of new Set(SETS.map((set) => set.file)))
    verdicts.set(
      file,
      await askAll(JSON.parse(readFileSync(join(MODEL, "eval", `${file}.json`), "utf8")), model.modelId),
    );
  const lines = SETS.map(({ file, what, least, only = () => true }) => {
    const counted = verdicts.get(file).filter(({ question }) => only(question));
    const right = counted.filter((verdict) => verdict.right).length;
    return { what, right, of: counted.length, share: right / counted.length, least };
  });
  const seconds = (performance.now() - started) / 1000;
  for (const { what, right, of, share } of lines)
    console.log(`figure: ${percent(share).padStart(7)}  ${right} of ${of}  ${what}`);
  console.log(`figure: ${tokens} tokens in ${seconds.toFixed(1)} s, ${AT_A_TIME} conversations at a time`);
  if (process.argv.includes("--verbose"))
    for (const all of verdicts.values())
      for (const { question, answer, right } of all)
        if (!right) console.log(`wrong: ${JSON.stringify(question.messages)} → ${JSON.stringify(answer)}`);
  if (process.argv.includes("--write")) writeFigures(lines, seconds);
  const below = lines.filter(({ share, least }) => share < least);
  if (process.argv.includes("--check") && below.length > 0) {
    for (const { what, share, least } of below) console.error(`${what}: ${percent(share)} is below ${percent(least)}`);
    process.exitCode = 1;
  }
} finally {
  client.close();
  await server.drain();
  rmSync(store, { recursive: true, force: true });
}

/** Right or wrong for each question, the questions in their order. */
async function askAll(questions, model) {
  const verdicts = new Array(questions.length);
  let next = 0;
  const worker = async () => {
    while (next < questions.length) {
      const i = next++;
      const answer = await converse(questions[i].messages, model);
      verdicts[i] = { question: questions[i], answer, right: isRight(answer, questions[i]) };
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return verdicts;
}

/** Sends the user turns one after another, with the model's own answers between them; gives the last answer. */
async function converse(turns, model) {
  const messages = [];
  let answer = "";
  for (const turn of turns) {
    messages.push(turn);
    if (turn.role === "system") continue;
    const { text, usage } = await client.chat.complete({ model, messages, temperature: 0, maxTokens: 96 });
    tokens += usage.completionTokens;
    answer = text;
    messages.push({ role: "assistant", content: text });
  }
  return answer;
}

function isRight(answer, { answers, exact }) {
  if (exact) return answers.includes(answer);
  return answers.some((accepted) => ` ${answer}`.toLowerCase().includes(accepted.toLowerCase()));
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
