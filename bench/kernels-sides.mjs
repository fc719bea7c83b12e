// The sides of `npm run bench -- kernels`: which processes they are, how much memory they take, which figures they give.
// A peer that is not asked sleeps: a thread that spins on one of two cores would be measured with the others.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { phi3Mini } from "./models/geometry.mjs";
import { startSide } from "./peers/side.mjs";

const { layers, kvHeads, headSize, vocabulary, intermediate, heads } = phi3Mini;
/** Keys and values of one token. */
const kvValues = 2 * layers * kvHeads * headSize;
const f32 = kvValues * 4;
const f16 = kvValues * 2;

/**
 * Every side by name. `process` names those that share one; `kv` is bytes of keys and values per token; `fields` go with
 * every line it is sent.
 */
export const sides = {
  "native f16": { process: "native f16", kv: f16 },
  "native f32": { process: "native f32", kv: f32 },
  "native int8": { process: "native int8", kv: undefined },
  "native avx2": { process: "native avx2", kv: f16 },
  stock: { process: "stock", kv: f32 },
  genai: { process: "genai", kv: f32 },
  "llama auto": { process: "llama", kv: f16, fields: { variant: "auto" } },
  "llama off": { process: "llama", kv: f16, fields: { variant: "off" } },
  "llama q8": { process: "llama", kv: (kvValues / 32) * 34, fields: { variant: "q8" } },
};

/** The processes, started when first asked for. */
export class Sides {
  #paths;
  #threads;
  #running = new Map();

  /** `paths`: onnx, gguf, python, llama, packed. */
  constructor(paths, threads) {
    this.#paths = paths;
    this.#threads = threads;
  }

  /** What the process of a side said when it had loaded. */
  async facts(name) {
    return (await this.#process(name)).facts;
  }

  /** @throws Error with the side's reason */
  async ask(name, request) {
    const one = await this.#process(name);
    await asleep();
    const started = performance.now();
    try {
      return await one.ask({ ...request, ...sides[name].fields });
    } finally {
      tell(name, Object.values(request).join(" "), started);
    }
  }

  /** Ends the process of a side. */
  async stop(name) {
    const key = sides[name].process;
    await this.#running.get(key)?.stop();
    this.#running.delete(key);
  }

  async stopAll() {
    for (const name of Object.keys(sides)) await this.stop(name);
  }

  async #process(name) {
    const key = sides[name].process;
    const running = this.#running.get(key);
    if (running && !running.gone) return running;
    const began = performance.now();
    const started = await this.#start(key);
    tell(key, "started", began);
    this.#running.set(key, started);
    return started;
  }

  #start(key) {
    const { onnx, gguf, python, llama, packed } = this.#paths;
    const threads = this.#threads;
    const script = (file) => fileURLToPath(new URL(`peers/${file}`, import.meta.url));
    const start = (command, file, options, env) =>
      startSide(key, command, [script(file), JSON.stringify({ threads, ...options })], env);
    if (key === "genai") return start(python, "genai.py", { model: onnx });
    if (key === "llama") return start(process.execPath, "llama.mjs", { model: gguf, module: llama });
    const runner = key === "stock" ? "stock" : "native";
    const cacheType = { "native f32": "float32", "native int8": "int8" }[key] ?? "float16";
    const env = key === "native avx2" ? { MODELWIRE_KERNELS: "avx2" } : {};
    return start(process.execPath, "runner.mjs", { model: onnx, runner, cacheType, packed }, env);
  }
}

/**
 * Bytes that a side takes while it holds `batch` sequences of `context` tokens; genai's prompt of `atOnce` tokens, for all
 * of them in one run, has logits, activations and a score for every pair of positions.
 */
export function bytesOf(name, batch, context, steps, atOnce = context) {
  const tokens = batch * (context + steps);
  const cache = tokens * (sides[name].kv ?? f16);
  if (name.startsWith("llama")) return batch * Math.ceil((context + steps) / 256) * 256 * sides[name].kv;
  if (name !== "genai") return cache;
  const activations = batch * atOnce * 4 * (vocabulary + 4 * intermediate + 3 * heads * headSize);
  return cache + activations + batch * heads * atOnce * (context + steps) * 4;
}

/** Bytes that can be taken now without moving anything else out. */
export function availableBytes() {
  if (process.platform !== "linux") return Number.POSITIVE_INFINITY;
  return Number(/MemAvailable:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))[1]) * 1024;
}

/** Progress, where it is seen and not in the way of what is printed. */
function tell(name, what, started) {
  console.error(`${name}: ${what} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

/** Time in which threads that spin after a run go to sleep. */
async function asleep() {
  await new Promise((resolve) => setTimeout(resolve, 400));
}
