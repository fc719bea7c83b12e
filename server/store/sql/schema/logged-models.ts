// Logged models with their parameters, tags and metrics.
// Facts of MLflow's database at the revision of ../revision.ts; nothing here may be changed for our own convenience.
import type { TableSpec } from "./table-spec.ts";

export const LOGGED_MODELS_TABLES: Readonly<Record<string, TableSpec>> = {
  logged_models: {
    columns: {
      model_id: "VARCHAR(36)!",
      experiment_id: "INTEGER!",
      name: "VARCHAR(500)!",
      artifact_location: "VARCHAR(1000)!",
      creation_timestamp_ms: "BIGINT!",
      last_updated_timestamp_ms: "BIGINT!",
      status: "INTEGER!",
      lifecycle_stage: "VARCHAR(32)",
      model_type: "VARCHAR(500)",
      source_run_id: "VARCHAR(32)",
      status_message: "VARCHAR(1000)",
    },
    primaryKey: ["logged_models_pk", "model_id"],
    checks: [["logged_models_lifecycle_stage_check", "lifecycle_stage IN ('active', 'deleted')"]],
    foreignKeys: [
      ["fk_logged_models_experiment_id", "experiment_id", "experiments", "experiment_id", "delete cascade"],
    ],
  },
  logged_model_params: {
    columns: {
      model_id: "VARCHAR(36)!",
      experiment_id: "INTEGER!",
      param_key: "VARCHAR(255)!",
      param_value: "TEXT!",
    },
    primaryKey: ["logged_model_params_pk", "model_id, param_key"],
    foreignKeys: [
      ["fk_logged_model_params_experiment_id", "experiment_id", "experiments", "experiment_id"],
      ["fk_logged_model_params_model_id", "model_id", "logged_models", "model_id", "delete cascade"],
    ],
  },
  logged_model_tags: {
    columns: {
      model_id: "VARCHAR(36)!",
      experiment_id: "INTEGER!",
      tag_key: "VARCHAR(255)!",
      tag_value: "TEXT!",
    },
    primaryKey: ["logged_model_tags_pk", "model_id, tag_key"],
    foreignKeys: [
      ["fk_logged_model_tags_experiment_id", "experiment_id", "experiments", "experiment_id"],
      ["fk_logged_model_tags_model_id", "model_id", "logged_models", "model_id", "delete cascade"],
    ],
  },
  logged_model_metrics: {
    columns: {
      model_id: "VARCHAR(36)!",
      metric_name: "VARCHAR(500)!",
      metric_timestamp_ms: "BIGINT!",
      metric_step: "BIGINT!",
      metric_value: "FLOAT",
      experiment_id: "INTEGER!",
      run_id: "VARCHAR(32)!",
      dataset_uuid: "VARCHAR(36)",
      dataset_name: "VARCHAR(500)",
      dataset_digest: "VARCHAR(36)",
    },
    primaryKey: ["logged_model_metrics_pk", "model_id, metric_name, metric_timestamp_ms, metric_step, run_id"],
    foreignKeys: [
      ["fk_logged_model_metrics_experiment_id", "experiment_id", "experiments", "experiment_id"],
      ["fk_logged_model_metrics_model_id", "model_id", "logged_models", "model_id", "delete cascade"],
      ["fk_logged_model_metrics_run_id", "run_id", "runs", "run_uuid", "delete cascade"],
    ],
    indexes: {
      index_logged_model_metrics_model_id: "model_id",
    },
  },
};
