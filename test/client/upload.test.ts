// What an upload sends when the server has some of it already, against a server that says what a test wants.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogModelRequest, ServiceHandlers } from "@modelwire/proto";
import { ApiError, ModelService } from "@modelwire/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ModelwireClient, UploadProgress } from "../../client/index.ts";
import { createClient } from "../../client/index.ts";
import { sha256 } from "./fake-models.ts";
import type { TestContext, TestServer } from "./test-server.ts";
import { startTestServer } from "./test-server.ts";

const FILES: Record<string, Buffer> = {
  a: Buffer.from("first"),
  b: Buffer.alloc(700_001, 7),
  c: Buffer.from("third"),
};

let folder: string;
let server: TestServer;
let client: ModelwireClient;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "modelwire-upload-"));
  for (const [name, bytes] of Object.entries(FILES)) await writeFile(join(folder, name), bytes);
});
afterEach(async () => {
  client.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

type Sent = LogModelRequest["message"];

/** A server that plans as told and takes every upload, or throws what a test has put into `errors`. */
async function start(planUpload?: Partial<ServiceHandlers<typeof ModelService, TestContext>>["planUpload"]) {
  const attempts: Sent[][] = [];
  const errors: ApiError[] = [];
  server = await startTestServer();
  server.add(ModelService, {
    ...(planUpload && { planUpload }),
    logModel: async (requests: AsyncIterable<LogModelRequest>) => {
      const sent: Sent[] = [];
      attempts.push(sent);
      for await (const { message } of requests) sent.push(message);
      const error = errors.shift();
      if (error) throw error;
      return { model: { modelId: "m-1" } };
    },
  } as never);
  client = createClient(server.address, { retry: { sleep: async () => {} } });
  return { attempts, errors };
}

/** Files of one attempt: path → how it was sent and how many bytes of it. */
function filesOf(sent: readonly Sent[]): Record<string, [how: string, bytes: number]> {
  const files: Record<string, [string, number]> = {};
  let path = "";
  for (const message of sent) {
    if (message.case === "fileStart") {
      path = message.value.path;
      files[path] = [`from ${message.value.offsetBytes}`, 0];
    } else if (message.case === "fileChunk") (files[path] ?? ["", 0])[1] += message.value.data.length;
    else if (message.case === "fileReference") files[message.value.path] = ["reference", 0];
  }
  return files;
}

test("a file that the server has is named, one that broke off is gone on with, and every digest is of the whole file", async () => {
  const asked: unknown[] = [];
  const { attempts } = await start(async ({ files }) => {
    asked.push(...files.map((file) => [Number(file.sizeBytes), file.sha256]));
    return { files: [{ present: true }, { offsetBytes: 300_000n }, {}] };
  });
  let last: UploadProgress | undefined;
  const reused = new Set<number>();
  await client.models.log(folder, {
    name: "n",
    onProgress: (progress) => {
      last = progress;
      if (progress.stage === "sending") reused.add(progress.bytesReused);
    },
  });
  // What is left to send does not shrink on the way.
  expect([...reused]).toEqual([300_005]);
  expect(asked).toEqual(Object.values(FILES).map((bytes) => [bytes.length, sha256(bytes)]));
  const sent = attempts[0] ?? [];
  expect(filesOf(sent)).toEqual({ a: ["reference", 0], b: ["from 300000", 400_001], c: ["from 0", 5] });
  const digests = sent.flatMap(({ case: kind, value }) =>
    kind === "fileEnd" || kind === "fileReference" ? [value.sha256] : [],
  );
  expect(digests).toEqual(Object.values(FILES).map(sha256));
  expect(sent.at(-1)).toMatchObject({ case: "end", value: { fileCount: 3 } });
  expect(last).toMatchObject({
    bytesSent: 400_006,
    bytesReused: 300_005,
    bytesTotal: 700_011,
    filesSent: 2,
    filesReused: 1,
  });
});

test("a server without PlanUpload is sent everything", async () => {
  const { attempts } = await start();
  await client.models.log(folder, { name: "n" });
  expect(filesOf(attempts[0] ?? [])).toEqual({ a: ["from 0", 5], b: ["from 0", 700_001], c: ["from 0", 5] });
});

test("content that is not there any more is asked for once again, and the second time everything is sent", async () => {
  let plans = 0;
  const { attempts, errors } = await start(async () => {
    plans++;
    return { files: [{ present: true }, {}, {}] };
  });
  errors.push(new ApiError("CONTENT_MISSING", "gone"), new ApiError("CONTENT_MISSING", "gone"));
  await client.models.log(folder, { name: "n" });
  expect(attempts.map((sent) => filesOf(sent).a?.[0])).toEqual(["reference", "reference", "from 0"]);
  expect(plans).toBe(2);
});

test("tries count from the last one that brought something", async () => {
  let held = 0n;
  const { attempts, errors } = await start(async () => ({ files: [{}, { offsetBytes: held++ }, {}] }));
  for (let i = 0; i < 9; i++) errors.push(new ApiError("SHUTTING_DOWN", "x"));
  await client.models.log(folder, { name: "n" });
  expect(attempts).toHaveLength(10);
});

test("tries that bring nothing come to an end", async () => {
  const { attempts, errors } = await start(async () => ({ files: [{}, { offsetBytes: 5n }, {}] }));
  for (let i = 0; i < 9; i++) errors.push(new ApiError("SHUTTING_DOWN", "x"));
  await expect(client.models.log(folder, { name: "n" })).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
  expect(attempts).toHaveLength(4);
});

test.each([-1n, 0n, 700_001n, 2n ** 60n])(
  "an offset of %s that makes no sense is taken for none",
  async (offsetBytes) => {
    const { attempts } = await start(async () => ({ files: [{}, { offsetBytes }, {}] }));
    await client.models.log(folder, { name: "n" });
    expect(filesOf(attempts[0] ?? []).b).toEqual(["from 0", 700_001]);
  },
);

test("task, signature and input example go into the header; a value becomes JSON, and JSON stays as it is", async () => {
  const { attempts } = await start();
  const signature = { inputs: '[{"type": "string"}]', outputs: "[]" };
  await client.models.log(folder, { name: "n", task: "prompt", signature, inputExample: "a text" });
  await client.models.log(folder, { name: "n", inputExample: { a: [1, null] } });
  await client.models.log(folder, { name: "n", inputExampleJson: '{"a": 1.0}' });
  await client.models.log(folder, { name: "n" });
  const headers = attempts.map(([first]) => first?.value) as { inputExample?: string }[];
  expect(headers[0]).toMatchObject({ task: "prompt", signature });
  expect(headers.map(({ inputExample }) => inputExample)).toEqual([
    '"a text"',
    '{"a":[1,null]}',
    '{"a": 1.0}',
    undefined,
  ]);
});

test("an abort while the files are hashed ends it, and nothing is sent", async () => {
  const { attempts } = await start();
  const abort = new AbortController();
  const logging = client.models.log(folder, {
    name: "n",
    signal: abort.signal,
    onProgress: ({ stage }) => stage === "hashing" && abort.abort("enough"),
  });
  await expect(logging).rejects.toMatchObject({ code: 1, cause: "enough" });
  expect(attempts).toEqual([]);
});
