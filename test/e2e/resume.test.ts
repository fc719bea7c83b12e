// Content that the store has is not sent again, and an upload that broke off goes on: the real client on the real service,
// and what they sent counted.
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { appendFile, cp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { LogModelResponse, ModelwireClient, UploadProgress } from "@modelwire/client";
import { createClient } from "@modelwire/client";
import { ModelStatus } from "@modelwire/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MODEL, type Service, spawnService, startService, temporaryFolder } from "./service.ts";

const WEIGHTS = 24 << 20;

const cleanups: (() => unknown)[] = [];
let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  await cp(MODEL, folder, { recursive: true });
  await writeFile(join(folder, "weights.bin"), randomBytes(WEIGHTS));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function service(flags: readonly string[] = []): Promise<Service> {
  const started = await startService(flags);
  cleanups.push(() => started.close());
  return started;
}

interface Logged extends LogModelResponse {
  progress: UploadProgress;
}

async function log(
  client: ModelwireClient,
  onProgress = (_: UploadProgress) => {},
  signal?: AbortSignal,
): Promise<Logged> {
  let last: UploadProgress | undefined;
  const logged = await client.models.log(folder, {
    name: "m",
    signal,
    onProgress: (progress) => {
      last = progress;
      onProgress(progress);
    },
  });
  return { ...logged, progress: last as UploadProgress };
}

/** Logs until so many bytes of the upload have been sent, then leaves; resolves when the server has given it up. */
async function breakOff(client: ModelwireClient, bytes: number): Promise<void> {
  const abort = new AbortController();
  const failed = async () =>
    (await client.models.searchModels({ name: "m" })).models.filter(({ status }) => status === ModelStatus.FAILED)
      .length;
  const before = await failed();
  const leave = ({ bytesSent }: UploadProgress) => bytesSent >= bytes && abort.abort();
  await expect(log(client, leave, abort.signal)).rejects.toMatchObject({ code: 1 });
  await expect.poll(failed, { timeout: 10_000 }).toBe(before + 1);
}

const sizeOf = async (name: string) => (await stat(join(folder, name))).size;

const digestOf = async (file: string) =>
  createHash("sha256")
    .update(await readFile(file))
    .digest("hex");

/** Every uploaded file lies in the store as it lies here. */
async function expectWhole({ model }: LogModelResponse): Promise<void> {
  const stored = join(model?.artifactLocation ?? "", "model");
  for (const name of await readdir(folder))
    expect(await digestOf(join(stored, name)), name).toBe(await digestOf(join(folder, name)));
}

const keptIn = async (store: string) => await readdir(join(store, "mlruns/.modelwire-kept")).catch(() => []);

describe("content that the store has", () => {
  test("the second version of a model with one changed file sends only that file", async () => {
    const { client } = await service();
    const first = await log(client);
    expect(first.progress).toMatchObject({ bytesReused: 0, filesReused: 0, bytesSent: first.progress.bytesTotal });
    await appendFile(join(folder, "genai_config.json"), "\n");
    const second = await log(client);
    expect(second.progress).toMatchObject({
      bytesSent: await sizeOf("genai_config.json"),
      filesSent: 1,
      filesReused: second.progress.filesTotal - 1,
    });
    expect(second.progress.bytesReused + second.progress.bytesSent).toBe(second.progress.bytesTotal);
    await expectWhole(second);
  });

  test("is used of deleted models too, and the new model's files are its own", async () => {
    const { client } = await service();
    const first = await log(client);
    await client.models.deleteModel({ model: first.model?.modelId });
    const second = await log(client);
    expect(second.progress.bytesSent).toBe(0);
    await truncate(join(first.model?.artifactLocation ?? "", "model/weights.bin"), 5);
    await expectWhole(second);
  });

  test("but was changed behind its back is sent again, and never taken", async () => {
    const { client } = await service();
    const first = await log(client);
    const file = join(first.model?.artifactLocation ?? "", "model/weights.bin");
    await writeFile(file, randomBytes(WEIGHTS));
    const second = await log(client);
    expect(second.progress).toMatchObject({ bytesSent: WEIGHTS, filesSent: 1, attempt: 2 });
    await expectWhole(second);
  });

  test("is found by another process on the same store", async () => {
    const { client, store } = await service();
    await log(client);
    const other = await spawnService(store);
    const there = createClient(other.address, { retry: false });
    cleanups.push(async () => {
      there.close();
      other.child.kill("SIGTERM");
      await other.exit;
    });
    const second = await log(there);
    expect(second.progress.bytesSent).toBe(0);
    expect((await log(client)).progress.bytesSent).toBe(0);
  });

  test("counts for the limit of a model's bytes", async () => {
    const { client } = await service(["--max-model-bytes", String(WEIGHTS + (12 << 20))]);
    await log(client);
    await cp(join(folder, "weights.bin"), join(folder, "copy.bin"));
    await expect(log(client)).rejects.toMatchObject({ reason: "LIMIT_EXCEEDED" });
  });
});

describe("an upload that broke off", () => {
  test("when the client left goes on where it was", async () => {
    const { client, store } = await service();
    await breakOff(client, WEIGHTS);
    const { progress, ...logged } = await log(client);
    expect(progress.bytesReused + progress.bytesSent).toBe(progress.bytesTotal);
    expect(progress.bytesReused).toBeGreaterThan(WEIGHTS / 4);
    await expectWhole(logged);
    expect(await keptIn(store)).toEqual([]);
  });

  test("when the server was killed goes on where it was", async () => {
    const store = await temporaryFolder();
    cleanups.push(() => rm(store, { recursive: true, force: true }));
    const start = async () => {
      const server = await spawnService(store);
      const client = createClient(server.address, { retry: false });
      cleanups.push(async () => {
        client.close();
        server.child.kill("SIGKILL");
        await server.exit;
      });
      return { server, client };
    };
    const first = await start();
    const kill = ({ bytesSent }: UploadProgress) => bytesSent > WEIGHTS && first.server.child.kill("SIGKILL");
    await expect(log(first.client, kill)).rejects.toMatchObject({ code: 14 });
    await first.server.exit;
    const { progress, ...logged } = await log((await start()).client);
    expect(progress.bytesReused + progress.bytesSent).toBe(progress.bytesTotal);
    expect(progress.bytesReused).toBeGreaterThan(WEIGHTS / 4);
    await expectWhole(logged);
  });

  test("when the connection was cut goes on by itself, under one request id", async () => {
    const { address, client: direct } = await service();
    const proxy = await cuttingProxy(address, WEIGHTS);
    const client = createClient(proxy.address);
    cleanups.push(async () => {
      client.close();
      await proxy.close();
    });
    const logging = log(client);
    await proxy.cut;
    const failed = async () => (await direct.models.searchModels({ name: "m" })).models[0]?.status;
    await expect.poll(failed, { timeout: 10_000 }).toBe(ModelStatus.FAILED);
    proxy.goOn();
    const { progress, ...logged } = await logging;
    expect(progress.attempt).toBeGreaterThan(1);
    expect(progress.bytesReused).toBeGreaterThan(WEIGHTS / 4);
    await expectWhole(logged);
    const { models } = await direct.models.searchModels({ name: "m" });
    expect(models.filter(({ status }) => status === ModelStatus.READY)).toHaveLength(1);
  });

  test("and left a poisoned beginning is refused once, and then sent whole", async () => {
    const { client, store } = await service();
    await breakOff(client, WEIGHTS);
    const part = (await keptIn(store)).find((name) => name.endsWith(`-${WEIGHTS}`)) ?? "";
    const path = join(store, "mlruns/.modelwire-kept", part);
    await writeFile(path, randomBytes((await stat(path)).size));
    await expect(log(client)).rejects.toMatchObject({ reason: "DIGEST_MISMATCH", metadata: { path: "weights.bin" } });
    expect((await keptIn(store)).filter((name) => name.endsWith(`-${WEIGHTS}`))).toEqual([]);
    const { progress, ...logged } = await log(client);
    expect(progress.bytesSent).toBe(WEIGHTS);
    await expectWhole(logged);
  });

  test("since the folder was no model keeps the files that were right", async () => {
    const { client } = await service();
    const config = await readFile(join(folder, "genai_config.json"), "utf8");
    await writeFile(join(folder, "genai_config.json"), "{}");
    await expect(log(client)).rejects.toMatchObject({ reason: "MODEL_INVALID" });
    await writeFile(join(folder, "genai_config.json"), config);
    const { progress, ...logged } = await log(client);
    expect(progress).toMatchObject({ bytesSent: Buffer.byteLength(config), filesSent: 1 });
    await expectWhole(logged);
  });

  test("is taken by one of two uploads that go on at once; both come through", async () => {
    const { client } = await service();
    await breakOff(client, WEIGHTS);
    const both = await Promise.all([log(client), log(client)]);
    expect(new Set(both.map(({ model }) => model?.modelId)).size).toBe(2);
    for (const logged of both) await expectWhole(logged);
  });
});

/** A way to a server that is cut after so many bytes, and then holds up who comes until it may go on. */
async function cuttingProxy(address: string, bytes: number) {
  const [host = "", port = ""] = address.split(":");
  const sockets = new Set<Socket>();
  let cutOff = () => {};
  let goOn = () => {};
  const cut = new Promise<void>((resolve) => {
    cutOff = resolve;
  });
  const open = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let isCut = false;
  const proxy: Server = createServer(async (client) => {
    if (isCut) await open;
    const server = connect(Number(port), host);
    let passed = 0;
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on("data", (data) => {
      passed += data.length;
      if (isCut || passed < bytes) return;
      isCut = true;
      client.destroy();
      cutOff();
    });
    client.pipe(server);
    server.pipe(client);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const bound = proxy.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");
  return {
    address: `127.0.0.1:${bound.port}`,
    cut,
    goOn,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, "close");
    },
  };
}
