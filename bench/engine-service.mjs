// Our side of `npm run bench -- engine` as its users have it: a service process with the model in its store, asked over
// gRPC by this one. A prompt is one message whose characters are its tokens (models/tokenizer.mjs), and the model's chat
// template adds nothing, so that the service computes the very ids that the peers are given.
import { cpSync, linkSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@modelwire/client";
import { phi3Mini } from "./models/geometry.mjs";
import { textOf, writeTokenizer } from "./models/tokenizer.mjs";
import { startService } from "./service.mjs";

/**
 * Random weights soon say the same few tokens again and again, which an engine that guesses ahead would profit from and no
 * real text does. So what has been said is made unlikely: the likeliest token is taken as before, of what is left.
 */
const unlikeItself = { repetitionPenalty: 10 };
const files = ["model.onnx", "model.onnx.data", "genai_config.json"];

/** The bundled model, which the service is warmed with: what is measured is a service that has been in use for a while. */
const bundled = fileURLToPath(new URL("../models/tiny-phi3/onnx", import.meta.url));

/** What a service needs on its disk: a store with the model, which `remove` takes away. */
export async function logModel({ onnx, packed }, { threads, cacheTokens }) {
  const work = mkdtempSync(join(tmpdir(), "modelwire-bench-"));
  const remove = () => rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  try {
    const [folder, store] = [join(work, "model"), join(work, "store")];
    mkdirSync(folder);
    for (const file of files) linkOrCopy(join(onnx, file), join(folder, file));
    writeTokenizer(folder, phi3Mini);
    mkdirSync(store);
    const settings = { threads, "max-sequences": 16, "cache-tokens": cacheTokens, "packed-weights": packed };
    const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const service = await startService(store, flags);
    const client = createClient(service.address);
    try {
      const { model } = await client.models.log(folder, { name: "bench" });
      await client.models.log(bundled, { name: "bundled" });
      return { store, flags, modelId: model.modelId, remove };
    } finally {
      client.close();
      await service.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  } catch (error) {
    remove();
    throw error;
  }
}

/** Starts the service and loads the model. `facts.startMs` is from the start of the process on. */
export async function startServiceSide({ store, flags, modelId }) {
  const started = performance.now();
  const service = await startService(store, flags);
  const client = createClient(service.address);
  const { model } = await client.serving.loadModel({ model: modelId });
  const startMs = performance.now() - started;
  await warm(client);
  return new ServiceSide(service, client, model, startMs);
}

/** Thousands of tokens of the bundled model: after them the code on a token's way is compiled, on both ends. */
async function warm(client) {
  const options = { maxTokens: 500, temperature: 0, ignoreEos: true };
  const request = (i) => ({ model: "bundled", messages: [{ role: "user", content: `warm ${i}` }], options });
  for (let round = 0; round < 2; round += 1) {
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        for await (const _event of client.chat.streamChat(request(i)));
      }),
    );
  }
  await client.serving.unloadModel({ model: "bundled" });
}

class ServiceSide {
  facts;
  #service;
  #client;
  #modelId;

  constructor(service, client, { modelId, runner }, startMs) {
    this.#service = service;
    this.#client = client;
    this.#modelId = modelId;
    this.facts = { startMs, version: `Modelwire through gRPC, ${runner.kernels}` };
  }

  get pid() {
    return this.#service.pid;
  }

  /** Plays a load: each request is a stream of its own. Gives the times at which its tokens were here. */
  async play(load) {
    const began = performance.now();
    const answers = load.map(async ({ at, prompt, n }) => {
      if (at > 0) await new Promise((resolve) => setTimeout(resolve, at * 1000));
      const times = [];
      await this.ask([{ role: "user", ids: prompt }], n, {
        onTokens: (count, now) => times.push(...Array(count).fill(now - began)),
      });
      return times;
    });
    return await Promise.all(answers);
  }

  /**
   * One greedy answer of `n` tokens to a conversation of {role, ids}; gives its ids, its usage and when it began.
   * @param onTokens called with how many came, and when
   */
  async ask(messages, n, { onTokens = () => {}, signal } = {}) {
    const request = {
      model: this.#modelId,
      messages: messages.map(({ role, ids }) => ({ role, content: textOf(ids) })),
      options: { ...unlikeItself, maxTokens: n, temperature: 0, ignoreEos: true },
    };
    const started = performance.now();
    const ids = [];
    let firstMs;
    let done;
    for await (const { event } of this.#client.chat.streamChat(request, { signal })) {
      const now = performance.now();
      if (event.case === "done") done = event.value;
      if (event.case !== "delta" || event.value.tokenIds.length === 0) continue;
      firstMs ??= now - started;
      ids.push(...event.value.tokenIds);
      onTokens(event.value.tokenIds.length, now);
    }
    return { ids, firstMs, usage: done.usage };
  }

  async stop() {
    this.#client.close();
    await this.#service.stop();
  }
}

/** A folder on another file system holds a copy. */
function linkOrCopy(from, to) {
  try {
    linkSync(from, to);
  } catch {
    cpSync(from, to);
  }
}
