// Rows of runs, with what they hold.
import { ApiError } from "@modelwire/proto";
import type { Metric, Run } from "../tracking-store.ts";
import type { Session } from "./database.ts";

export async function getRun(session: Session, runId: string): Promise<Run> {
  const row = await session.selectFrom("runs").selectAll().where("run_uuid", "=", runId).executeTakeFirst();
  if (!row) throw noRun(runId, `no run has the id "${runId}"`);
  const params = await session.selectFrom("params").select(["key", "value"]).where("run_uuid", "=", runId).execute();
  const metrics = await session.selectFrom("metrics").selectAll().where("run_uuid", "=", runId).execute();
  return {
    runId,
    name: row.name ?? "",
    experimentId: String(row.experiment_id ?? 0n),
    lifecycleStage: row.lifecycle_stage === "deleted" ? "deleted" : "active",
    params: Object.fromEntries(params.map(({ key, value }) => [key, value])),
    metrics: metrics.map(
      (metric): Metric => ({
        key: metric.key,
        value: metric.is_nan === 1n ? Number.NaN : metric.value,
        timestampMs: metric.timestamp,
        step: metric.step,
      }),
    ),
  };
}

/** @throws ApiError RUN_NOT_FOUND for a deleted one. */
export function requireActiveRun(run: Run): Run {
  if (run.lifecycleStage === "active") return run;
  throw noRun(run.runId, `run "${run.runId}" is deleted; restore it with MLflow, or log into another run`);
}

function noRun(runId: string, message: string): ApiError {
  return new ApiError("RUN_NOT_FOUND", message, { resource: { type: "run", name: runId } });
}
