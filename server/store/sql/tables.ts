// Row types of the tables that the store uses. Every INTEGER and BIGINT is a bigint here: experiment ids have 18 digits,
// and a JavaScript number bound to a text column would arrive as "5.0".
import type { Generated } from "kysely";

export interface Tables {
  alembic_version: { version_num: string };
  workspaces: { name: string; description: string | null };
  experiments: {
    experiment_id: Generated<bigint>;
    name: string;
    artifact_location: string | null;
    lifecycle_stage: string | null;
    creation_time: bigint | null;
    last_update_time: bigint | null;
    workspace: Generated<string>;
  };
  runs: {
    run_uuid: string;
    name: string | null;
    status: string | null;
    lifecycle_stage: string | null;
    artifact_uri: string | null;
    experiment_id: bigint | null;
  };
  params: { key: string; value: string; run_uuid: string };
  metrics: {
    key: string;
    value: number;
    timestamp: bigint;
    run_uuid: string;
    step: Generated<bigint>;
    is_nan: Generated<bigint>;
  };
  inputs: {
    input_uuid: string;
    source_type: string;
    source_id: string;
    destination_type: string;
    destination_id: string;
    step: Generated<bigint>;
  };
  logged_models: {
    model_id: string;
    experiment_id: bigint;
    name: string;
    artifact_location: string;
    creation_timestamp_ms: bigint;
    last_updated_timestamp_ms: bigint;
    status: bigint;
    lifecycle_stage: string | null;
    model_type: string | null;
    source_run_id: string | null;
    status_message: string | null;
  };
  logged_model_params: { model_id: string; experiment_id: bigint; param_key: string; param_value: string };
  logged_model_tags: { model_id: string; experiment_id: bigint; tag_key: string; tag_value: string };
  logged_model_metrics: {
    model_id: string;
    metric_name: string;
    metric_timestamp_ms: bigint;
    metric_step: bigint;
    metric_value: number | null;
    experiment_id: bigint;
    run_id: string;
    dataset_uuid: string | null;
    dataset_name: string | null;
    dataset_digest: string | null;
  };
}
