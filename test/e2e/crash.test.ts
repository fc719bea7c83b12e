// kill −9 of the real process at many points of an upload: what was acknowledged is whole, nothing is half.
import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createClient, type ModelwireClient } from "@modelwire/client";
import { ModelStatus } from "@modelwire/proto";
import { afterEach, expect, test } from "vitest";
import { MODEL, type ServiceProcess, spawnService, temporaryFolder } from "./service.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function freshStore(): Promise<string> {
  const store = await temporaryFolder();
  cleanups.push(() => rm(store, { recursive: true, force: true }));
  return store;
}

async function start(store: string): Promise<{ server: ServiceProcess; client: ModelwireClient }> {
  const server = await spawnService(store, ["--grace-ms", "0"]);
  const client = createClient(server.address, { retry: false });
  cleanups.push(async () => {
    client.close();
    server.child.kill("SIGKILL");
    await server.exit;
  });
  return { server, client };
}

async function digestOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

/** Every file of every model folder, whichever program finds it. */
async function foldersOnDisk(store: string): Promise<string[]> {
  const entries = await readdir(join(store, "mlruns"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name === "MLmodel").map((entry) => entry.parentPath);
}

test("kill −9 during uploads: every acknowledged model is there, what is there is whole, and nothing is left on the way", async () => {
  const store = await freshStore();
  const acknowledged: string[] = [];
  let survivor: ModelwireClient | undefined;
  for (let round = 0; round < 7; round += 1) {
    const { server, client } = await start(store);
    survivor = client;
    acknowledged.push((await client.models.log(MODEL, { name: `whole-${round}` })).model?.modelId ?? "");
    if (round === 6) break;
    // Dies when a sixth, two sixths … of the next upload has been sent; the last time, when all has.
    const dies = client.models
      .log(MODEL, {
        name: `half-${round}`,
        onProgress: ({ bytesSent, bytesTotal }) => {
          if (bytesSent >= (bytesTotal * (round + 1)) / 6) server.child.kill("SIGKILL");
        },
      })
      .then(
        ({ model }) => acknowledged.push(model?.modelId ?? ""),
        () => undefined,
      );
    await dies;
    server.child.kill("SIGKILL");
    expect((await server.exit).signal).toBe("SIGKILL");
  }
  const client = survivor as ModelwireClient;
  const ready: string[] = [];
  for await (const { modelId, status } of client.models.searchAll()) {
    expect(status).not.toBe(ModelStatus.PENDING);
    if (status === ModelStatus.READY) ready.push(modelId);
  }
  // One that was killed between its commit and its answer is READY without its caller knowing; it must be whole as well.
  expect(ready).toEqual(expect.arrayContaining(acknowledged));
  for (const modelId of ready) {
    const folder = await freshStore();
    const { files } = await client.models.listArtifacts({ model: modelId });
    await client.models.download(modelId, folder);
    for (const { path, sha256 } of files) expect(await digestOf(join(folder, path))).toBe(sha256);
    for (const name of await readdir(MODEL))
      expect(await digestOf(join(folder, "model", name))).toBe(await digestOf(join(MODEL, name)));
  }
  expect(await foldersOnDisk(store)).toHaveLength(ready.length);
  const answer = await client.chat.complete({
    model: ready.at(-1) ?? "",
    messages: [{ role: "user", content: "What is the capital of Spain?" }],
  });
  expect(answer.text).toContain("Madrid");
}, 120_000);

test("the same request_id after a crash gives the first model again and writes nothing", async () => {
  const store = await freshStore();
  const first = await start(store);
  const logged = await first.client.models.log(MODEL, { name: "once", requestId: "deploy-17" });
  first.server.child.kill("SIGKILL");
  await first.server.exit;
  const second = await start(store);
  const again = await second.client.models.log(MODEL, { name: "once", requestId: "deploy-17" });
  expect(again.model?.modelId).toBe(logged.model?.modelId);
  expect((await second.client.models.searchModels({})).models).toHaveLength(1);
  await expect(second.client.models.log(MODEL, { name: "another", requestId: "deploy-17" })).rejects.toMatchObject({
    reason: "REQUEST_ID_REUSED",
  });
}, 60_000);
