// Our own side of `npm run bench -- kernels`: one of the runners without a service around it, one measurement per line:
//   node bench/peers/runner.mjs '{"model": FOLDER, "threads": N, "runner": "native"|"stock", "cacheType": TYPE, "packed": FOLDER}'
// A decode step takes the likeliest token of every row, as a greedy answer does.

import { readModelFolder } from "../../server/dist/onnx/model-folder.js";
import { openRunner } from "../../server/dist/onnx/open-runner.js";
import { Runtime } from "../../server/dist/onnx/runtime.js";
import { disableTelemetry } from "../../server/dist/onnx/telemetry.js";
import { answerLines, privateBytes, prompt } from "./answer-lines.mjs";

const { model, threads, runner: kind, cacheType, packed } = JSON.parse(process.argv[2]);
// Most tokens of one call.
const maxTokens = 512;
// The stock runner's cache is as long as its longest sequence may be, and its speed depends on that.
const shortest = { maxSequences: 16, maxLength: 1088 };

disableTelemetry();
const runtime = new Runtime();
let runner;
let report;
/** Sequences that hold a context of some length. */
let rows = [];
/** Those of them that decode: the next token of each and where it goes. */
let used = [];

await answerLines(
  async () => {
    await open(shortest);
    const kernels = report.kind === "native" ? `, ${report.kernels}` : "";
    const version = `${report.kind} runner${kernels}, ONNX Runtime ${runtime.version}`;
    return { facts: { version, kernels: report.kernels, kvBytesPerToken: report.cacheBytesPerToken } };
  },
  {
    async prefill(_, { tokens, seed }) {
      forget();
      await makeRoom(1, tokens);
      const sequence = runner.allocate();
      const started = performance.now();
      await append(sequence, prompt(tokens, seed));
      const ms = [performance.now() - started];
      runner.release(sequence);
      return { ms };
    },

    /**
     * Rows of random prompts. The stock runner copies one to the others; the native one computes each, for copies would
     * share their blocks. What an earlier call computed of the same length is used again. `room`: as in llama.mjs.
     */
    async fill(_, { batch, room, context, steps }) {
      if (rows.some(({ length }) => length !== context)) forget();
      await makeRoom(Math.max(batch, room), context + steps);
      const before = privateBytes();
      while (rows.length < batch) rows.push(await newRow(rows.length, context));
      used = rows.slice(0, batch).map(({ sequence }) => ({ sequence, position: context, token: 300 }));
      return { bytes: privateBytes() - before };
    },

    async decode(_, { steps }) {
      const ms = [];
      for (let step = 0; step < steps; step += 1) {
        const started = performance.now();
        const batch = used.map(({ sequence, position, token }) => {
          return { sequence, position, tokens: Int32Array.of(token), wantsLogits: "last" };
        });
        const logits = await runner.forward(batch);
        used = used.map((row, i) => ({ ...row, position: row.position + 1, token: likeliest(logits[i]) }));
        ms.push(performance.now() - started);
      }
      return { ms };
    },

    async release() {
      forget();
      if (runner.spec.contextLength > shortest.maxLength) await open(shortest);
      return {};
    },
  },
);

/** Opens the runner anew where it is too small for so many sequences of so many tokens. */
async function makeRoom(sequences, tokens) {
  if (sequences <= runner.maxSequences && tokens <= runner.spec.contextLength) return;
  await open({ maxSequences: sequences, maxLength: Math.max(tokens, shortest.maxLength) });
}

async function open(size) {
  forget();
  await runner?.dispose();
  const options = { runner: kind, cacheType, packedWeightsFolder: packed, threads, maxTokens, ...size };
  ({ runner, report } = await openRunner(runtime, await readModelFolder(model), options));
}

async function newRow(seed, length) {
  const sequence = runner.allocate();
  if (kind === "stock" && seed > 0) runner.copyPrefix(rows[0].sequence, sequence, length);
  else await append(sequence, prompt(length, seed));
  return { sequence, length };
}

function forget() {
  for (const { sequence } of rows) runner.release(sequence);
  rows = [];
  used = [];
}

/** Appends a prompt and computes the logits of its last token. */
async function append(sequence, ids) {
  for (let position = 0; position < ids.length; position += maxTokens) {
    const tokens = Int32Array.from(ids.slice(position, position + maxTokens));
    const wantsLogits = position + tokens.length === ids.length ? "last" : "none";
    await runner.forward([{ sequence, position, tokens, wantsLogits }]);
  }
}

function likeliest(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id += 1) if (logits[id] > logits[best]) best = id;
  return best;
}
