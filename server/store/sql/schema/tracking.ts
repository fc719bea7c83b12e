// Experiments, runs, and what runs hold: parameters, tags, metrics, datasets, inputs and outputs.
// Facts of MLflow's database at the revision of ../revision.ts; nothing here may be changed for our own convenience.
import type { TableSpec } from "./table-spec.ts";

export const TRACKING_TABLES: Readonly<Record<string, TableSpec>> = {
  workspaces: {
    columns: {
      name: "VARCHAR(63)!",
      description: "TEXT",
      default_artifact_root: "TEXT",
      trace_archival_location: "TEXT",
      trace_archival_retention: "VARCHAR(32)",
    },
    primaryKey: ["workspaces_pk", "name"],
  },
  experiments: {
    columns: {
      experiment_id: "INTEGER!",
      name: "VARCHAR(256)!",
      artifact_location: "VARCHAR(256)",
      lifecycle_stage: "VARCHAR(32)",
      creation_time: "BIGINT",
      last_update_time: "BIGINT",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["experiment_pk", "experiment_id"],
    checks: [["experiments_lifecycle_stage", "lifecycle_stage IN ('active', 'deleted')"]],
    unique: [["uq_experiments_workspace_name", "workspace, name"]],
    indexes: {
      idx_experiments_workspace: "workspace",
      idx_experiments_workspace_creation_time: "workspace, creation_time",
    },
  },
  experiment_tags: {
    columns: {
      key: "VARCHAR(250)!",
      value: "TEXT",
      experiment_id: "INTEGER!",
    },
    primaryKey: ["experiment_tag_pk", "key, experiment_id"],
    foreignKeys: [["", "experiment_id", "experiments", "experiment_id"]],
  },
  runs: {
    columns: {
      run_uuid: "VARCHAR(32)!",
      name: "VARCHAR(250)",
      source_type: "VARCHAR(20)",
      source_name: "VARCHAR(500)",
      entry_point_name: "VARCHAR(50)",
      user_id: "VARCHAR(256)",
      status: "VARCHAR(9)",
      start_time: "BIGINT",
      end_time: "BIGINT",
      source_version: "VARCHAR(50)",
      lifecycle_stage: "VARCHAR(20)",
      artifact_uri: "VARCHAR(200)",
      experiment_id: "INTEGER",
      deleted_time: "BIGINT",
    },
    primaryKey: ["run_pk", "run_uuid"],
    checks: [
      ["source_type", "source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')"],
      ["runs_lifecycle_stage", "lifecycle_stage IN ('active', 'deleted')"],
      ["", "status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED')"],
    ],
    foreignKeys: [["", "experiment_id", "experiments", "experiment_id"]],
  },
  params: {
    columns: {
      key: "VARCHAR(250)!",
      value: "VARCHAR(8000)!",
      run_uuid: "VARCHAR(32)!",
    },
    primaryKey: ["param_pk", "key, run_uuid"],
    foreignKeys: [["", "run_uuid", "runs", "run_uuid"]],
    indexes: {
      index_params_run_uuid: "run_uuid",
    },
  },
  tags: {
    columns: {
      key: "VARCHAR(250)!",
      value: "VARCHAR(8000)",
      run_uuid: "VARCHAR(32)!",
    },
    primaryKey: ["tag_pk", "key, run_uuid"],
    foreignKeys: [["", "run_uuid", "runs", "run_uuid"]],
    indexes: {
      index_tags_run_uuid: "run_uuid",
    },
  },
  metrics: {
    columns: {
      key: "VARCHAR(250)!",
      value: "FLOAT!",
      timestamp: "BIGINT!",
      run_uuid: "VARCHAR(32)!",
      step: "BIGINT! = '0'",
      is_nan: "BOOLEAN! = '0'",
    },
    primaryKey: ["metric_pk", "key, timestamp, step, run_uuid, value, is_nan"],
    checks: [["", "is_nan IN (0, 1)"]],
    foreignKeys: [["", "run_uuid", "runs", "run_uuid"]],
    indexes: {
      index_metrics_run_uuid: "run_uuid",
      index_metrics_run_uuid_key_step: "run_uuid, key, step",
    },
  },
  latest_metrics: {
    columns: {
      key: "VARCHAR(250)!",
      value: "FLOAT!",
      timestamp: "BIGINT",
      step: "BIGINT!",
      is_nan: "BOOLEAN!",
      run_uuid: "VARCHAR(32)!",
    },
    primaryKey: ["latest_metric_pk", "key, run_uuid"],
    checks: [["", "is_nan IN (0, 1)"]],
    foreignKeys: [["", "run_uuid", "runs", "run_uuid"]],
    indexes: {
      index_latest_metrics_run_uuid: "run_uuid",
    },
  },
  datasets: {
    columns: {
      dataset_uuid: "VARCHAR(36)!",
      experiment_id: "INTEGER!",
      name: "VARCHAR(500)!",
      digest: "VARCHAR(36)!",
      dataset_source_type: "VARCHAR(36)!",
      dataset_source: "TEXT!",
      dataset_schema: "TEXT",
      dataset_profile: "TEXT",
    },
    primaryKey: ["dataset_pk", "experiment_id, name, digest"],
    foreignKeys: [
      ["fk_datasets_experiment_id_experiments", "experiment_id", "experiments", "experiment_id", "delete cascade"],
    ],
    indexes: {
      index_datasets_dataset_uuid: "dataset_uuid",
      index_datasets_experiment_id_dataset_source_type: "experiment_id, dataset_source_type",
    },
  },
  inputs: {
    columns: {
      input_uuid: "VARCHAR(36)!",
      source_type: "VARCHAR(36)!",
      source_id: "VARCHAR(36)!",
      destination_type: "VARCHAR(36)!",
      destination_id: "VARCHAR(36)!",
      step: "BIGINT! = '0'",
    },
    primaryKey: ["inputs_pk", "source_type, source_id, destination_type, destination_id"],
    indexes: {
      index_inputs_destination_type_destination_id_source_type: "destination_type, destination_id, source_type",
      index_inputs_input_uuid: "input_uuid",
    },
  },
  input_tags: {
    columns: {
      input_uuid: "VARCHAR(36)!",
      name: "VARCHAR(255)!",
      value: "VARCHAR(500)!",
    },
    primaryKey: ["input_tags_pk", "input_uuid, name"],
  },
  entity_associations: {
    columns: {
      association_id: "VARCHAR(36)!",
      source_type: "VARCHAR(36)!",
      source_id: "VARCHAR(36)!",
      destination_type: "VARCHAR(36)!",
      destination_id: "VARCHAR(36)!",
      created_time: "BIGINT",
    },
    primaryKey: ["entity_associations_pk", "source_type, source_id, destination_type, destination_id"],
    indexes: {
      index_entity_associations_association_id: "association_id",
      index_entity_associations_reverse_lookup: "destination_type, destination_id, source_type, source_id",
    },
  },
};
