// llama.cpp's side of the benches, through node-llama-cpp's bindings, one measurement per line:
//   node bench/peers/llama.mjs '{"model": FILE, "module": FOLDER, "threads": N}'
// MODULE is where node-llama-cpp is installed. A variant is how attention runs: llama.cpp's own choice, without flash
// attention, or with it and a cache of 8 bits. Each has a context of its own over the same weights. Steps are bare:
// nothing is sampled, which is to its advantage.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { answerLines, prompt } from "./answer-lines.mjs";

const variants = {
  auto: { flashAttention: "auto" },
  off: { flashAttention: false },
  q8: { flashAttention: true, kvCacheKeyType: 8, kvCacheValueType: 8 }, // GGML_TYPE_Q8_0
};
const { model: file, module, threads } = JSON.parse(process.argv[2]);
const { getLlama, LlamaLogLevel, getModuleVersion } = await import(
  pathToFileURL(join(module, "node_modules/node-llama-cpp/dist/index.js")).href
);
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error, progressLogs: false });
const bindings = llama._bindings;
// Tokens that one call computes at a time: llama.cpp's own default.
const batchSize = 512;

/** By variant: its context, how long and how many sequences may be, and the position of each row. */
const open = new Map();

await answerLines(
  async () => {
    const model = new bindings.AddonModel(file, { gpuLayers: 0, useMmap: true, addonExports: bindings });
    await model.init();
    const version = `node-llama-cpp ${await getModuleVersion()}, llama.cpp ${llama.llamaCppRelease.release}`;
    return { model, facts: { version } };
  },
  {
    async prefill({ model }, { variant, tokens, seed }) {
      const { context } = await openContext(model, variant, 1, tokens + 1);
      const ids = prompt(tokens, seed);
      const started = performance.now();
      await append(context, [{ sequence: 0, position: 0, ids }]);
      const ms = [performance.now() - started];
      await close(variant);
      return { ms };
    },

    /** Computes one random prompt and copies what it left to the other rows. `room`: rows that later calls may want. */
    async fill({ model }, { variant, batch, room, context: length, steps }) {
      let state = open.get(variant);
      if (state?.capacity !== length + steps || state.sequences < batch) {
        state = await openContext(model, variant, Math.max(batch, room), length + steps);
        await append(state.context, [{ sequence: 0, position: 0, ids: prompt(length, 0) }]);
      }
      const { context } = state;
      context.removeTokenCellsFromSequence(0, length, -1);
      for (let row = 1; row < batch; row += 1) {
        context.disposeSequence(row);
        await context.copySequenceStateFromOtherSequence(row, 0);
      }
      for (let row = 0; row < batch; row += 1) {
        const last = context.getSequenceKvCacheMaxPosition(row);
        if (last !== length - 1) throw new Error(`row ${row} ends at position ${last} of ${length}`);
      }
      state.rows = Array.from({ length: batch }, () => length);
      return {};
    },

    async decode(_, { variant, steps }) {
      const { context, rows } = open.get(variant);
      const ms = [];
      for (let step = 0; step < steps; step += 1) {
        const started = performance.now();
        await append(
          context,
          rows.map((position, sequence) => ({ sequence, position, ids: [300 + position + sequence] })),
        );
        ms.push(performance.now() - started);
        for (const row of rows.keys()) rows[row] += 1;
      }
      return { ms };
    },

    /**
     * Plays a load as llama.cpp's own server would: each call holds a token of every sequence that decodes and, in the
     * room that is left, tokens of the prompts that wait. Gives the times of each token.
     */
    async play({ model }, { variant, load }) {
      const capacity = Math.max(...load.map(({ prompt: ids, n }) => ids.length + n));
      const { context } = await openContext(model, variant, load.length, capacity);
      const requests = load.map(({ at, prompt: ids, n }, sequence) => {
        // Random tokens in place of those that it would have chosen.
        return {
          sequence,
          at: at * 1000,
          ids: [...ids, ...prompt(n, sequence)],
          promptLength: ids.length,
          done: 0,
          times: [],
        };
      });
      const began = performance.now();
      for (;;) {
        const open = requests.filter(({ ids, done }) => done < ids.length - 1);
        if (open.length === 0) break;
        const here = open.filter(({ at }) => at <= performance.now() - began);
        if (here.length === 0) {
          await new Promise((resolve) => setTimeout(resolve, 2));
          continue;
        }
        await playStep(context, here);
        const time = performance.now() - began;
        for (const request of here) if (request.done >= request.promptLength) request.times.push(time);
        for (const { sequence, ids, done } of here) if (done === ids.length - 1) context.disposeSequence(sequence);
      }
      await close(variant);
      return { times: requests.map(({ times }) => times) };
    },

    async release(_, { variant }) {
      await close(variant);
      return {};
    },
  },
);

async function openContext(model, variant, sequences, capacity) {
  await close(variant);
  const size = Math.ceil(capacity / 256) * 256;
  const context = new bindings.AddonContext(model, {
    contextSize: size * sequences,
    batchSize,
    sequences,
    threads,
    addonExports: bindings,
    ...variants[variant],
  });
  await context.init();
  const state = { context, sequences, capacity, rows: [] };
  open.set(variant, state);
  return state;
}

async function close(variant) {
  await open.get(variant)?.context.dispose();
  open.delete(variant);
}

/** One call: a token of each request that decodes, and as much of the waiting prompts as there is room for. */
async function playStep(context, requests) {
  const decoding = requests.filter(({ done, promptLength }) => done >= promptLength);
  let room = batchSize - decoding.length;
  const parts = decoding.map((request) => ({ request, count: 1 }));
  for (const request of requests) {
    const count = Math.min(room, request.promptLength - request.done);
    if (count > 0) parts.push({ request, count });
    if (count > 0) room -= count;
  }
  context.initBatch(parts.reduce((sum, { count }) => sum + count, 0));
  for (const { request, count } of parts) {
    const { sequence, done, ids, promptLength } = request;
    const wanted = done + count >= promptLength ? Uint32Array.of(count - 1) : new Uint32Array(0);
    context.addToBatch(sequence, done, Uint32Array.from(ids.slice(done, done + count)), wanted);
    request.done += count;
  }
  await context.decodeBatch();
}

/** Appends to each sequence, `batchSize` tokens a call, and computes the logits of the last of each. */
async function append(context, parts) {
  const longest = Math.max(...parts.map(({ ids }) => ids.length));
  for (let from = 0; from < longest; from += batchSize) {
    const count = Math.min(batchSize, longest - from);
    const last = from + count === longest;
    context.initBatch(count * parts.length);
    for (const { sequence, position, ids } of parts) {
      const wanted = last ? Uint32Array.of(count - 1) : new Uint32Array(0);
      context.addToBatch(sequence, position + from, Uint32Array.from(ids.slice(from, from + count)), wanted);
    }
    await context.decodeBatch();
  }
}
