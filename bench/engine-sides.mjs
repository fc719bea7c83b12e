// The sides of `npm run bench -- engine`: which processes they are, and how each plays a load. Ours are the service over
// gRPC, the engine in process and the runner alone. One is asked at a time; the others sleep.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { logModel, startServiceSide } from "./engine-service.mjs";
import { startSide } from "./peers/side.mjs";
import { checkPlayed } from "./played.mjs";

/** Every side that plays loads, by name. `process` names those that share one; `fields` go with what it is sent. */
export const sides = {
  modelwire: { process: "modelwire" },
  "in process": { process: "in process" },
  "genai one": { process: "genai", fields: { how: "one" } },
  "genai engine": { process: "genai", fields: { how: "engine" } },
  "llama auto": { process: "llama", fields: { variant: "auto" } },
  "llama off": { process: "llama", fields: { variant: "off" } },
  "llama q8": { process: "llama", fields: { variant: "q8" } },
  "node loop": { process: "node loop" },
};

/** Tokens that a cache of ours may hold: what has been computed stays in it until others need the room. */
const cacheTokens = 16_384;

export const ours = "modelwire";
export const llama = ["llama auto", "llama off", "llama q8"];

/** The processes, started when first asked for. */
export class Sides {
  /** What each process said of itself. */
  versions = {};
  #paths;
  #threads;
  #running = new Map();
  #logged;
  #stopping;

  /** `paths`: onnx, gguf, python, llama, packed. */
  constructor(paths, threads) {
    this.#paths = paths;
    this.#threads = threads;
  }

  /**
   * The times of every token of a load, in ms from its beginning.
   * @throws Error with the side's reason, or because it gave other numbers of tokens
   */
  async play(name, load) {
    const side = await this.side(name);
    await asleep();
    const started = performance.now();
    try {
      const times =
        name === ours ? await side.play(load) : (await side.ask({ do: "play", load, ...sides[name].fields })).times;
      checkPlayed(load, times);
      return times;
    } finally {
      tell(name, `a load of ${load.length}`, started);
    }
  }

  /** @throws Error with the side's reason */
  async ask(name, request) {
    const side = await this.side(name);
    await asleep();
    return await side.ask(request);
  }

  /** The process of a side. */
  async side(name) {
    const { process: key } = sides[name];
    const running = this.#running.get(key);
    if (running && !running.gone) return running;
    const started = performance.now();
    const side = await this.#start(key);
    side.startMs = performance.now() - started;
    tell(key, "started", started);
    this.versions[key] = side.facts.version;
    this.#running.set(key, side);
    return side;
  }

  /** Private and resident memory of a side's process in bytes, mapped files that others share among the latter. */
  async memory(name) {
    const { pid } = await this.side(name);
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const bytes = (field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
    return { private: bytes("RssAnon"), resident: bytes("VmRSS") };
  }

  async stop(name) {
    const { process: key } = sides[name];
    const side = this.#running.get(key);
    this.#running.delete(key);
    await side?.stop();
  }

  /** Ends every process, then takes the service's store away. Two at the same time are one. */
  async stopAll() {
    this.#stopping ??= this.#stopAll().finally(() => {
      this.#stopping = undefined;
    });
    await this.#stopping;
  }

  async #stopAll() {
    for (const name of Object.keys(sides)) await this.stop(name);
    this.#logged?.remove();
    this.#logged = undefined;
  }

  async #start(key) {
    const { onnx, gguf, python, llama: module, packed } = this.#paths;
    if (key === ours) {
      if (!this.#logged) {
        const started = performance.now();
        this.#logged = await logModel({ onnx, packed }, { threads: this.#threads, cacheTokens });
        tell(key, "the model is in its store", started);
        // The first load may pack the weights, which the next ones find.
        await (await startServiceSide(this.#logged)).stop();
      }
      return await startServiceSide(this.#logged);
    }
    const start = (command, file, options) => {
      const script = fileURLToPath(new URL(`peers/${file}`, import.meta.url));
      return startSide(key, command, [script, JSON.stringify({ threads: this.#threads, ...options })]);
    };
    if (key === "genai") return await start(python, "genai.py", { model: onnx });
    if (key === "llama") return await start(process.execPath, "llama.mjs", { model: gguf, module });
    if (key === "node loop") return await start(process.execPath, "node-loop.mjs", { model: onnx });
    return await start(process.execPath, "engine.mjs", { model: onnx, packed, cacheTokens });
  }
}

/** Progress, where it is seen and not in the way of what is printed. */
function tell(name, what, started) {
  console.error(`${name}: ${what} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

/** Time in which threads that spin after a run go to sleep. */
async function asleep() {
  await new Promise((resolve) => setTimeout(resolve, 400));
}
