// Rows of experiments.
import { ApiError, invalidFields } from "@modelwire/proto";
import type { Experiment } from "../tracking-store.ts";
import type { Session } from "./database.ts";

/** MLflow's experiment for what belongs to no other. */
export const DEFAULT_EXPERIMENT_ID = "0";

/** Largest INTEGER of SQL. */
export const MAX_ID = 2n ** 63n - 1n;

export async function getExperiment(session: Session, experimentId: string): Promise<Experiment> {
  const id = /^\d{1,19}$/.test(experimentId) ? BigInt(experimentId) : undefined;
  const row =
    id === undefined || id > MAX_ID
      ? undefined
      : await session.selectFrom("experiments").selectAll().where("experiment_id", "=", id).executeTakeFirst();
  if (!row) throw noExperiment(experimentId);
  return experimentOf(row);
}

export async function getExperimentByName(session: Session, name: string): Promise<Experiment | undefined> {
  const row = await session
    .selectFrom("experiments")
    .selectAll()
    .where("workspace", "=", "default")
    .where("name", "=", name)
    .executeTakeFirst();
  return row && experimentOf(row);
}

/** @param artifactRoot The folder that holds one folder per experiment. */
export async function createExperiment(
  session: Session,
  name: string,
  artifactRoot: string,
  nowMs: bigint,
): Promise<Experiment> {
  if (await getExperimentByName(session, name))
    throw invalidFields([{ field: "name", description: `an experiment "${name}" exists already` }]);
  const { experiment_id: id } = await session
    .insertInto("experiments")
    .values({ name, lifecycle_stage: "active", creation_time: nowMs, last_update_time: nowMs })
    .returning("experiment_id")
    .executeTakeFirstOrThrow();
  const artifactLocation = `${artifactRoot}/${id}`;
  await session
    .updateTable("experiments")
    .set({ artifact_location: artifactLocation })
    .where("experiment_id", "=", id)
    .execute();
  return { experimentId: String(id), name, artifactLocation, lifecycleStage: "active" };
}

/** @throws ApiError EXPERIMENT_NOT_FOUND for a deleted one. */
export function requireActive(experiment: Experiment): Experiment {
  if (experiment.lifecycleStage === "active") return experiment;
  const { experimentId, name } = experiment;
  throw new ApiError(
    "EXPERIMENT_NOT_FOUND",
    `experiment ${experimentId} ("${name}") is deleted; restore it with MLflow, or name another one`,
    { resource: { type: "experiment", name: experimentId } },
  );
}

function noExperiment(experimentId: string): ApiError {
  return new ApiError(
    "EXPERIMENT_NOT_FOUND",
    `no experiment has the id "${experimentId}"; give experiment_name to have one created`,
    { resource: { type: "experiment", name: experimentId } },
  );
}

function experimentOf(row: {
  experiment_id: bigint;
  name: string;
  artifact_location: string | null;
  lifecycle_stage: string | null;
}): Experiment {
  return {
    experimentId: String(row.experiment_id),
    name: row.name,
    artifactLocation: row.artifact_location ?? "",
    lifecycleStage: row.lifecycle_stage === "deleted" ? "deleted" : "active",
  };
}
