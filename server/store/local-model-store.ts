// The model store on a tracking store and an artifact store.
import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import {
  ApiError,
  invalidFields,
  type LogModelHeader,
  type Model,
  type ModelFile,
  ModelStatus,
} from "@modelwire/proto";
import type { Mlmodel } from "../mlmodel/mlmodel-file.ts";
import { servableOf } from "../mlmodel/servable.ts";
import type { ArtifactStore, ArtifactWrite, Content } from "./artifact-store.ts";
import { LocalModelUpload } from "./local-model-upload.ts";
import { ModelDescriber } from "./model-describe.ts";
import { checkContents, checkHeader, headerDigest, MODEL_ID } from "./model-header.ts";
import type { Begun, LoggedModel, ModelFolder, ModelStore, SearchModels, SweepReport } from "./model-store.ts";
import { pageSize, readPageToken, writePageToken } from "./page-token.ts";
import type { TrackingStore } from "./tracking-store.ts";

/** Tags by which a repeated request is known again, after a restart too. */
const REQUEST_ID_TAG = "modelwire.requestId";
const REQUEST_DIGEST_TAG = "modelwire.requestDigest";

/** A page ends early when it would be too much for a message: signatures may be long. */
const MAX_PAGE_BYTES = 2 << 20;

/** What a folder without the file says. */
const NO_MLMODEL: Mlmodel = { flavors: {}, signature: undefined, metadata: undefined, other: {} };

export interface LocalModelStoreDeps {
  readonly tracking: TrackingStore;
  readonly artifacts: ArtifactStore;
  /** 32 hexadecimal digits for a new model; random when absent. */
  readonly newId?: () => string;
  /** Told of what goes wrong where nobody waits for it. */
  readonly onWarning?: (message: string, error: unknown) => void;
}

export class LocalModelStore implements ModelStore {
  readonly #tracking: TrackingStore;
  readonly #artifacts: ArtifactStore;
  readonly #describer: ModelDescriber;
  readonly #ending = new Set<Promise<void>>();
  readonly #newId: () => string;
  readonly #onWarning: (message: string, error: unknown) => void;

  constructor(deps: LocalModelStoreDeps) {
    this.#tracking = deps.tracking;
    this.#artifacts = deps.artifacts;
    this.#describer = new ModelDescriber(deps.artifacts);
    this.#newId = deps.newId ?? (() => randomUUID().replaceAll("-", ""));
    this.#onWarning = deps.onWarning ?? (() => {});
  }

  async begin(header: LogModelHeader, signal?: AbortSignal): Promise<Begun> {
    checkHeader(header);
    const modelId = `m-${this.#newId()}`;
    const digest = headerDigest(header);
    // The claim comes before the row: a row that is PENDING must always have something by which a sweep finds it.
    const write = await this.#artifacts.begin(modelId);
    const begun = await this.#createOrReplay(modelId, header, digest, signal).catch(async (error) => {
      // Only when the row is surely not there; otherwise the next start's sweep looks.
      if (error instanceof ApiError || signal?.aborted) await this.#release(write);
      throw error;
    });
    if ("replay" in begun) {
      await this.#release(write);
      return begun;
    }
    const upload = new LocalModelUpload(begun.created, header, {
      write,
      tracking: this.#tracking,
      ending: this.#ending,
      describe: (model) => this.#describer.describe(model),
      onWarning: this.#onWarning,
    });
    try {
      this.#artifacts.checkRoot(begun.created.artifactLocation);
      signal?.throwIfAborted();
    } catch (error) {
      await upload.abort(error);
      throw error;
    }
    return { upload };
  }

  async get(ref: string): Promise<Model> {
    return await this.#describer.describe(await this.#find(ref));
  }

  async held(contents: readonly Content[]): Promise<number[]> {
    checkContents(contents);
    await Promise.allSettled(this.#ending);
    return await this.#artifacts.held(contents);
  }

  async folder(ref: string): Promise<ModelFolder> {
    const model = await this.#ready(ref);
    const { artifactLocation } = model;
    const path = await this.#artifacts.materialize(artifactLocation);
    const mlmodel = (await this.#describer.mlmodel(model)) ?? NO_MLMODEL;
    const files = (await this.#artifacts.list(artifactLocation)).map((file) => file.path);
    const servable = servableOf(mlmodel, files);
    const top =
      servable.kind === "llm" ? servable.folder : servable.kind === "onnx" ? dirname(servable.file) : undefined;
    if (top === undefined) return { model, path, servable, mlmodel };
    // What reads these files later follows links, wherever they lead.
    const link = (await this.#artifacts.links(artifactLocation)).find(
      (found) => top === "" || top === "." || found.startsWith(`${top}/`),
    );
    if (link === undefined) return { model, path, servable, mlmodel };
    return {
      model,
      path,
      servable: { kind: "none", reason: `"${link}" is a symbolic link, and none is followed` },
      mlmodel,
    };
  }

  async search(request: SearchModels) {
    const after = readPageToken(request);
    const ids = request.experimentIds.filter((id) => !/^\d{1,19}$/.test(id));
    if (ids.length > 0)
      throw invalidFields(
        ids.map((id) => ({ field: "experiment_ids", description: `must be decimal text, got "${id}"` })),
      );
    const limit = pageSize(request.pageSize);
    const found = await this.#tracking.searchLoggedModels({ ...request, limit: limit + 1, after });
    const models: Model[] = [];
    let bytes = 0;
    for (const model of found.slice(0, limit)) {
      bytes += messageBytes(await this.#describer.describe(model));
      if (bytes > MAX_PAGE_BYTES && models.length > 0) break;
      models.push(model);
    }
    const more = found.length > models.length;
    return { models, nextPageToken: more ? writePageToken(request, models.at(-1)!) : "" };
  }

  async delete(ref: string): Promise<Model> {
    const model = await this.#find(ref);
    if (!(await this.#tracking.deleteLoggedModel(model.modelId))) throw notFound(ref);
    return model;
  }

  async files(ref: string): Promise<ModelFile[]> {
    return await this.#artifacts.list((await this.#ready(ref)).artifactLocation);
  }

  async open(ref: string, path: string, offset: number, chunkBytes?: number) {
    const { artifactLocation } = await this.#ready(ref);
    return await this.#artifacts.open(artifactLocation, path, { offset, chunkBytes });
  }

  async sweep(): Promise<SweepReport> {
    const failed: string[] = [];
    let removed = 0;
    for await (const leftover of this.#artifacts.leftovers()) {
      const row = await this.#tracking.getLoggedModelOfAnyStage(leftover.id);
      // First the row, then the folder: were it the other way round, a crash in between would leave a row that says
      // PENDING and that nobody owns.
      const model =
        row?.status === ModelStatus.PENDING
          ? await this.#tracking.finalizeLoggedModel(row.modelId, "FAILED", "the server ended during the upload")
          : row;
      const complete = model === undefined || model.status === ModelStatus.READY;
      await leftover.discard(complete || !this.#canReach(model) ? undefined : model.artifactLocation);
      if (row?.status === ModelStatus.PENDING) failed.push(leftover.id);
      removed++;
    }
    return { failed, removed };
  }

  async close(): Promise<void> {
    await this.#artifacts.close();
    await this.#tracking.close();
  }

  /** An empty claim that stays behind harms nobody: the next sweep takes it. */
  async #release(write: ArtifactWrite): Promise<void> {
    await write.release().catch((error) => this.#onWarning("an empty claim could not be removed", error));
  }

  #canReach({ artifactLocation }: Model): boolean {
    try {
      this.#artifacts.checkRoot(artifactLocation);
      return true;
    } catch {
      return false;
    }
  }

  async #createOrReplay(
    modelId: string,
    header: LogModelHeader,
    digest: string,
    signal: AbortSignal | undefined,
    swept = false,
  ): Promise<{ created: Model } | { replay: LoggedModel }> {
    const { requestId } = header;
    const ownTags: Record<string, string> =
      requestId === "" ? {} : { [REQUEST_ID_TAG]: requestId, [REQUEST_DIGEST_TAG]: digest };
    const result = await this.#tracking.createLoggedModel(
      {
        modelId,
        name: header.name,
        experiment:
          header.experimentName !== ""
            ? { name: header.experimentName }
            : header.experimentId !== ""
              ? { id: header.experimentId }
              : undefined,
        runId: header.runId === "" ? undefined : header.runId,
        step: header.step,
        modelType: header.modelType === "" ? undefined : header.modelType,
        params: header.params,
        tags: { ...clientTags(), ...header.tags, ...ownTags },
        uniqueTag: requestId === "" ? undefined : { key: REQUEST_ID_TAG, value: requestId },
      },
      signal,
    );
    if ("created" in result) return result;
    const { existing, deleted } = result;
    if (existing.tags[REQUEST_DIGEST_TAG] !== digest) throw reused(requestId, existing, "for another header");
    if (deleted) throw reused(requestId, existing, "and that model has been deleted since");
    if (existing.status === ModelStatus.READY) return { replay: await this.#replay(existing) };
    // Its process may be dead: then the sweep ends it, and the request can be made anew.
    if (!swept && (await this.sweep()).failed.includes(existing.modelId))
      return await this.#createOrReplay(modelId, header, digest, signal, true);
    throw new ApiError(
      "REQUEST_IN_PROGRESS",
      `request_id "${requestId}" is being worked on as model ${existing.modelId}; try again when that has ended`,
      { retryAfterMs: 1000, metadata: { model_id: existing.modelId } },
    );
  }

  async #replay(model: Model): Promise<LoggedModel> {
    const notes = await this.#artifacts.notes(model.artifactLocation);
    const warnings = Array.isArray(notes?.warnings) ? notes.warnings.map(String) : [];
    return {
      model: await this.#describer.describe(model),
      files: await this.#artifacts.list(model.artifactLocation),
      warnings,
    };
  }

  async #ready(ref: string): Promise<Model> {
    const model = await this.get(ref);
    if (model.status === ModelStatus.READY) return model;
    const state = model.status === ModelStatus.FAILED ? `failed: ${model.statusMessage}` : "still being uploaded";
    throw new ApiError("MODEL_NOT_READY", `model ${model.modelId} is not ready: ${state}`, {
      resource: { type: "model", name: ref },
      metadata: { model_id: model.modelId },
    });
  }

  async #find(ref: string): Promise<Model> {
    const id = ref.startsWith("models:/") ? ref.slice("models:/".length) : MODEL_ID.test(ref) ? ref : undefined;
    const model =
      id === undefined ? await this.#tracking.newestReadyOfName(ref) : await this.#tracking.getLoggedModel(id);
    if (model) return model;
    throw notFound(ref);
  }
}

/** About how long a model is on the wire. */
function messageBytes({ signature, params, tags, statusMessage }: Model): number {
  const texts = [signature?.inputs, signature?.outputs, signature?.params, statusMessage];
  for (const map of [params, tags]) texts.push(...Object.entries(map).flat());
  return texts.reduce((sum, text) => sum + 8 + Buffer.byteLength(text ?? ""), 1000);
}

function notFound(ref: string): ApiError {
  const what = ref.startsWith("models:/") || MODEL_ID.test(ref) ? "no model has the id" : "no READY model has the name";
  return new ApiError("MODEL_NOT_FOUND", `${what} "${ref}"; SearchModels lists what there is`, {
    resource: { type: "model", name: ref },
  });
}

function reused(requestId: string, { modelId }: Model, how: string): ApiError {
  return new ApiError(
    "REQUEST_ID_REUSED",
    `request_id "${requestId}" was used for model ${modelId} ${how}; choose a new request_id`,
    { metadata: { model_id: modelId } },
  );
}

/** The tags that MLflow's own client sets when it logs a model. A header may say otherwise. */
function clientTags(): Record<string, string> {
  return {
    "mlflow.user": userName(),
    "mlflow.source.name": "modelwire",
    "mlflow.source.type": "LOCAL",
  };
}

/** A container may run under a user id that has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "unknown";
  }
}
