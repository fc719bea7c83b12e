// Which runner a service takes, what it tells of it, and where packed weights go, through the real client.
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StreamLoadModelResponse } from "@modelwire/proto";
import { afterEach, expect, test } from "vitest";
import { CacheType, NodePlace, PackedWeightsSource, RunnerKind } from "../../client/index.ts";
import { MODEL, type Service, startService, temporaryFolder } from "./service.ts";

const HALVES = fileURLToPath(new URL("../fixtures/onnx/tiny-fp16", import.meta.url));
const SPAIN = [{ role: "user", content: "What is the capital of Spain?" }];

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function started(flags: readonly string[]): Promise<Service> {
  const service = await startService(flags);
  cleanups.push(() => service.close());
  return service;
}

async function folder(): Promise<string> {
  const path = await temporaryFolder();
  cleanups.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Logs and loads a folder. */
async function load({ client }: Service, path = MODEL): Promise<StreamLoadModelResponse[]> {
  const { model } = await client.models.log(path, { name: "one" });
  const events: StreamLoadModelResponse[] = [];
  for await (const event of client.serving.streamLoadModel({ model: model?.modelId ?? "" })) events.push(event);
  return events;
}

function loadedOf(events: readonly StreamLoadModelResponse[]) {
  const last = events.at(-1)?.event;
  if (last?.case !== "model") throw new Error("the last message is no model");
  return last.value;
}

test("the native runner is taken by itself; its weights are packed once and found by the next service", async () => {
  const packedWeights = join(await folder(), "packed");
  const flags = ["--packed-weights", packedWeights];
  const first = await started(flags);
  const events = await load(first);
  const progress = events.slice(0, -1).map(({ event }) => (event.case === "packing" ? event.value : undefined));
  expect(progress.length).toBeGreaterThan(0);
  expect(progress.at(-1)?.bytesDone).toBe(progress.at(-1)?.bytesTotal);
  const { runner, warnings } = loadedOf(events);
  expect(runner).toMatchObject({
    kind: RunnerKind.NATIVE,
    cacheType: CacheType.FLOAT16,
    cacheBytesPerToken: BigInt(2 * 4 * 4 * 48 * 2), // keys and values, layers, heads, head size, bytes
    packedWeights: PackedWeightsSource.PACKED,
  });
  expect(runner?.kernels).toMatch(/^(avx|neon)/);
  expect(warnings).toEqual([]);
  expect((await readdir(packedWeights)).filter((name) => name.endsWith(".packed"))).toHaveLength(1);
  expect((await first.client.chat.complete({ model: "one", messages: SPAIN, temperature: 0 })).text).toContain(
    "Madrid",
  );

  expect(loadedOf(await load(await started(flags))).runner?.packedWeights).toBe(PackedWeightsSource.CACHE);
});

test("a cache that cannot be written costs memory and a warning, not the model", async () => {
  const path = join(await folder(), "file");
  await writeFile(path, "no folder");
  const service = await started(["--packed-weights", path]);
  const { runner, warnings } = loadedOf(await load(service));
  expect(runner?.packedWeights).toBe(PackedWeightsSource.MEMORY);
  expect(warnings.join()).toMatch(/packed weights/i);
  const { text } = await service.client.chat.complete({ model: "one", messages: SPAIN, temperature: 0 });
  expect(text).toContain("Madrid");
});

test("the stock runner when the server is told so, with what each node does there", async () => {
  const service = await started(["--runner", "stock"]);
  const { runner } = loadedOf(await load(service));
  expect(runner).toMatchObject({ kind: RunnerKind.STOCK, kernels: "", cacheType: CacheType.FLOAT32 });
  expect(runner?.reason).toContain("told to");
  const { nodes } = await service.client.serving.inspectModel({ model: "one" });
  expect(new Set(nodes.map(({ place }) => place))).toEqual(new Set([NodePlace.ONNXRUNTIME]));
});

test("a model that the native runner does not know runs on the stock one, or is refused where only native will do", async () => {
  const auto = await started([]);
  const { runner } = loadedOf(await load(auto, HALVES));
  expect(runner?.kind).toBe(RunnerKind.STOCK);
  expect(runner?.reason).toMatch(/GroupQueryAttention.*float32/);
  const inspected = await auto.client.serving.inspectModel({ model: "one" });
  // What is told before it is loaded is what it is.
  expect(runner?.cacheType).toBe(CacheType.FLOAT16);
  expect(inspected.runner).toEqual(runner);

  const native = await started(["--runner", "native"]);
  await expect(load(native, HALVES)).rejects.toMatchObject({
    reason: "MODEL_INVALID",
    message: expect.stringMatching(/native/),
  });
});

test("inspect tells of a graph that is not loaded, node by node", async () => {
  const { client } = await started(["--cache-type", "int8"]);
  await client.models.log(MODEL, { name: "one" });
  const { runner, nodes } = await client.serving.inspectModel({ model: "one" });
  expect(runner).toMatchObject({ kind: RunnerKind.NATIVE, cacheType: CacheType.INT8 });
  const products = nodes.filter(({ operator }) => operator === "com.microsoft.MatMulNBits");
  expect(products.map(({ place }) => place)).toEqual(products.map(() => NodePlace.MODELWIRE));
  expect(products.flatMap(({ names }) => names)).toHaveLength(21);
  expect(nodes.find(({ operator }) => operator === "com.microsoft.GroupQueryAttention")).toMatchObject({
    place: NodePlace.MODELWIRE,
    names: Array.from({ length: 4 }, (_, i) => expect.stringContaining(`layers.${i}`)),
  });
  expect((await client.serving.listLoadedModels({})).models).toEqual([]);
});
