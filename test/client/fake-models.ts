// A ModelService that keeps models in memory: strict about the order of an upload, and nothing more. Shared by the tests of
// transfers and of the command line.
import { createHash } from "node:crypto";
import type { LogModelHeader, ModelFile, ServiceHandlers } from "@modelwire/proto";
import { ApiError, type ModelService, ModelStatus } from "@modelwire/proto";
import type { TestContext } from "./test-server.ts";

export interface StoredModel {
  modelId: string;
  header: LogModelHeader;
  files: Map<string, Buffer>;
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

export class FakeModels {
  readonly models: StoredModel[] = [];
  /** Sizes of all chunks that came. */
  readonly chunkBytes: number[] = [];
  /** Paths of file starts, in the order they came, of all attempts. */
  readonly order: string[] = [];

  /** Those of a server that does not know yet what an upload could leave out. */
  readonly handlers: Omit<ServiceHandlers<typeof ModelService, TestContext>, "planUpload"> = {
    logModel: (requests) => this.log(requests),
    getModel: async ({ model }) => ({ model: this.describe(this.find(model)) }),
    searchModels: async ({ name }) => ({
      models: this.models
        .filter((m) => !name || m.header.name === name)
        .map((m) => this.describe(m))
        .reverse(),
    }),
    deleteModel: async ({ model }) => {
      this.models.splice(this.models.indexOf(this.find(model)), 1);
      return {};
    },
    listArtifacts: async ({ model }) => {
      const found = this.find(model);
      return { modelId: found.modelId, files: filesOf(found) };
    },
    downloadArtifact: (request) => this.download(request),
  };

  find(name: string): StoredModel {
    const found = this.models.findLast((m) => [m.modelId, `models:/${m.modelId}`, m.header.name].includes(name));
    if (found) return found;
    throw new ApiError("MODEL_NOT_FOUND", `there is no model "${name}"`, {
      resource: { type: "model", name },
      requestId: "req-7",
    });
  }

  describe({ modelId, header, files }: StoredModel) {
    const sizeBytes = [...files.values()].reduce((sum, bytes) => sum + BigInt(bytes.length), 0n);
    const { name, tags, params } = header;
    return { modelId, name, tags, params, sizeBytes, status: ModelStatus.READY, modelUri: `models:/${modelId}` };
  }

  /** Adds a model without an upload. */
  add(name: string, files: Record<string, Uint8Array | string>): StoredModel {
    const header = { name, tags: {}, params: {} } as unknown as LogModelHeader;
    const entries = Object.entries(files).map(([path, bytes]): [string, Buffer] => [path, Buffer.from(bytes)]);
    const model = { modelId: `m-${this.models.length + 1}`, header, files: new Map(entries) };
    this.models.push(model);
    return model;
  }

  private async log(requests: Parameters<ServiceHandlers<typeof ModelService, TestContext>["logModel"]>[0]) {
    let header: LogModelHeader | undefined;
    let open: { path: string; chunks: Uint8Array[] } | undefined;
    const files = new Map<string, Buffer>();
    let complete = false;
    for await (const { message } of requests) {
      if ((message.case === "header") === Boolean(header)) throw new ApiError("STREAM_ORDER", "header");
      if (message.case === "header") header = message.value;
      else if (message.case === "fileStart") {
        if (open) throw new ApiError("STREAM_ORDER", "start in a file");
        this.order.push(message.value.path);
        open = { path: message.value.path, chunks: [] };
      } else if (message.case === "fileChunk") {
        this.chunkBytes.push(message.value.data.length);
        open?.chunks.push(message.value.data.slice());
      } else if (message.case === "fileEnd" && open) {
        const bytes = Buffer.concat(open.chunks);
        if (sha256(bytes) !== message.value.sha256) throw new ApiError("DIGEST_MISMATCH", open.path);
        files.set(open.path, bytes);
        open = undefined;
      } else if (message.case === "end") {
        complete = message.value.fileCount === files.size;
      }
    }
    if (!header || open || !complete) throw new ApiError("STREAM_ORDER", "the stream broke off");
    const id = header.requestId;
    const known = this.models.find((m) => m.header.requestId === id);
    const model = known ?? { modelId: `m-${this.models.length + 1}`, header, files };
    if (!known) this.models.push(model);
    return { model: this.describe(model), files: filesOf(model), warnings: header.tags.warn ? [header.tags.warn] : [] };
  }

  private async *download({ model, path, offsetBytes }: { model: string; path: string; offsetBytes: bigint }) {
    const found = this.find(model);
    const file = filesOf(found).find((f) => f.path === path);
    if (!file) throw new ApiError("ARTIFACT_NOT_FOUND", path);
    yield { message: { case: "file" as const, value: file } };
    const bytes = found.files.get(path) ?? Buffer.alloc(0);
    if (offsetBytes > bytes.length) throw new ApiError("OFFSET_OUT_OF_RANGE", `${offsetBytes} of ${bytes.length}`);
    for (let at = Number(offsetBytes); at < bytes.length; at += 1_000) {
      yield { message: { case: "data" as const, value: bytes.subarray(at, at + 1_000) } };
    }
  }
}

function filesOf({ files }: StoredModel): Pick<ModelFile, "path" | "sizeBytes" | "sha256">[] {
  const list = [...files].map(([path, bytes]) => ({ path, sizeBytes: BigInt(bytes.length), sha256: sha256(bytes) }));
  return list.sort((a, b) => (a.path < b.path ? -1 : 1));
}
