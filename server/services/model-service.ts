// ModelService: models up into the store and down again.
import { ApiError, invalidFields, type ModelService, type ServiceHandlers } from "@modelwire/proto";
import type { InferenceHost } from "../inference/host.ts";
import type { CallContext } from "../rpc/context.ts";
import type { ModelStore, ModelUpload } from "../store/model-store.ts";
import { finishModel } from "./log-model.ts";
import type { ModelLoader } from "./model-loader.ts";
import { required } from "./serving-service.ts";
import { type IncomingFile, incomingFiles, readHeader } from "./upload-stream.ts";

/** Bytes in one message of a download. */
const CHUNK_BYTES = 256 << 10;

export function modelService(
  store: ModelStore,
  loader: ModelLoader,
  host: InferenceHost,
  maxModelBytes: number,
): ServiceHandlers<typeof ModelService, CallContext> {
  return {
    async logModel(requests, { signal, log }) {
      const messages = requests[Symbol.asyncIterator]();
      const header = await readHeader(messages);
      const begun = await store.begin(header, signal);
      if ("replay" in begun) return begun.replay;
      const { upload } = begun;
      try {
        for await (const file of incomingFiles(messages, maxModelBytes)) await receive(upload, file);
        const finished = await finishModel(upload, header, host, signal);
        signal.throwIfAborted();
        const logged = await upload.commit(finished);
        loader.forget();
        const { modelId, name, sizeBytes } = logged.model;
        log.info({ modelId, name, bytes: Number(sizeBytes) }, "model logged");
        return logged;
      } catch (error) {
        // What cannot be cleared away now, the sweep at the next start takes; the caller is told of the first error.
        await upload
          .abort(error)
          .catch((err) => log.error({ err, modelId: upload.modelId }, "an upload could not be cleared away"));
        throw error;
      }
    },
    async planUpload({ files }) {
      const contents = files.map(({ sizeBytes, sha256 }) => ({ sizeBytes: Number(sizeBytes), sha256 }));
      const held = await store.held(contents);
      return {
        files: contents.map(({ sizeBytes }, index) => {
          const present = held[index] === sizeBytes;
          return { present, offsetBytes: present ? 0n : BigInt(held[index] ?? 0) };
        }),
      };
    },
    async getModel({ model }) {
      return { model: await store.get(required(model)) };
    },
    async searchModels(request) {
      return await store.search(request);
    },
    async deleteModel({ model }, { log }) {
      if (!/^(models:\/|m-[0-9a-f]{32}$)/.test(required(model)))
        throw invalidFields([
          {
            field: "model",
            description: `must be a model id ("m-…") or its models:/ URI, since a name such as "${model}" may mean another model a moment later`,
          },
        ]);
      const { modelId } = await store.delete(model);
      // Not waited for: its memory comes free when its running streams have ended, and the model is gone already.
      loader
        .unload(modelId)
        .catch((error) => log.error({ err: error, modelId }, "a deleted model could not be unloaded"));
      return {};
    },
    async listArtifacts({ model }) {
      const { modelId } = await store.get(required(model));
      return { modelId, files: await store.files(modelId) };
    },
    async *downloadArtifact({ model, path, offsetBytes }) {
      if (offsetBytes < 0n)
        throw invalidFields([{ field: "offset_bytes", description: `must be 0 or more, got ${offsetBytes}` }]);
      const { file, chunks } = await store.open(required(model), path, Number(offsetBytes), CHUNK_BYTES);
      yield { message: { case: "file", value: file } };
      for await (const data of chunks) yield { message: { case: "data", value: data } };
    },
  };
}

/** Takes one file in and compares what arrived with what was said. */
async function receive(upload: ModelUpload, file: IncomingFile): Promise<void> {
  if (file.kind === "reference") {
    await upload.refer(file.path, file.sizeBytes, file.sha256);
    return;
  }
  const { path, chunks, claim, sha256 } = file;
  const got = await upload.write(path, chunks, claim);
  if (got.sha256 !== sha256())
    throw new ApiError(
      "DIGEST_MISMATCH",
      `file "${path}": its ${got.sizeBytes} bytes have the SHA-256 ${got.sha256}, the sender said ${sha256() || "nothing"}; send the model again`,
      { metadata: { path, expected: sha256(), actual: got.sha256 } },
    );
}
