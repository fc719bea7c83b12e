// The store as a command, for the Python scripts beside it:
//   node --import tsx test/conformance/mlflow/store-entry.ts create STORE
//   node --import tsx test/conformance/mlflow/store-entry.ts log STORE FOLDER NAME [RUN_ID]
//   node --import tsx test/conformance/mlflow/store-entry.ts read STORE MODEL
// Prints one JSON object.
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { create, toJson } from "@bufbuild/protobuf";
import { LogModelHeaderSchema, ModelFileSchema, ModelSchema } from "@modelwire/proto";
import { inputExampleFiles } from "../../../server/mlmodel/input-example.ts";
import { llmModelFiles } from "../../../server/mlmodel/model-files.ts";
import { chatSignature } from "../../../server/mlmodel/signature/task-signatures.ts";
import type { ModelStore } from "../../../server/store/model-store.ts";
import { openModelStore } from "../../../server/store/open.ts";

const [command, storeRoot, ...rest] = process.argv.slice(2);
if (command === undefined || storeRoot === undefined) throw new Error("usage: create|log|read STORE …");
const store = await openModelStore(storeRoot);
try {
  const commands: Record<string, (store: ModelStore, ...rest: string[]) => Promise<unknown>> = {
    create: async () => ({}),
    log: logFolder,
    read: readModel,
  };
  console.log(JSON.stringify(await commands[command]?.(store, ...rest)));
} finally {
  await store.close();
}

async function logFolder(store: ModelStore, folder: string, name: string, runId = ""): Promise<unknown> {
  const header = create(LogModelHeaderSchema, {
    name,
    runId,
    step: runId === "" ? 0n : 2n,
    tags: { origin: "conformance", digits: "1e3" },
    params: { quantisation: "int4" },
    metadata: { numeric: "12e45", answer: "yes", date: "2026-01-01", words: "größe: 1 # 2" },
  });
  const begun = await store.begin(header);
  if (!("upload" in begun)) throw new Error("a replay without a request_id");
  const { upload } = begun;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const full = join(entry.parentPath, entry.name);
    await upload.write(relative(folder, full), createReadStream(full));
  }
  const staged = await upload.look();
  if (staged.kind !== "llm") throw new Error(`an ONNX LLM folder was expected, got one of the kind ${staged.kind}`);
  const { identity } = upload;
  const example = inputExampleFiles(
    new Map([
      [
        "messages",
        [
          new Map([
            ["role", "user"],
            ["content", "Hi"],
          ]),
        ],
      ],
    ]),
  );
  const facts = {
    identity,
    example,
    task: "llm/v1/chat" as const,
    signature: chatSignature(),
    metadata: header.metadata,
  };
  const { model, files } = await upload.commit({
    texts: llmModelFiles({ ...staged, ...facts }),
    at: "model",
    warnings: [],
  });
  return { model: toJson(ModelSchema, model), files: files.map((file) => toJson(ModelFileSchema, file)) };
}

async function readModel(store: ModelStore, ref: string): Promise<unknown> {
  const model = await store.get(ref);
  const files = await store.files(ref);
  let bytes = 0;
  for (const { path } of files)
    for await (const chunk of (await store.open(ref, path, 0)).chunks) bytes += chunk.length;
  return { model: toJson(ModelSchema, model), files: files.map((file) => toJson(ModelFileSchema, file)), bytes };
}
