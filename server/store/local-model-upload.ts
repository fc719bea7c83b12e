// One upload from its first byte to the READY row. Knows the order of steps that a crash cannot hurt.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { ApiError, type LogModelHeader, type Model, ModelStatus } from "@modelwire/proto";
import { chatModelFiles, DATA_FOLDER } from "../mlmodel/chat-model.ts";
import type { ArtifactWrite, WrittenFile } from "./artifact-store.ts";
import { PathSet, refusePath } from "./artifacts/path-rules.ts";
import type { CommitInfo, ModelUpload } from "./model-store.ts";
import type { TrackingStore } from "./tracking-store.ts";

const GENAI_CONFIG = "genai_config.json";

/** Names at the top of an upload that mean more than a file. Compared without regard to case. */
const RESERVED: Readonly<Record<string, string>> = {
  mlmodel:
    "is reserved: folders that are MLflow models already are not taken yet; send the ONNX folder itself, with genai_config.json at its top, and the server writes MLmodel",
  registered_model_meta: "is reserved: MLflow writes it when it loads a model; leave it out",
};

export interface UploadDeps {
  readonly write: ArtifactWrite;
  readonly tracking: TrackingStore;
  describe(model: Model): Promise<Model>;
  onWarning(message: string, error: unknown): void;
}

export class LocalModelUpload implements ModelUpload {
  readonly #model: Model;
  readonly #header: LogModelHeader;
  readonly #deps: UploadDeps;
  readonly #paths = new PathSet();
  #sizeBytes = 0n;
  #placed = false;
  #ended = false;

  /** @param model The PENDING row. */
  constructor(model: Model, header: LogModelHeader, deps: UploadDeps) {
    this.#model = model;
    this.#header = header;
    this.#deps = deps;
  }

  get modelId(): string {
    return this.#model.modelId;
  }

  stagedFolder(): string {
    return join(this.#deps.write.folder, DATA_FOLDER);
  }

  async write(path: string, chunks: AsyncIterable<Uint8Array>, expectedSize?: number): Promise<WrittenFile> {
    // Checked here as the sender wrote it; below the data folder it would be told of a path that it never sent.
    const reserved = RESERVED[path.split("/", 1)[0]!.toLowerCase()];
    refusePath(path, reserved === undefined ? this.#paths.add(path) : [reserved]);
    const written = await this.#deps.write.write(`${DATA_FOLDER}/${path}`, chunks, expectedSize);
    this.#sizeBytes += written.sizeBytes;
    return written;
  }

  async commit({ report }: CommitInfo) {
    const { write, tracking, describe, onWarning } = this.#deps;
    const { modelId, artifactLocation, creationTime } = this.#model;
    const texts = chatModelFiles({
      ...(await this.#genaiFacts()),
      modelId,
      artifactLocation,
      runId: this.#header.runId || undefined,
      createdAt: creationTime ? timestampDate(creationTime) : new Date(0),
      sizeBytes: this.#sizeBytes,
      metadata: this.#header.metadata,
    });
    for (const [path, text] of Object.entries(texts)) await write.write(path, once(text));
    this.#placed = true;
    const files = await write.commit(artifactLocation, { modelId, warnings: report.warnings });
    const model = await tracking.finalizeLoggedModel(modelId, "READY");
    if (model.status !== ModelStatus.READY)
      throw new ApiError("INTERNAL", `model ${modelId} became ${ModelStatus[model.status]} while it was logged`);
    this.#ended = true;
    // The model is whole and READY: what is left of the claim is the next sweep's business, if not now.
    await write.release().catch((error) => onWarning(`the claim of ${modelId} could not be removed`, error));
    return { model: await describe(model), files };
  }

  async abort(reason: string): Promise<void> {
    if (this.#ended) return;
    const { write, tracking } = this.#deps;
    const model = await tracking.finalizeLoggedModel(this.modelId, "FAILED", reason);
    // A commit whose answer was lost on its way from the database may have made it READY: then it stays.
    const failed = model.status === ModelStatus.FAILED;
    await write.abort(failed && this.#placed ? model.artifactLocation : undefined);
    this.#ended = true;
  }

  /** What the MLmodel file says of the uploaded folder. Whether it can be served is for the caller to find out. */
  async #genaiFacts(): Promise<{ modelType: string; contextLength: number }> {
    const text = await readFile(join(this.stagedFolder(), GENAI_CONFIG), "utf8").catch(() => undefined);
    if (text === undefined)
      throw invalid(`has no ${GENAI_CONFIG} at its top; send the folder that onnxruntime-genai's model builder made`);
    const model = (parseJson(text) as { model?: { type?: unknown; context_length?: unknown } } | null)?.model;
    const contextLength = Number(model?.context_length);
    if (typeof model?.type !== "string" || !Number.isSafeInteger(contextLength) || contextLength < 1)
      throw invalid(`has a ${GENAI_CONFIG} without model.type or model.context_length`);
    return { modelType: model.type, contextLength };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(`has a ${GENAI_CONFIG} that is no JSON: ${error instanceof Error ? error.message : error}`);
  }
}

function invalid(what: string): ApiError {
  return new ApiError("MODEL_INVALID", `the uploaded folder ${what}`);
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
