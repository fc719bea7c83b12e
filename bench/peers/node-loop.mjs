// What one writes oneself with onnxruntime-node: `session.run` in a loop, the outputs of a step, keys and values with them,
// given to the next. One request at a time, the likeliest token. A side of `npm run bench -- engine`, one load per line:
//   node bench/peers/node-loop.mjs '{"model": FOLDER, "threads": N}'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { answerLines } from "./answer-lines.mjs";

const { model: folder, threads } = JSON.parse(process.argv[2]);
const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json");
const { decoder } = JSON.parse(readFileSync(join(folder, "genai_config.json"), "utf8")).model;
const { num_hidden_layers: layers, num_key_value_heads: kvHeads, head_size: headSize } = decoder;

await answerLines(
  async () => {
    const session = await InferenceSession.create(join(folder, decoder.filename), { intraOpNumThreads: threads });
    return { session, facts: { version: `onnxruntime-node ${version}` } };
  },
  {
    async play({ session }, { load }) {
      const began = performance.now();
      const times = [];
      for (const { at, prompt, n } of load) {
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + at * 1000 - performance.now())));
        times.push(await answer(session, prompt, n, began));
      }
      return { times };
    },
  },
);

async function answer(session, prompt, n, began) {
  const times = [];
  let ids = prompt;
  let length = 0;
  let cache = noCache();
  while (times.length < n) {
    length += ids.length;
    const { logits, ...present } = await session.run({
      input_ids: new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
      attention_mask: new Tensor("int64", new BigInt64Array(length).fill(1n), [1, length]),
      ...cache,
    });
    ids = [likeliest(logits)];
    times.push(performance.now() - began);
    cache = Object.fromEntries(Object.entries(present).map(([name, tensor]) => [pastOf(name), tensor]));
  }
  return times;
}

function noCache() {
  const empty = () => new Tensor("float32", new Float32Array(0), [1, kvHeads, 0, headSize]);
  const names = Array.from({ length: layers }, (_, i) => [`present.${i}.key`, `present.${i}.value`]).flat();
  return Object.fromEntries(names.map((name) => [pastOf(name), empty()]));
}

function pastOf(name) {
  return name.replace("present", "past_key_values");
}

/** Of the last position. */
function likeliest({ data, dims }) {
  const vocabulary = dims.at(-1);
  const first = data.length - vocabulary;
  let best = 0;
  for (let id = 1; id < vocabulary; id += 1) if (data[first + id] > data[first + best]) best = id;
  return best;
}
