// Uploads that must be refused: each with a precise error, nothing left behind, the service still up.
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ApiError, type LogModelRequestSchema, ModelStatus } from "@modelwire/proto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { MODEL, type Service, startService } from "./service.ts";

type Message = MessageInitShape<typeof LogModelRequestSchema>;

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());
afterEach(async () => {
  expect(
    (await service.client.models.searchModels({})).models.filter(({ status }) => status === ModelStatus.READY),
  ).toEqual([]);
  // After a cancel the server is through a moment later than the client, so this looks until it is.
  await expect.poll(() => filesOf(service.store).catch(String), { timeout: 10_000 }).toEqual(["mlflow.db"]);
});

/** Every file of the store but the locks and journals that come and go with the database. */
async function filesOf(store: string): Promise<string[]> {
  const entries = await readdir(store, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(store.length + 1));
  return files.filter((file) => !/^mlflow\.db-|\.modelwire/.test(file)).sort();
}

const header: Message = { message: { case: "header", value: { name: "m" } } };
const digest = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

function file(path: string, data: Uint8Array | string, sha256?: string): Message[] {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return [
    { message: { case: "fileStart", value: { path } } },
    { message: { case: "fileChunk", value: { data: bytes } } },
    { message: { case: "fileEnd", value: { sha256: sha256 ?? digest(bytes) } } },
  ];
}

/** The bundled model, with some files replaced (a string) or left out (undefined). */
async function modelWith(changes: Record<string, string | Uint8Array | undefined>): Promise<Message[]> {
  const names = (await readdir(MODEL)).filter((name) => !(name in changes));
  const own = await Promise.all(names.map(async (name) => file(name, await readFile(join(MODEL, name)))));
  const changed = Object.entries(changes).flatMap(([name, data]) => (data === undefined ? [] : [file(name, data)]));
  return [header, ...own.flat(), ...changed.flat()].flatMap(split);
}

/** Chunks of at most 1 MiB. */
function split(message: Message): Message[] {
  if (message.message?.case !== "fileChunk") return [message];
  const data = message.message.value.data as Uint8Array;
  const parts: Message[] = [];
  for (let at = 0; at < data.length; at += 1 << 20)
    parts.push({ message: { case: "fileChunk", value: { data: data.subarray(at, at + (1 << 20)) } } });
  return parts;
}

const end = (fileCount: number): Message => ({ message: { case: "end", value: { fileCount } } });

/** The messages, then the end that fits them. */
async function* complete(messages: Message[]) {
  yield* messages;
  yield end(messages.filter(({ message }) => message?.case === "fileEnd").length);
}

async function* each(messages: Message[]) {
  yield* messages;
}

async function refused(messages: Message[], source = complete): Promise<ApiError> {
  const error = await service.client.models.logModel(source(messages)).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

const badPaths: [string, string][] = [
  ["..", "../x"],
  [".. in the middle", "a/../../x"],
  ["absolute", "/etc/passwd"],
  ["a drive", "C:/x"],
  ["a backslash", "a\\..\\x"],
  ["NUL", "a\0b"],
  ["a control character", "a\nb"],
  ["empty", ""],
  ["an empty part", "a//b"],
  ["a dot", "./x"],
  ["over-long", `${"a/".repeat(600)}x`],
  ["a part over-long", "x".repeat(300)],
  ["MLflow's in another case", "mlmodel"],
  ["a folder where MLflow has a file", "MLmodel/x"],
  ["a Windows device", "sub/NUL"],
];
for (const [what, path] of badPaths)
  test(`a path that is ${what} is refused with the path in the error`, async () => {
    const error = await refused([header, ...file(path, "x")]);
    expect(error).toMatchObject({ reason: "INVALID_PATH" });
    expect(error.violations.length).toBeGreaterThan(0);
  });

test("a duplicate path is refused, also when only its case differs", async () => {
  expect(await refused([header, ...file("a.txt", "x"), ...file("a.txt", "y")])).toMatchObject({
    reason: "INVALID_PATH",
  });
  expect(await refused([header, ...file("a.txt", "x"), ...file("A.TXT", "y")])).toMatchObject({
    reason: "INVALID_PATH",
  });
});

test("a file where a folder is, and the other way round, is refused", async () => {
  expect(await refused([header, ...file("a", "x"), ...file("a/b", "y")])).toMatchObject({ reason: "INVALID_PATH" });
  expect(await refused([header, ...file("a/b", "x"), ...file("a", "y")])).toMatchObject({ reason: "INVALID_PATH" });
});

test("a digest that does not match is DATA_LOSS with both digests", async () => {
  const error = await refused([header, ...file("a.txt", "x", digest(new Uint8Array([1])))]);
  expect(error).toMatchObject({ code: 15, reason: "DIGEST_MISMATCH", metadata: { path: "a.txt" } });
});

test("messages out of order are refused, saying what was expected", async () => {
  const [start, chunk, fileEnd] = file("a", "x") as [Message, Message, Message];
  const orders = [
    [],
    [start],
    [header, chunk],
    [header, fileEnd],
    [header, start, start],
    [header, start, chunk],
    [header, header],
  ];
  for (const messages of [...orders, [header, {}], [header, start, end(0)], [header, start, chunk, fileEnd, end(2)]])
    expect(await refused(messages, each)).toMatchObject({ reason: "STREAM_ORDER" });
});

test("a whole model whose stream ends without the upload's end is not kept", async () => {
  expect(await refused(await modelWith({}), each)).toMatchObject({ reason: "STREAM_ORDER" });
});

test("uploads that are cancelled at any moment are never taken for complete", async () => {
  const messages = await modelWith({});
  for (let i = 0; i < 60; i += 1) {
    const controller = new AbortController();
    async function* part() {
      yield* messages.slice(0, i % messages.length);
      if (i % 2) await new Promise(setImmediate);
      controller.abort();
      await new Promise<never>(() => {});
    }
    await expect(service.client.models.logModel(part(), { signal: controller.signal })).rejects.toMatchObject({
      code: 1,
    });
  }
  while (
    (await service.client.models.searchModels({ name: "m" })).models.some(
      ({ status }) => status === ModelStatus.PENDING,
    )
  );
});

test("a header reports all that is wrong with it", async () => {
  const value = { name: "a/b", requestId: "no spaces", experimentId: "x", experimentName: "y", step: -1n };
  const error = await refused([{ message: { case: "header", value } }]);
  expect(error.violations.map(({ field }) => field).sort()).toEqual(
    ["header.name", "header.request_id", "header.experiment_id", "header.experiment_id", "header.step"].sort(),
  );
});

test("more bytes than the server takes are refused, said or sent, and nothing is kept", async () => {
  const small = await startService(["--max-model-bytes", "1000"]);
  try {
    const said: Message = { message: { case: "fileStart", value: { path: "a", sizeBytes: 2n ** 62n } } };
    for (const messages of [
      [header, said],
      [header, ...file("a", "x".repeat(600)), ...file("b", "x".repeat(600))],
    ]) {
      const error = await small.client.models.logModel(complete(messages)).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: 8, reason: "LIMIT_EXCEEDED" });
    }
    await expect.poll(() => filesOf(small.store).catch(String)).toEqual(["mlflow.db"]);
  } finally {
    await small.close();
  }
});

test("more files than a model may have are refused", async () => {
  const messages = Array.from(
    { length: 10_001 },
    (_, i): Message => ({ message: { case: "fileStart", value: { path: `f${i}` } } }),
  );
  const many = [
    header,
    ...messages.flatMap((start) => [
      start,
      { message: { case: "fileEnd", value: { sha256: digest(new Uint8Array()) } } } as Message,
    ]),
  ];
  expect(await refused(many)).toMatchObject({ reason: "LIMIT_EXCEEDED" });
}, 120_000);

test("an unknown experiment and an unknown run are NOT_FOUND", async () => {
  expect(await refused([{ message: { case: "header", value: { name: "m", experimentId: "999" } } }])).toMatchObject({
    reason: "EXPERIMENT_NOT_FOUND",
  });
  expect(await refused([{ message: { case: "header", value: { name: "m", runId: "0".repeat(32) } } }])).toMatchObject({
    reason: "RUN_NOT_FOUND",
  });
});

test("a folder without a model is refused, saying what is missing", async () => {
  const error = await refused([header, ...file("readme.txt", "nothing here")]);
  expect(error).toMatchObject({ reason: "MODEL_INVALID" });
  expect(error.message).toContain("genai_config.json");
});

const broken: [string, Record<string, string | undefined>, RegExp][] = [
  ["a genai_config.json that is no JSON", { "genai_config.json": "{" }, /genai_config\.json/],
  ["a genai_config.json without a model", { "genai_config.json": "{}" }, /model/],
  ["a tokenizer.json that is no JSON", { "tokenizer.json": "not json" }, /tokenizer\.json/],
  ["a tokenizer.json of nothing", { "tokenizer.json": "{}" }, /tokenizer\.json/],
  ["an .onnx that is no protobuf", { "model.onnx": "not a protobuf" }, /model\.onnx/],
  ["an .onnx that is missing", { "model.onnx": undefined }, /model\.onnx/],
  ["weights that are missing", { "model.onnx.data": undefined }, /model\.onnx/],
  ["weights that are cut short", { "model.onnx.data": "short" }, /model\.onnx/],
];
for (const [what, changes, names] of broken)
  test(`${what} is refused, naming the file`, async () => {
    const error = await refused(await modelWith(changes));
    expect(error).toMatchObject({ reason: "MODEL_INVALID" });
    expect(`${error.message} ${JSON.stringify(error.violations)}`).toMatch(names);
  });

test("a client that cancels in the middle leaves nothing", async () => {
  const failedModels = async () => {
    const { models } = await service.client.models.searchModels({ name: "cancelled" });
    return models.filter(({ status }) => status === ModelStatus.FAILED).length;
  };
  const controller = new AbortController();
  const messages = await modelWith({});
  async function* half() {
    yield { message: { case: "header", value: { name: "cancelled" } } } satisfies Message;
    yield* messages.slice(1, 7);
    // The upload is under way when its row is there; only then is leaving a matter of the middle.
    while ((await service.client.models.searchModels({ name: "cancelled" })).models.length === 0);
    controller.abort();
    await new Promise<never>(() => {});
  }
  await expect(service.client.models.logModel(half(), { signal: controller.signal })).rejects.toMatchObject({
    code: 1,
  });
  // The server hears of it a moment after the client; the row says when it is through.
  while ((await failedModels()) === 0);
});

test("an MLmodel or genai_config.json that is no UTF-8 is refused, not read with its letters replaced", async () => {
  const wrong = new Uint8Array([...new TextEncoder().encode("flavors: {}\nx: "), 0xff, 0x0a]);
  for (const name of ["MLmodel", "genai_config.json"]) {
    const error = await refused([header, ...file(name, wrong)]);
    expect(error.reason).toBe("MODEL_INVALID");
    expect(error.message).toContain(`${name} that is no UTF-8`);
  }
});
