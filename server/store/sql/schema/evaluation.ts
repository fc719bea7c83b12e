// Evaluation: data sets, scorers, label schemas, review queues, issues.
// Facts of MLflow's database at the revision of ../revision.ts; nothing here may be changed for our own convenience.
import type { TableSpec } from "./table-spec.ts";

export const EVALUATION_TABLES: Readonly<Record<string, TableSpec>> = {
  evaluation_datasets: {
    columns: {
      dataset_id: "VARCHAR(36)!",
      name: "VARCHAR(255)!",
      schema: "TEXT",
      profile: "TEXT",
      digest: "VARCHAR(64)",
      created_time: "BIGINT",
      last_update_time: "BIGINT",
      created_by: "VARCHAR(255)",
      last_updated_by: "VARCHAR(255)",
      workspace: "VARCHAR(63)! = 'default'",
    },
    primaryKey: ["evaluation_datasets_pk", "dataset_id"],
    indexes: {
      idx_evaluation_datasets_workspace: "workspace",
      index_evaluation_datasets_created_time: "created_time",
      index_evaluation_datasets_name: "name",
    },
  },
  evaluation_dataset_records: {
    columns: {
      dataset_record_id: "VARCHAR(36)!",
      dataset_id: "VARCHAR(36)!",
      inputs: "JSON!",
      expectations: "JSON",
      tags: "JSON",
      source: "JSON",
      source_id: "VARCHAR(36)",
      source_type: "VARCHAR(255)",
      created_time: "BIGINT",
      last_update_time: "BIGINT",
      created_by: "VARCHAR(255)",
      last_updated_by: "VARCHAR(255)",
      input_hash: "VARCHAR(64)!",
      outputs: "JSON",
    },
    primaryKey: ["evaluation_dataset_records_pk", "dataset_record_id"],
    foreignKeys: [
      ["fk_evaluation_dataset_records_dataset_id", "dataset_id", "evaluation_datasets", "dataset_id", "delete cascade"],
    ],
    unique: [["unique_dataset_input", "dataset_id, input_hash"]],
    indexes: {
      index_evaluation_dataset_records_dataset_id: "dataset_id",
    },
  },
  evaluation_dataset_tags: {
    columns: {
      dataset_id: "VARCHAR(36)!",
      key: "VARCHAR(255)!",
      value: "VARCHAR(5000)",
    },
    primaryKey: ["evaluation_dataset_tags_pk", "dataset_id, key"],
    foreignKeys: [
      ["fk_evaluation_dataset_tags_dataset_id", "dataset_id", "evaluation_datasets", "dataset_id", "delete cascade"],
    ],
    indexes: {
      index_evaluation_dataset_tags_dataset_id: "dataset_id",
    },
  },
  scorers: {
    columns: {
      experiment_id: "INTEGER!",
      scorer_name: "VARCHAR(256)!",
      scorer_id: "VARCHAR(36)!",
    },
    primaryKey: ["scorer_pk", "scorer_id"],
    foreignKeys: [["fk_scorers_experiment_id", "experiment_id", "experiments", "experiment_id", "delete cascade"]],
    uniqueIndexes: {
      index_scorers_experiment_id_scorer_name: "experiment_id, scorer_name",
    },
  },
  scorer_versions: {
    columns: {
      scorer_id: "VARCHAR(36)!",
      scorer_version: "INTEGER!",
      serialized_scorer: "TEXT!",
      creation_time: "BIGINT",
    },
    primaryKey: ["scorer_version_pk", "scorer_id, scorer_version"],
    foreignKeys: [["fk_scorer_versions_scorer_id", "scorer_id", "scorers", "scorer_id", "delete cascade"]],
    indexes: {
      index_scorer_versions_scorer_id: "scorer_id",
    },
  },
  online_scoring_configs: {
    columns: {
      online_scoring_config_id: "VARCHAR(36)!",
      scorer_id: "VARCHAR(36)!",
      sample_rate: "FLOAT!",
      experiment_id: "INTEGER!",
      filter_string: "TEXT",
    },
    primaryKey: ["online_scoring_config_pk", "online_scoring_config_id"],
    foreignKeys: [
      ["fk_online_scoring_configs_scorer_id", "scorer_id", "scorers", "scorer_id", "delete cascade"],
      ["fk_online_scoring_configs_experiment_id", "experiment_id", "experiments", "experiment_id"],
    ],
  },
  label_schemas: {
    columns: {
      schema_id: "VARCHAR(36)!",
      experiment_id: "INTEGER!",
      name: "VARCHAR(250)!",
      type: "VARCHAR(16)!",
      instruction: "TEXT",
      enable_comment: "BOOLEAN! = '0'",
      input_type: "VARCHAR(32)!",
      input_config: "TEXT!",
      created_by: "VARCHAR(255)",
      created_time: "BIGINT!",
      last_update_time: "BIGINT!",
      is_default: "BOOLEAN! = 0",
    },
    primaryKey: ["label_schemas_pk", "schema_id"],
    foreignKeys: [
      ["fk_label_schemas_experiment_id", "experiment_id", "experiments", "experiment_id", "delete cascade"],
    ],
    unique: [["uq_label_schemas_exp_name", "experiment_id, name"]],
    indexes: {
      index_label_schemas_experiment_id: "experiment_id",
    },
  },
  review_queues: {
    columns: {
      queue_id: "VARCHAR(36)!",
      experiment_id: "INTEGER!",
      name: "VARCHAR(250)!",
      queue_type: "VARCHAR(16)!",
      created_by: "VARCHAR(255)",
      creation_time_ms: "BIGINT!",
      last_update_time_ms: "BIGINT!",
      name_key: "VARCHAR(250)!",
    },
    primaryKey: ["review_queues_pk", "queue_id"],
    foreignKeys: [
      ["fk_review_queues_experiment_id", "experiment_id", "experiments", "experiment_id", "delete cascade"],
    ],
    unique: [["uq_review_queues_experiment_name_key", "experiment_id, name_key"]],
    indexes: {
      index_review_queues_experiment_id: "experiment_id",
    },
  },
  review_queue_items: {
    columns: {
      queue_id: "VARCHAR(36)!",
      item_type: "VARCHAR(16)!",
      item_id: "VARCHAR(50)!",
      status: "VARCHAR(16)!",
      completed_by: "VARCHAR(250)",
      completed_time_ms: "BIGINT",
      creation_time_ms: "BIGINT!",
      last_update_time_ms: "BIGINT!",
    },
    primaryKey: ["review_queue_items_pk", "queue_id, item_id"],
    foreignKeys: [["fk_review_queue_items_queue_id", "queue_id", "review_queues", "queue_id", "delete cascade"]],
    indexes: {
      index_review_queue_items_item_id: "item_id",
      index_review_queue_items_queue_id_status: "queue_id, status",
    },
  },
  review_queue_users: {
    columns: {
      queue_id: "VARCHAR(36)!",
      user_id: "VARCHAR(250)!",
    },
    primaryKey: ["review_queue_users_pk", "queue_id, user_id"],
    foreignKeys: [["fk_review_queue_users_queue_id", "queue_id", "review_queues", "queue_id", "delete cascade"]],
    indexes: {
      index_review_queue_users_user_id: "user_id",
    },
  },
  review_queue_label_schemas: {
    columns: {
      queue_id: "VARCHAR(36)!",
      schema_id: "VARCHAR(36)!",
    },
    primaryKey: ["review_queue_label_schemas_pk", "queue_id, schema_id"],
    foreignKeys: [
      ["fk_review_queue_label_schemas_queue_id", "queue_id", "review_queues", "queue_id", "delete cascade"],
    ],
    indexes: {
      index_review_queue_label_schemas_schema_id: "schema_id",
    },
  },
  issues: {
    columns: {
      issue_id: "VARCHAR(36)!",
      experiment_id: "INTEGER!",
      name: "VARCHAR(250)!",
      description: "TEXT!",
      status: "VARCHAR(50)!",
      severity: "VARCHAR(50)",
      root_causes: "TEXT",
      source_run_id: "VARCHAR(32)",
      categories: "TEXT",
      created_timestamp: "BIGINT!",
      last_updated_timestamp: "BIGINT!",
      created_by: "VARCHAR(255)",
    },
    primaryKey: ["issues_pk", "issue_id"],
    foreignKeys: [
      ["fk_issues_experiment_id", "experiment_id", "experiments", "experiment_id", "delete cascade"],
      ["fk_issues_source_run_id", "source_run_id", "runs", "run_uuid", "delete set null"],
    ],
    indexes: {
      index_issues_experiment_id: "experiment_id",
      index_issues_source_run_id: "source_run_id",
      index_issues_status: "status",
    },
  },
};
