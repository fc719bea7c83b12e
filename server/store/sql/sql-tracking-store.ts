// The tracking store on MLflow's SQL tables: which statements make one transaction. The statements lie in one file per
// resource.
import type { Model } from "@modelwire/proto";
import { ApiError } from "@modelwire/proto";
import type { NewLoggedModel, SearchLoggedModels, TrackingStore } from "../tracking-store.ts";
import { createLoggedModel } from "./create-logged-model.ts";
import { Database, type DatabaseOptions } from "./database.ts";
import * as experiments from "./experiments.ts";
import * as models from "./logged-models.ts";
import { getRun } from "./runs.ts";

export interface SqlTrackingStoreOptions extends DatabaseOptions {
  /** Milliseconds since 1970; the system's clock when absent. */
  now?: () => number;
}

const STATUS_MESSAGE_CHARACTERS = 1000;

export class SqlTrackingStore implements TrackingStore {
  readonly #database: Database;
  readonly #artifactRoot: string;
  readonly #now: () => number;

  private constructor(database: Database, artifactRoot: string, now: () => number) {
    this.#database = database;
    this.#artifactRoot = artifactRoot;
    this.#now = now;
  }

  /**
   * @param file Of the SQLite database; made when absent.
   * @param artifactRoot Absolute folder under which new experiments put their files.
   * @throws ApiError SCHEMA_REVISION.
   */
  static async open(file: string, artifactRoot: string, options: SqlTrackingStoreOptions = {}) {
    const now = options.now ?? Date.now;
    const nowMs = BigInt(now());
    const database = await Database.open(
      file,
      async (session) => {
        const description = "Default workspace for legacy resources";
        await session.insertInto("workspaces").values({ name: "default", description }).execute();
        await session
          .insertInto("experiments")
          .values({
            experiment_id: 0n,
            name: "Default",
            artifact_location: `${artifactRoot}/0`,
            lifecycle_stage: "active",
            creation_time: nowMs,
            last_update_time: nowMs,
          })
          .execute();
      },
      options,
    );
    return new SqlTrackingStore(database, artifactRoot, now);
  }

  getExperiment(experimentId: string) {
    return this.#database.read((session) => experiments.getExperiment(session, experimentId));
  }

  getExperimentByName(name: string) {
    return this.#database.read((session) => experiments.getExperimentByName(session, name));
  }

  createExperiment(name: string) {
    return this.#database.write("create experiment", (session) =>
      experiments.createExperiment(session, name, this.#artifactRoot, this.#nowMs()),
    );
  }

  getRun(runId: string) {
    return this.#database.read((session) => getRun(session, runId));
  }

  createLoggedModel(request: NewLoggedModel, signal?: AbortSignal) {
    return this.#database.write(
      "create model",
      (session) => createLoggedModel(session, request, this.#artifactRoot, this.#nowMs()),
      signal,
    );
  }

  finalizeLoggedModel(modelId: string, status: "READY" | "FAILED", message?: string): Promise<Model> {
    return this.#database.write(`finalize ${status}`, async (session) => {
      await session
        .updateTable("logged_models")
        .set({
          status: models.STATUS[status],
          status_message: message?.slice(0, STATUS_MESSAGE_CHARACTERS) ?? null,
          last_updated_timestamp_ms: this.#nowMs(),
        })
        .where("model_id", "=", modelId)
        .where("status", "=", models.STATUS.PENDING)
        .execute();
      const model = await models.findLoggedModel(session, modelId, "any");
      if (model) return model;
      throw new ApiError("MODEL_NOT_FOUND", `model ${modelId} was removed from the database while it was logged`);
    });
  }

  getLoggedModel(modelId: string) {
    return this.#database.read((session) => models.findLoggedModel(session, modelId, "active"));
  }

  getLoggedModelOfAnyStage(modelId: string) {
    return this.#database.read((session) => models.findLoggedModel(session, modelId, "any"));
  }

  newestReadyOfName(name: string) {
    return this.#database.read((session) => models.newestReadyOfName(session, name));
  }

  searchLoggedModels(request: SearchLoggedModels) {
    return this.#database.read((session) => models.searchLoggedModels(session, request));
  }

  deleteLoggedModel(modelId: string) {
    return this.#database.write("delete model", (session) => models.deleteLoggedModel(session, modelId, this.#nowMs()));
  }

  setLoggedModelTags(modelId: string, tags: Readonly<Record<string, string>>) {
    return this.#database.write("set tags", (session) => models.setLoggedModelTags(session, modelId, tags));
  }

  logLoggedModelParams(modelId: string, params: Readonly<Record<string, string>>) {
    return this.#database.write("log params", (session) => models.logLoggedModelParams(session, modelId, params));
  }

  close() {
    return this.#database.close();
  }

  #nowMs(): bigint {
    return BigInt(this.#now());
  }
}
