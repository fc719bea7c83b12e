// Our own side of `npm run bench -- engine` without a service around it: the runner alone, and the engine over it, both on
// the same mapped weights, one measurement per line:
//   node bench/peers/engine.mjs '{"model": FOLDER, "threads": N, "packed": FOLDER, "cacheTokens": N}'
import { Engine } from "../../server/dist/decoder/engine.js";
import { probeRunner } from "../../server/dist/decoder/probe.js";
import { readModelFolder } from "../../server/dist/onnx/model-folder.js";
import { openRunner } from "../../server/dist/onnx/open-runner.js";
import { Runtime } from "../../server/dist/onnx/runtime.js";
import { disableTelemetry } from "../../server/dist/onnx/telemetry.js";
import { answerLines, prompt } from "./answer-lines.mjs";
import { ScriptedRunner } from "./scripted-runner.mjs";

const { model: folder, threads, packed, cacheTokens } = JSON.parse(process.argv[2]);
const greedy = { temperature: 0, topK: 1, topP: 1, seed: 1n, ignoreEos: true };
/** So that random weights do not run in circles, as in ../engine-service.mjs. */
const unlikeItself = { ...greedy, repetitionPenalty: 10 };
/** Of a text that repeats its prompt: so many passages of so many tokens, and new tokens before each one that is said again. */
const passages = { count: 8, tokens: 24, between: 3 };
/** The prompt of every scripted answer, in passages: what is computed of it is computed once. */
const passage = Array.from({ length: passages.count }, (_, i) => prompt(passages.tokens, 1000 + i));

disableTelemetry();
const runtime = new Runtime();
/** Opened when first asked for: the bare runner, and what is made of others by what they are for. */
const opened = new Map();

await answerLines(
  async () => {
    const { report } = await bare();
    const version = `${report.kind} runner, ${report.kernels}, ONNX Runtime ${runtime.version}`;
    return { facts: { version, kernels: report.kernels } };
  },
  {
    /** Milliseconds of each step of the bare runner, in which each of `batch` sequences grows by a token. */
    async bare(_, { batch, tokens, steps, seed }) {
      const { runner } = await bare();
      const rows = [];
      try {
        for (let i = 0; i < batch; i += 1) rows.push(await newRow(runner, prompt(tokens, seed * 100 + i)));
        const ms = [];
        for (let step = 0; step < steps; step += 1) ms.push(await decode(runner, rows));
        return { ms };
      } finally {
        for (const { sequence } of rows) runner.release(sequence);
      }
    },

    /** Plays a load. `pauses`: milliseconds from the end of each run of the runner to the beginning of the next. */
    async play(_, { load }) {
      const { engine, runner } = await once("engine", () => openEngine({}, withPauses));
      runner.pauses.length = 0;
      const played = await play(engine, load, unlikeItself);
      // The first one is from the load before.
      return { ...played, pauses: runner.pauses.slice(1) };
    },

    /**
     * One answer whose tokens are those of a script, by a runner that computes all it is asked for and then raises the logit
     * of the script's next token: "repeating" says passages of its prompt again, "random" repeats nothing.
     * `guesses`: whether the engine may guess tokens ahead.
     */
    async scripted(_, { text, guesses, n, seed }) {
      const { engine, runner } = await once(`scripted ${guesses}`, () =>
        openEngine({ speculate: guesses }, (real) => new ScriptedRunner(real)),
      );
      const [question, answer] = text === "random" ? random(n, seed) : repeating(n, seed);
      runner.script = [...question, ...answer];
      const { times } = await play(engine, [{ at: 0, prompt: question, n }], greedy);
      return { times, steps: runner.steps };
    },
  },
);

async function play(engine, load, choice) {
  const began = performance.now();
  const answers = load.map(async ({ at, prompt: ids, n }) => {
    if (at > 0) await new Promise((resolve) => setTimeout(resolve, at * 1000));
    const times = [];
    const options = { ...choice, maxTokens: n };
    for await (const { type } of engine.generate({ ids, options }))
      if (type === "token") times.push(performance.now() - began);
    return times;
  });
  return { times: await Promise.all(answers) };
}

/** A sequence that holds a prompt, and its next token. */
async function newRow(runner, ids) {
  const sequence = runner.allocate();
  let logits;
  for (let position = 0; position < ids.length; position += runner.maxTokens) {
    const tokens = Int32Array.from(ids.slice(position, position + runner.maxTokens));
    [logits] = await runner.forward([{ sequence, position, tokens, wantsLogits: "last" }]);
  }
  return { sequence, position: ids.length, token: likeliest(logits) };
}

/** Milliseconds of one step, without the choice of the tokens. */
async function decode(runner, rows) {
  const batch = rows.map(({ sequence, position, token }) => {
    return { sequence, position, tokens: Int32Array.of(token), wantsLogits: "last" };
  });
  const started = performance.now();
  const logits = await runner.forward(batch);
  const ms = performance.now() - started;
  rows.forEach((row, i) => {
    row.position += 1;
    row.token = likeliest(logits[i]);
  });
  return ms;
}

function likeliest(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id += 1) if (logits[id] > logits[best]) best = id;
  return best;
}

/** The prompt, and a random answer. */
function random(n, seed) {
  return [passage.flat(), prompt(n, seed)];
}

/** The prompt, and an answer of its passages in another order with something new before each. */
function repeating(n, seed) {
  const { count, tokens, between } = passages;
  const parts = Math.ceil(n / (tokens + between));
  const fresh = prompt(parts * between, seed);
  const answer = Array.from({ length: parts }, (_, i) => [
    ...fresh.slice(i * between, (i + 1) * between),
    ...passage[(i * 3 + seed) % count],
  ]);
  return [passage.flat(), answer.flat().slice(0, n)];
}

function bare() {
  return once("bare", open);
}

/** The same runner, which notes how long it is left alone between two runs. */
function withPauses(runner) {
  const pauses = [];
  let ended = performance.now();
  const forward = async (batch) => {
    pauses.push(performance.now() - ended);
    try {
      return await runner.forward(batch);
    } finally {
      ended = performance.now();
    }
  };
  return new Proxy(runner, {
    get(target, name) {
      if (name === "pauses") return pauses;
      if (name === "forward") return forward;
      const value = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** An engine as the service makes it, over a runner of its own. */
async function openEngine(options = {}, around = (real) => real) {
  const { runner: real } = await open();
  const probe = await probeRunner(real);
  const runner = around(real);
  return { engine: new Engine(runner, { rowInvariant: probe.rowInvariant, costs: probe, ...options }), runner };
}

async function once(name, make) {
  if (!opened.has(name)) opened.set(name, await make());
  return opened.get(name);
}

async function open() {
  const options = { runner: "native", packedWeightsFolder: packed, threads, maxSequences: 16, cacheTokens };
  return await openRunner(runtime, await readModelFolder(folder), options);
}
