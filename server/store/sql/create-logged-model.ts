// The one transaction that begins a logged model, with everything that MLflow's own client writes when it logs one.
import { randomUUID } from "node:crypto";
import { invalidFields, type Model } from "@modelwire/proto";
import type { CreatedLoggedModel, Experiment, NewLoggedModel, Run } from "../tracking-store.ts";
import type { Session } from "./database.ts";
import {
  createExperiment,
  DEFAULT_EXPERIMENT_ID,
  getExperiment,
  getExperimentByName,
  requireActive,
} from "./experiments.ts";
import { findByTag, findLoggedModel, STATUS } from "./logged-models.ts";
import { getRun, requireActiveRun } from "./runs.ts";

/** @param artifactRoot Where a new experiment's folder goes. */
export async function createLoggedModel(
  session: Session,
  request: NewLoggedModel,
  artifactRoot: string,
  nowMs: bigint,
): Promise<CreatedLoggedModel> {
  if (request.uniqueTag) {
    const found = await findByTag(session, request.uniqueTag.key, request.uniqueTag.value);
    if (found) return { existing: found.model, deleted: found.deleted };
  }
  const run = request.runId === undefined ? undefined : requireActiveRun(await getRun(session, request.runId));
  const experiment = await experimentFor(session, request, run, artifactRoot, nowMs);
  refuseDoubleParams(request, run);
  const experimentId = BigInt(experiment.experimentId);
  const { modelId } = request;
  await session
    .insertInto("logged_models")
    .values({
      model_id: modelId,
      experiment_id: experimentId,
      name: request.name,
      artifact_location: `${experiment.artifactLocation.replace(/\/+$/, "")}/models/${modelId}/artifacts`,
      creation_timestamp_ms: nowMs,
      last_updated_timestamp_ms: nowMs,
      status: STATUS.PENDING,
      lifecycle_stage: "active",
      model_type: request.modelType ?? null,
      source_run_id: request.runId ?? null,
    })
    .execute();
  const model = { model_id: modelId, experiment_id: experimentId };
  for (const [param_key, param_value] of Object.entries({ ...run?.params, ...request.params }))
    await session
      .insertInto("logged_model_params")
      .values({ ...model, param_key, param_value })
      .execute();
  for (const [tag_key, tag_value] of Object.entries(request.tags))
    await session
      .insertInto("logged_model_tags")
      .values({ ...model, tag_key, tag_value })
      .execute();
  if (run) await linkToRun(session, modelId, experimentId, run, request.step);
  return { created: (await findLoggedModel(session, modelId, "active")) as Model };
}

async function experimentFor(
  session: Session,
  { experiment }: NewLoggedModel,
  run: Run | undefined,
  artifactRoot: string,
  nowMs: bigint,
): Promise<Experiment> {
  if (experiment === undefined)
    return requireActive(await getExperiment(session, run?.experimentId ?? DEFAULT_EXPERIMENT_ID));
  const byName = "name" in experiment;
  const found = byName
    ? ((await getExperimentByName(session, experiment.name)) ??
      (await createExperiment(session, experiment.name, artifactRoot, nowMs)))
    : await getExperiment(session, experiment.id);
  if (run && run.experimentId !== found.experimentId)
    throw invalidFields([
      {
        field: byName ? "experiment_name" : "experiment_id",
        description: `run ${run.runId} belongs to experiment ${run.experimentId}, not to ${found.experimentId}; leave the experiment out`,
      },
    ]);
  return requireActive(found);
}

function refuseDoubleParams({ params }: NewLoggedModel, run: Run | undefined): void {
  const violations = Object.keys(params)
    .filter((key) => run !== undefined && Object.hasOwn(run.params, key))
    .map((key) => ({
      field: `params["${key}"]`,
      description: `run ${run?.runId} has this parameter too, and it is copied to the model; leave one of them out`,
    }));
  if (violations.length > 0) throw invalidFields(violations);
}

/** The model as an output of the run, and the run's metrics of the step as the model's. */
async function linkToRun(session: Session, modelId: string, experimentId: bigint, run: Run, step: bigint) {
  await session
    .insertInto("inputs")
    .values({
      input_uuid: randomUUID().replaceAll("-", ""),
      source_type: "RUN_OUTPUT",
      source_id: run.runId,
      destination_type: "MODEL_OUTPUT",
      destination_id: modelId,
      step,
    })
    .execute();
  for (const metric of run.metrics.filter((metric) => metric.step === step))
    await session
      .insertInto("logged_model_metrics")
      .values({
        model_id: modelId,
        metric_name: metric.key,
        metric_timestamp_ms: metric.timestampMs,
        metric_step: metric.step,
        // The table has no is_nan: MLflow writes 0 for a NaN here.
        metric_value: Number.isNaN(metric.value) ? 0 : metric.value,
        experiment_id: experimentId,
        run_id: run.runId,
      })
      // A run may hold two values of one timestamp and step; this table's key has room for one.
      .onConflict((conflict) => conflict.doNothing())
      .execute();
}
