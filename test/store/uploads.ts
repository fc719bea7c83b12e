// Logging small models to a store, for the tests beside this and for the process that crash.test.ts kills.
import { create } from "@bufbuild/protobuf";
import { ApiError, type LogModelHeader, LogModelHeaderSchema } from "@modelwire/proto";
import type { ModelStore, ModelUpload } from "../../server/store/model-store.ts";

export const CONFIG = '{"model": {"type": "phi3", "context_length": 128}}';

export const header = (init: Partial<LogModelHeader> = {}) =>
  create(LogModelHeaderSchema, { name: "phi", ...init } as Partial<LogModelHeader> & { $typeName?: never });

export async function* chunked(text: string | Uint8Array, bytes = 7): AsyncGenerator<Uint8Array> {
  const data = Buffer.from(text);
  for (let at = 0; at < data.length; at += bytes) yield data.subarray(at, at + bytes);
}

export async function beginUpload(store: ModelStore, init: Partial<LogModelHeader> = {}): Promise<ModelUpload> {
  const begun = await store.begin(header(init));
  if (!("upload" in begun)) throw new Error("a replay was not expected here");
  return begun.upload;
}

/** Logs a small model. */
export async function logModel(
  store: ModelStore,
  init: Partial<LogModelHeader> = {},
  files: Record<string, string> = {},
) {
  const upload = await beginUpload(store, init);
  for (const [path, text] of Object.entries({ "genai_config.json": CONFIG, ...files }))
    await upload.write(path, chunked(text));
  return await commitChat(upload, ["a warning"]);
}

const MLMODEL = `flavors:
  onnxruntime_genai:
    data: model
  python_function:
    data: model
    loader_module: loader
metadata:
  task: llm/v1/chat
`;

/** Files that a service adds to an ONNX LLM, or some like them. */
export const TEXTS = {
  MLmodel: MLMODEL,
  "requirements.txt": "mlflow",
  "code/loader.py": "def _load_pyfunc(path): ...\n",
};

/** Commits an ONNX LLM. */
export async function commitChat(upload: ModelUpload, warnings: string[] = []) {
  return await upload.commit({ texts: TEXTS, at: "model", warnings });
}

export async function bytesOf(store: ModelStore, ref: string, path: string, offset = 0): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of (await store.open(ref, path, offset, 5)).chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** The error's reason; "" when it was none of ours. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "none",
    (error) => (error instanceof ApiError ? error.reason : String(error)),
  );
}
