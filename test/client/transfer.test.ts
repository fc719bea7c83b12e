// Models up and down, between folders on this machine and a server.
import { once } from "node:events";
import { appendFileSync, truncateSync, utimesSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ServiceHandlers } from "@modelwire/proto";
import { ApiError, ModelService } from "@modelwire/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelwireClient } from "../../client/index.ts";
import { Code, createClient } from "../../client/index.ts";
import { FakeModels, sha256 } from "./fake-models.ts";
import type { TestContext, TestServer } from "./test-server.ts";
import { startTestServer } from "./test-server.ts";

const FILES: Record<string, Buffer> = {
  "config.json": Buffer.from("{}"),
  empty: Buffer.alloc(0),
  "sub/weights.bin": Buffer.from(Array.from({ length: 700_001 }, (_, i) => (i * 31) % 251)),
  "sub/ä b.txt": Buffer.from("x"),
};

let folder: string;
let fake: FakeModels;
let server: TestServer;
let client: ModelwireClient;

async function start(handlers: Partial<ServiceHandlers<typeof ModelService, TestContext>> = {}) {
  fake = new FakeModels();
  server = await startTestServer();
  server.add(ModelService, { ...fake.handlers, ...handlers });
  client = createClient(server.address, { retry: { sleep: async () => {} } });
}

async function fill(files: Record<string, Buffer> = FILES, root = folder) {
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  }
}

/** Contents by their digest: comparing large buffers item by item takes seconds. */
function digests(files: Record<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)]));
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "modelwire-transfer-"));
});

afterEach(async () => {
  client?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

describe("log", () => {
  test("sends every file, byte for byte, in the order of the paths' bytes, in pieces of 256 KiB", async () => {
    await start();
    await fill();
    const response = await client.models.log(folder, {
      name: "n",
      tags: { a: "b" },
      step: 3,
      mlmodelMetadata: { k: "v" },
    });
    expect(response.model?.modelId).toBe("m-1");
    const stored = fake.models[0];
    expect(digests(Object.fromEntries(stored?.files ?? []))).toEqual(digests(FILES));
    expect(stored?.header).toMatchObject({ name: "n", tags: { a: "b" }, step: 3n, metadata: { k: "v" } });
    expect(fake.order).toEqual(["config.json", "empty", "sub/weights.bin", "sub/ä b.txt"]);
    expect(Math.max(...fake.chunkBytes)).toBe(256 * 1024);
  });

  test("reports progress that grows to the total", async () => {
    await start();
    await fill();
    const seen: number[] = [];
    let last = {};
    const onProgress = (progress: { bytesSent: number }) => {
      seen.push(progress.bytesSent);
      last = { ...progress };
    };
    await client.models.log(folder, { name: "n", onProgress });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    const total = Object.values(FILES).reduce((sum, bytes) => sum + bytes.length, 0);
    expect(last).toEqual({
      stage: "sending",
      path: "sub/ä b.txt",
      bytesHashed: total,
      bytesSent: total,
      bytesReused: 0,
      bytesTotal: total,
      filesSent: 4,
      filesReused: 0,
      filesTotal: 4,
      attempt: 1,
    });
  });

  test("begins again under the same request id when the server is UNAVAILABLE or still busy with the first try", async () => {
    const errors = [new ApiError("SHUTTING_DOWN", "x"), new ApiError("REQUEST_IN_PROGRESS", "x")];
    const ids: string[] = [];
    await start({
      logModel: async (requests, context) => {
        const error = errors.shift();
        if (!error) return fake.handlers.logModel(requests, context);
        for await (const { message } of requests) {
          if (message.case === "header") ids.push(message.value.requestId);
          if (message.case === "fileChunk") break;
        }
        throw error;
      },
    });
    await fill();
    await client.models.log(folder, { name: "n" });
    expect(fake.models).toHaveLength(1);
    expect(ids).toEqual([fake.models[0]?.header.requestId, fake.models[0]?.header.requestId]);
    expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("does not begin again after any other error, and stops reading at once", async () => {
    let calls = 0;
    await start({
      logModel: async (requests) => {
        calls++;
        for await (const { message } of requests) if (message.case === "fileStart") break;
        throw new ApiError("LIMIT_EXCEEDED", "too large");
      },
    });
    await fill({ big: Buffer.alloc(64 << 20) });
    let sent = 0;
    const onProgress = ({ bytesSent }: { bytesSent: number }) => {
      sent = bytesSent;
    };
    await expect(client.models.log(folder, { name: "n", onProgress })).rejects.toMatchObject({
      reason: "LIMIT_EXCEEDED",
    });
    expect(calls).toBe(1);
    expect(sent).toBeLessThan(32 << 20);
  });

  test("stops when the signal aborts", async () => {
    await start({
      logModel: async (_, { signal }) => {
        if (!signal.aborted) await once(signal, "abort");
        return {};
      },
    });
    await fill({ big: Buffer.alloc(16 << 20) });
    const abort = new AbortController();
    const logging = client.models.log(folder, {
      name: "n",
      signal: abort.signal,
      onProgress: () => abort.abort("enough"),
    });
    await expect(logging).rejects.toMatchObject({ code: Code.CANCELLED, cause: "enough" });
  });

  test.each([
    ["grows", (file: string) => appendFileSync(file, "more"), "grew beyond its 3000001 bytes"],
    ["shrinks", (file: string) => truncateSync(file, 1_000), "ended after"],
    ["is written to", (file: string) => utimesSync(file, 9, 9), "was written to"],
  ])("a file that %s while it is read ends the upload, which says so and names it", async (_, change, words) => {
    await start();
    await fill({ ...FILES, "sub/weights.bin": Buffer.alloc(3_000_001) });
    const file = join(folder, "sub/weights.bin");
    utimesSync(file, 1, 1);
    let changed = false;
    const onProgress = ({ bytesSent }: { bytesSent: number }) => {
      if (changed || bytesSent < 100_000) return;
      changed = true;
      change(file);
      if (words !== "was written to") utimesSync(file, 1, 1); // so that the size alone gives it away
    };
    await expect(client.models.log(folder, { name: "n", onProgress })).rejects.toMatchObject({
      code: Code.ABORTED,
      message: expect.stringMatching(new RegExp(`^sub/weights.bin ${words}.* while the folder was being sent`)),
    });
    expect(fake.models).toEqual([]);
  });

  test("a file that changed between the listing and its turn is not begun", async () => {
    await start();
    await fill();
    let changed = false;
    const onProgress = ({ stage, path }: { stage: string; path: string }) => {
      if (stage === "hashing" || path !== "config.json" || changed) return;
      changed = true;
      appendFileSync(join(folder, "sub/weights.bin"), "more");
    };
    await expect(client.models.log(folder, { name: "n", onProgress })).rejects.toThrow("had 700001 bytes and has");
    expect(fake.order).not.toContain("sub/weights.bin");
  });

  test("follows links that stay inside, and names every one that leaves or never ends", async () => {
    await start();
    await fill();
    await symlink("config.json", join(folder, "inside"));
    await client.models.log(folder, { name: "n" });
    expect(fake.models[0]?.files.get("inside")).toEqual(FILES["config.json"]);
    await symlink("/etc", join(folder, "outside"));
    await symlink("..", join(folder, "sub/loop"));
    await symlink("nowhere", join(folder, "dangling"));
    const error: ApiError = await client.models.log(folder, { name: "n" }).then(
      () => expect.fail("it was sent"),
      (reason) => reason,
    );
    expect(error.reason).toBe("INVALID_PATH");
    expect(error.violations.map((v) => v.field).sort()).toEqual(["dangling", "outside", "sub/loop"]);
    expect(error.message).toContain("cp -rL");
  });

  test("a folder that is missing, empty or a file is refused before anything is sent", async () => {
    await start();
    await expect(client.models.log(join(folder, "no"), { name: "n" })).rejects.toMatchObject({
      reason: "INVALID_PATH",
    });
    await expect(client.models.log(folder, { name: "n" })).rejects.toThrow("holds no file");
    await fill();
    await expect(client.models.log(join(folder, "empty"), { name: "n" })).rejects.toThrow("is a file");
  });
});

describe("download", () => {
  const files = {
    "a.txt": Buffer.from("hello"),
    "sub/big.bin": FILES["sub/weights.bin"] as Buffer,
    zero: Buffer.alloc(0),
  };
  const partOf = (path: keyof typeof files) => `${path}.${sha256(files[path]).slice(0, 16)}.part`;

  async function onDisk(): Promise<string[]> {
    return (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort();
  }

  test("brings every file, byte for byte, reports progress, and leaves nothing else behind", async () => {
    await start();
    fake.add("n", files);
    let last = {};
    const result = await client.models.download("n", join(folder, "deep/er"), {
      onProgress: (progress) => {
        last = progress;
      },
    });
    for (const [path, bytes] of Object.entries(files)) {
      expect(sha256(await readFile(join(folder, "deep/er", path)))).toBe(sha256(bytes));
    }
    expect(result).toMatchObject({
      modelId: "m-1",
      files: [{ how: "fetched" }, { how: "fetched" }, { how: "fetched" }],
    });
    expect(last).toMatchObject({ bytesReceived: 700_006, bytesTotal: 700_006, filesReceived: 3, filesTotal: 3 });
    expect(await onDisk()).toEqual(["a.txt", "big.bin", "zero"]);
  });

  test("what was logged comes back with the same digests", async () => {
    await start();
    await fill(FILES, join(folder, "from"));
    const logged = await client.models.log(join(folder, "from"), { name: "n" });
    const { files: got } = await client.models.download("n", join(folder, "to"));
    expect(got.map((f) => [f.path, f.sha256])).toEqual(logged.files.map((f) => [f.path, f.sha256]));
  });

  test("keeps what is complete, mends what differs, goes on with what is partial", async () => {
    const offsets: Record<string, number> = {};
    await start({
      downloadArtifact: (request, context) => {
        offsets[request.path] = Number(request.offsetBytes);
        return fake.handlers.downloadArtifact(request, context);
      },
    });
    fake.add("n", files);
    await fill({ "a.txt": files["a.txt"], zero: Buffer.from("not empty") });
    await fill({ [partOf("sub/big.bin")]: files["sub/big.bin"].subarray(0, 300_000) });
    const result = await client.models.download("n", folder);
    expect(result.files.map((f) => f.how)).toEqual(["kept", "resumed", "fetched"]);
    expect(offsets).toEqual({ "sub/big.bin": 300_000, zero: 0 });
    expect(sha256(await readFile(join(folder, "sub/big.bin")))).toBe(sha256(files["sub/big.bin"]));
    expect(await onDisk()).toEqual(["a.txt", "big.bin", "zero"]);
  });

  test.each([
    ["of other bytes", Buffer.alloc(300_000)],
    ["that is too long", Buffer.alloc(900_000)],
  ])("a partial file %s is thrown away and fetched anew", async (_, part) => {
    await start();
    fake.add("n", files);
    await fill({ [partOf("sub/big.bin")]: part });
    const result = await client.models.download("n", folder);
    expect(result.files[1]?.how).toBe("fetched");
    expect(sha256(await readFile(join(folder, "sub/big.bin")))).toBe(sha256(files["sub/big.bin"]));
  });

  test("goes on where the connection broke, as long as each try brings something", async () => {
    const offsets: number[] = [];
    await start({
      downloadArtifact: async function* (request, context) {
        if (request.path === "sub/big.bin") offsets.push(Number(request.offsetBytes));
        let sent = 0;
        for await (const response of fake.handlers.downloadArtifact(request, context)) {
          yield response;
          if (request.path === "sub/big.bin" && ++sent > 100 && offsets.length < 6)
            throw new ApiError("SHUTTING_DOWN", "x");
        }
      },
    });
    fake.add("n", files);
    const result = await client.models.download("n", folder);
    expect(result.files[1]?.how).toBe("resumed");
    expect(offsets).toHaveLength(6); // more than the four attempts that a try without progress has
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    expect(sha256(await readFile(join(folder, "sub/big.bin")))).toBe(sha256(files["sub/big.bin"]));
  });

  test.each([
    ["other bytes", Buffer.alloc(5)],
    ["too few bytes", Buffer.from("hell")],
    ["too many bytes", Buffer.from("hello, world")],
  ])("%s than announced are DATA_LOSS, and no file gets its name", async (_, wrong) => {
    await start({
      downloadArtifact: async function* () {
        yield { message: { case: "data", value: wrong } };
      },
    });
    fake.add("n", { "a.txt": "hello" });
    await expect(client.models.download("n", folder)).rejects.toMatchObject({
      code: Code.DATA_LOSS,
      reason: "DIGEST_MISMATCH",
      metadata: { path: "a.txt" },
    });
    expect((await onDisk()).filter((name) => !name.endsWith(".part"))).toEqual([]);
  });

  test("a server that sends without end is cut off", async () => {
    let sent = 0;
    await start({
      downloadArtifact: async function* (_, { signal }) {
        for (; !signal.aborted && sent < 1e9; sent += 65_536) {
          yield { message: { case: "data", value: new Uint8Array(65_536) } };
        }
      },
    });
    fake.add("n", { "a.txt": "hello" });
    await expect(client.models.download("n", folder)).rejects.toMatchObject({ reason: "DIGEST_MISMATCH" });
    expect(sent).toBeLessThan(64 << 20);
  });

  test("a file without a digest is checked by its size, and fetched each time", async () => {
    await start({
      listArtifacts: async () => ({ modelId: "m-1", files: [{ path: "a.txt", sizeBytes: 5n, sha256: "" }] }),
    });
    fake.add("n", files);
    for (let i = 0; i < 2; i++) {
      expect((await client.models.download("n", folder)).files).toEqual([
        { path: "a.txt", sizeBytes: 5, sha256: "", how: "fetched" },
      ]);
    }
  });

  test.each([
    ["/etc/passwd"],
    ["../up"],
    ["a/../../up"],
    ["a//b"],
    ["./a"],
    ["a/"],
    [""],
    ["a\\..\\b"],
    ["C:/x"],
    ["nul\0"],
  ])("a server that names a file %j is refused before anything is written", async (path) => {
    const list = [
      { path: "fine", sizeBytes: 0n, sha256: sha256(Buffer.alloc(0)) },
      { path, sizeBytes: 1n },
    ];
    await start({ listArtifacts: async () => ({ modelId: "m-1", files: list }) });
    await expect(client.models.download("n", folder)).rejects.toMatchObject({
      reason: "INVALID_PATH",
      violations: [{ field: path }],
    });
    expect(await onDisk()).toEqual([]);
  });

  test("a link in the folder that leads out is not followed", async () => {
    await start();
    fake.add("n", files);
    const elsewhere = await mkdtemp(join(tmpdir(), "modelwire-elsewhere-"));
    await symlink(elsewhere, join(folder, "sub"));
    await expect(client.models.download("n", folder)).rejects.toMatchObject({ reason: "INVALID_PATH" });
    expect(await readdir(elsewhere)).toEqual([]);
    await rm(elsewhere, { recursive: true });
  });

  test("a link in a file's place is replaced, and what it led to stays as it is", async () => {
    await start();
    fake.add("n", { "a.txt": "hello" });
    await fill({ precious: Buffer.from("mine") });
    await symlink("precious", join(folder, "a.txt"));
    await client.models.download("n", folder);
    expect(await readFile(join(folder, "precious"), "utf8")).toBe("mine");
    expect(await readFile(join(folder, "a.txt"), "utf8")).toBe("hello");
  });

  test("a missing model is the server's error", async () => {
    await start();
    await expect(client.models.download("no", folder)).rejects.toMatchObject({ reason: "MODEL_NOT_FOUND" });
  });
});
