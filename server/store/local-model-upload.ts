// One upload from its first byte to the READY row. Knows the order of steps that a crash cannot hurt.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { ApiError, type LogModelHeader, type Model, ModelStatus } from "@modelwire/proto";
import type { ModelIdentity } from "../mlmodel/model-files.ts";
import type { ArtifactWrite, FileClaim, WrittenFile } from "./artifact-store.ts";
import { refusePath } from "./artifacts/path-rules.ts";
import type { CommitInfo, LoggedModel, ModelUpload, Staged } from "./model-store.ts";
import { lookAt, MLMODEL } from "./staged.ts";
import type { TrackingStore } from "./tracking-store.ts";

/** What MLflow writes into a stored model's folder when it loads it: no part of the model. */
const LOADED_META = "registered_model_meta";

/** For these there is nothing to go on from: no room, or more than a model may have. */
const NO_NEXT_TRY: readonly string[] = ["STORAGE_FULL", "LIMIT_EXCEEDED"];

export interface UploadDeps {
  readonly write: ArtifactWrite;
  readonly tracking: TrackingStore;
  /** Aborts under way: what they keep is to be seen by who plans the next try. */
  readonly ending: Set<Promise<void>>;
  describe(model: Model): Promise<Model>;
  onWarning(message: string, error: unknown): void;
}

export class LocalModelUpload implements ModelUpload {
  readonly #model: Model;
  readonly #header: LogModelHeader;
  readonly #deps: UploadDeps;
  readonly #warnings: string[] = [];
  #staged: Staged | undefined;
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

  get identity(): ModelIdentity {
    const { modelId, artifactLocation, creationTime } = this.#model;
    const createdAt = creationTime ? timestampDate(creationTime) : new Date(0);
    const runId = this.#header.runId || undefined;
    return { modelId, artifactLocation, runId, createdAt, sizeBytes: this.#deps.write.sizeBytes };
  }

  async write(path: string, chunks: AsyncIterable<Uint8Array>, claim?: FileClaim): Promise<WrittenFile> {
    refuseCaseVariant(path);
    return await this.#deps.write.write(path, chunks, claim);
  }

  async refer(path: string, sizeBytes: number, sha256: string): Promise<WrittenFile> {
    refuseCaseVariant(path);
    await this.#deps.write.refer(path, { sizeBytes, sha256 });
    return { sizeBytes: BigInt(sizeBytes), sha256 };
  }

  async look(): Promise<Staged> {
    if (this.#staged) return this.#staged;
    const { write } = this.#deps;
    const staged = await lookAt(write.folder, write.paths);
    if (write.paths.includes(LOADED_META)) {
      if (staged.kind !== "mlflow")
        refusePath(LOADED_META, ["is reserved: MLflow writes it when it loads a model; leave it out"]);
      await write.remove(LOADED_META);
      this.#warnings.push(
        `${LOADED_META} was left out: MLflow writes it when it loads a model, and it is no part of it`,
      );
    }
    this.#staged = staged;
    return staged;
  }

  async commit({ texts, at, warnings }: CommitInfo): Promise<LoggedModel> {
    const { write, tracking, describe, onWarning } = this.#deps;
    const { modelId, artifactLocation } = this.#model;
    if ((await this.look()).kind === "mlflow")
      for (const path of Object.keys(texts)) if (write.paths.includes(path)) await write.remove(path);
    this.#placed = true;
    const all = [...this.#warnings, ...warnings];
    const files = await write.commit(artifactLocation, { at, texts, notes: { modelId, warnings: all } });
    const model = await tracking.finalizeLoggedModel(modelId, "READY");
    if (model.status !== ModelStatus.READY)
      throw new ApiError("INTERNAL", `model ${modelId} became ${ModelStatus[model.status]} while it was logged`);
    this.#ended = true;
    // The model is whole and READY: what is left of the claim is the next sweep's business, if not now.
    await write.release().catch((error) => onWarning(`the claim of ${modelId} could not be removed`, error));
    return { model: await describe(model), files, warnings: all };
  }

  async abort(error: unknown): Promise<void> {
    if (this.#ended) return;
    const { ending } = this.#deps;
    const done = this.#abort(error);
    ending.add(done);
    await done.finally(() => ending.delete(done));
  }

  async #abort(error: unknown): Promise<void> {
    const { write, tracking } = this.#deps;
    const reason = error instanceof Error ? error.message : String(error);
    // First of all: whoever sees that the row has FAILED may try again at once.
    if (!(error instanceof ApiError && NO_NEXT_TRY.includes(error.reason))) await write.keep();
    const model = await tracking.finalizeLoggedModel(this.modelId, "FAILED", reason);
    // A commit whose answer was lost on its way from the database may have made it READY: then it stays.
    const failed = model.status === ModelStatus.FAILED;
    await write.abort(failed && this.#placed ? model.artifactLocation : undefined);
    this.#ended = true;
  }
}

/** @throws ApiError INVALID_PATH for a name at the top that some file systems take for one which means something. */
function refuseCaseVariant(path: string): void {
  const top = path.split("/", 1)[0] ?? "";
  const meant = [MLMODEL, LOADED_META].find((name) => name.toLowerCase() === top.toLowerCase());
  if (meant !== undefined && meant !== top) refusePath(path, [`differs from ${meant} only in case; rename it`]);
  if (meant !== undefined && path !== top)
    refusePath(path, [`needs ${meant} to be a folder, but MLflow has a file of that name`]);
}
