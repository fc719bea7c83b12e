// Several models under one budget of memory: the real service, its worker, and copies of the bundled model.
import { rm } from "node:fs/promises";
import { createClient, type ModelwireClient } from "@modelwire/client";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../server/config.ts";
import { startServer } from "../../server/serve.ts";
import { MODEL, temporaryFolder } from "../e2e/service.ts";

const NAMES = ["a", "b", "c", "d"];
/** Of the bundled model with a cache of this many tokens: about 3.6 MB of weights and 3.1 MB of cache. */
const CACHE = ["--cache-tokens", "1024"];
const FOR_TWO = ["--model-memory-bytes", "16000000", ...CACHE];

let store: string;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A service on the store of the four models. */
async function serve(flags: readonly string[]): Promise<ModelwireClient> {
  const quiet = ["--port", "0", "--store", store, "--log-level", "silent", "--grace-ms", "5000"];
  const server = await startServer(parseConfig([...quiet, ...flags], {}));
  const client = createClient(server.address, { retry: false });
  cleanups.push(async () => {
    client.close();
    await server.drain();
  });
  return client;
}

const load = (client: ModelwireClient, model: string) => client.serving.loadModel({ model });
const unload = (client: ModelwireClient, model: string) => client.serving.unloadModel({ model });

async function loaded(client: ModelwireClient) {
  const { models } = await client.serving.listLoadedModels({});
  return { names: models.map(({ name }) => name), bytes: models.reduce((sum, m) => sum + Number(m.memoryBytes), 0) };
}

/** A chat that has begun and that nobody reads on: with what it tells of each token, its answer is more than can be on the way. */
async function heldChat(client: ModelwireClient, model: string) {
  const messages = [{ role: "user", content: "Tell me a joke about atoms." }];
  const stream = client.chat.stream({ model, messages, ignoreEos: true, maxTokens: 900, logprobs: 20 });
  const pieces = stream[Symbol.asyncIterator]();
  await pieces.next();
  return async () => {
    while (!(await pieces.next()).done);
    return (await stream.final()).usage.completionTokens;
  };
}

beforeAll(async () => {
  store = await temporaryFolder();
  const client = await serve([]);
  for (const name of NAMES) await client.models.log(MODEL, { name });
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => rm(store, { recursive: true, force: true }));

describe("a budget for two models", () => {
  test("the model that was not used for longest leaves for another one", async () => {
    const client = await serve(FOR_TWO);
    await load(client, "a");
    await load(client, "b");
    await client.tokenizer.countTokens({ model: "a", source: { case: "text", value: "used last" } });
    await load(client, "c");
    expect((await loaded(client)).names).toEqual(["a", "c"]);
  });

  test("a model whose answer somebody is reading is not given up, and who comes is told the sum", async () => {
    const client = await serve(FOR_TWO);
    const [readA, readB] = [await heldChat(client, "a"), await heldChat(client, "b")];
    await expect(load(client, "c")).rejects.toMatchObject({
      reason: "MODEL_MEMORY_FULL",
      codeName: "RESOURCE_EXHAUSTED",
      retryAfterMs: 1000,
      message: expect.stringMatching(
        /^c needs 6\.\d MB beside 13\.\d MB that cannot be freed: a \(m-\w+\) takes 6\.\d MB and is used by 1 call, b .* together, 4\.\d MB less than that\. Try again/,
      ),
    });
    expect(await readA()).toBe(900);
    // Now a is free, and b is still being read.
    await load(client, "c");
    expect((await loaded(client)).names).toEqual(["b", "c"]);
    expect(await readB()).toBe(900);
  });

  test("models that are asked for at once never take more than there is, and who is refused is told why", async () => {
    const client = await serve(FOR_TWO);
    for (let round = 0; round < 3; round += 1) {
      const outcomes = await Promise.allSettled(NAMES.map((name) => load(client, name)));
      const refused = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
      for (const error of refused) expect(error).toMatchObject({ reason: "MODEL_MEMORY_FULL" });
      expect(outcomes.length - refused.length).toBeGreaterThanOrEqual(2);
      const now = await loaded(client);
      expect(now.names.length).toBe(2);
      expect(now.bytes).toBeLessThanOrEqual(16_000_000);
    }
  });

  test("a model that is being loaded is loaded once, however many ask for it", async () => {
    const client = await serve(FOR_TWO);
    const answers = await Promise.all(Array.from({ length: 8 }, () => load(client, "a")));
    expect(new Set(answers.map(({ model }) => Number(model?.loadTime?.nanos))).size).toBe(1);
  });

  test("a model that is kept stays, however long it was not used", async () => {
    const client = await serve([...FOR_TWO, "--load", "a"]);
    // It is there before anybody asks.
    expect((await loaded(client)).names).toEqual(["a"]);
    await load(client, "b");
    await load(client, "c");
    expect((await loaded(client)).names).toEqual(["a", "c"]);
  });

  test("a model that is unloaded waits for its readers, and comes back for who asks meanwhile", async () => {
    const client = await serve(FOR_TWO);
    const read = await heldChat(client, "a");
    const gone = unload(client, "a");
    const back = load(client, "a");
    expect(await read()).toBe(900);
    await gone;
    await back;
    expect((await loaded(client)).names).toEqual(["a"]);
  });
});

test("a model that is larger than the budget is refused for good", async () => {
  const client = await serve(["--model-memory-bytes", "5000000", ...CACHE]);
  await expect(load(client, "a")).rejects.toMatchObject({
    reason: "MODEL_MEMORY_FULL",
    retryAfterMs: undefined,
    message: expect.stringMatching(/^a needs 6\.\d MB; models may take 5\.0 MB together, .* It never fits/),
  });
});

test("a service whose kept models do not fit does not start", async () => {
  await expect(serve(["--model-memory-bytes", "10000000", ...CACHE, "--load", "a,b"])).rejects.toMatchObject({
    reason: "MODEL_MEMORY_FULL",
    message: expect.stringContaining("kept by --load"),
  });
});

test("a cache takes at most half of what is free, so that others fit", async () => {
  const client = await serve(["--model-memory-bytes", "44000000"]);
  const first = (await load(client, "a")).model;
  const second = (await load(client, "b")).model;
  expect(Number(first?.memoryBytes)).toBeLessThan(25_000_000);
  expect(Number(first?.cacheTokens)).toBeGreaterThan(Number(second?.cacheTokens));
  expect(Number(second?.cacheTokens)).toBeGreaterThanOrEqual(2048);
  expect((await loaded(client)).names).toEqual(["a", "b"]);
});

test("a model that nobody asks for leaves after a while; a kept one does not", async () => {
  const client = await serve(["--keep-alive-ms", "20", "--load", "b"]);
  await load(client, "a");
  let names: string[];
  do ({ names } = await loaded(client));
  while (names.includes("a"));
  expect(names).toEqual(["b"]);
});
