// What the server needs of a tracking store: experiments, runs and logged models, as MLflow means them. Only shapes and
// promises; it must never know where the rows lie, nor that models have files.
import type { Model } from "@modelwire/proto";

export interface Experiment {
  /** Decimal text of up to 19 digits. */
  readonly experimentId: string;
  readonly name: string;
  /** Where MLflow puts the experiment's files: a plain absolute path in a local store. */
  readonly artifactLocation: string;
  readonly lifecycleStage: "active" | "deleted";
}

export interface Metric {
  readonly key: string;
  readonly value: number;
  readonly timestampMs: bigint;
  readonly step: bigint;
}

export interface Run {
  readonly runId: string;
  readonly name: string;
  readonly experimentId: string;
  readonly lifecycleStage: "active" | "deleted";
  readonly params: Readonly<Record<string, string>>;
  /** Every value ever logged, in no order. */
  readonly metrics: readonly Metric[];
}

/** A logged model to be: MLflow's own client does all of this in several calls when it logs a model. */
export interface NewLoggedModel {
  readonly modelId: string;
  readonly name: string;
  /** By id, by name (created when there is none), or the one of the run, and "0" without a run. */
  readonly experiment: { readonly id: string } | { readonly name: string } | undefined;
  /** Its params, and its metrics of `step`, are copied, and it gets the model as an output. */
  readonly runId: string | undefined;
  readonly step: bigint;
  readonly modelType: string | undefined;
  readonly params: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  /** At most one active model that is PENDING or READY has this tag and value; such a one is given back instead. */
  readonly uniqueTag: { readonly key: string; readonly value: string } | undefined;
}

/** `created` is PENDING; `existing` has the unique tag already. */
export type CreatedLoggedModel = { readonly created: Model } | { readonly existing: Model; readonly deleted: boolean };

export interface SearchLoggedModels {
  /** Empty means all. */
  readonly experimentIds: readonly string[];
  /** Empty means all. */
  readonly name: string;
  readonly limit: number;
  /** Last model of the page before. */
  readonly after: { readonly creationMs: bigint; readonly modelId: string } | undefined;
}

/**
 * Models come back as the rows have them: `flavors`, `signature`, `task` and `sizeBytes` are not theirs to know. Deleted
 * ones are not found unless a method says so.
 */
export interface TrackingStore {
  /** @throws ApiError EXPERIMENT_NOT_FOUND. Deleted ones are found. */
  getExperiment(experimentId: string): Promise<Experiment>;
  /** Deleted ones are found, since their names stay taken. */
  getExperimentByName(name: string): Promise<Experiment | undefined>;
  /** @throws ApiError INVALID_FIELD when the name is taken. */
  createExperiment(name: string): Promise<Experiment>;
  /** @throws ApiError RUN_NOT_FOUND. Deleted ones are found. */
  getRun(runId: string): Promise<Run>;
  /**
   * All of it or nothing.
   * @throws ApiError EXPERIMENT_NOT_FOUND or RUN_NOT_FOUND, deleted ones included; INVALID_FIELD for a param that the
   * run has too, or an experiment that is not the run's.
   */
  createLoggedModel(model: NewLoggedModel, signal?: AbortSignal): Promise<CreatedLoggedModel>;
  /**
   * Ends the PENDING state; a model in any other state is left as it is and comes back so.
   * @param message Why it failed; cut to 1,000 characters.
   */
  finalizeLoggedModel(modelId: string, status: "READY" | "FAILED", message?: string): Promise<Model>;
  getLoggedModel(modelId: string): Promise<Model | undefined>;
  /** Deleted ones too: for the sweep, which must not take a deleted model's files for leftovers. */
  getLoggedModelOfAnyStage(modelId: string): Promise<Model | undefined>;
  newestReadyOfName(name: string): Promise<Model | undefined>;
  /** Newest first, then by id. */
  searchLoggedModels(request: SearchLoggedModels): Promise<Model[]>;
  /** Marks it deleted. @returns false when there is none. */
  deleteLoggedModel(modelId: string): Promise<boolean>;
  /** A key that is there already gets the new value. @throws ApiError MODEL_NOT_FOUND. */
  setLoggedModelTags(modelId: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /** @throws ApiError MODEL_NOT_FOUND, or INVALID_FIELD for a key that is there already, as in MLflow. */
  logLoggedModelParams(modelId: string, params: Readonly<Record<string, string>>): Promise<void>;
  close(): Promise<void>;
}
