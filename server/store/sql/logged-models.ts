// Rows of logged models, with their params and tags. Models come back as messages without what only files tell.
import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ApiError, invalidFields, type Model, ModelSchema, ModelStatus } from "@modelwire/proto";
import type { Selectable } from "kysely";
import type { SearchLoggedModels } from "../tracking-store.ts";
import type { Session } from "./database.ts";
import { MAX_ID } from "./experiments.ts";
import type { Tables } from "./tables.ts";

type Row = Selectable<Tables["logged_models"]>;

/** MLflow's numbers in logged_models.status; the proto's are the same. */
export const STATUS = { PENDING: 1n, READY: 2n, FAILED: 3n } as const;

/** How many models one query for tags and params may name; SQLite takes 32,766 parameters. */
const IDS_PER_QUERY = 1000;

export async function findLoggedModel(
  session: Session,
  modelId: string,
  stage: "active" | "any",
): Promise<Model | undefined> {
  const row = await session.selectFrom("logged_models").selectAll().where("model_id", "=", modelId).executeTakeFirst();
  if (!row || (stage === "active" && row.lifecycle_stage === "deleted")) return undefined;
  return (await modelsOf(session, [row]))[0];
}

/** The one of this tag that counts: not FAILED; deleted ones included. */
export async function findByTag(session: Session, key: string, value: string) {
  const row = await session
    .selectFrom("logged_models")
    .innerJoin("logged_model_tags", "logged_model_tags.model_id", "logged_models.model_id")
    .selectAll("logged_models")
    .where("tag_key", "=", key)
    .where("tag_value", "=", value)
    .where("status", "!=", STATUS.FAILED)
    .orderBy("creation_timestamp_ms")
    .executeTakeFirst();
  if (!row) return undefined;
  const [model] = await modelsOf(session, [row]);
  return { model: model!, deleted: row.lifecycle_stage === "deleted" };
}

export async function newestReadyOfName(session: Session, name: string): Promise<Model | undefined> {
  const row = await session
    .selectFrom("logged_models")
    .selectAll()
    .where("name", "=", name)
    .where("status", "=", STATUS.READY)
    .where("lifecycle_stage", "=", "active")
    .orderBy("creation_timestamp_ms", "desc")
    .orderBy("model_id")
    .executeTakeFirst();
  return row && (await modelsOf(session, [row]))[0];
}

export async function searchLoggedModels(session: Session, request: SearchLoggedModels): Promise<Model[]> {
  let query = session.selectFrom("logged_models").selectAll().where("lifecycle_stage", "=", "active");
  const ids = request.experimentIds.map(BigInt).filter((id) => id <= MAX_ID);
  if (request.experimentIds.length > 0) query = query.where("experiment_id", "in", ids);
  if (request.name !== "") query = query.where("name", "=", request.name);
  const { after } = request;
  if (after)
    query = query.where((is) =>
      is.or([
        is("creation_timestamp_ms", "<", after.creationMs),
        is.and([is("creation_timestamp_ms", "=", after.creationMs), is("model_id", ">", after.modelId)]),
      ]),
    );
  const rows = await query
    .orderBy("creation_timestamp_ms", "desc")
    .orderBy("model_id")
    .limit(BigInt(request.limit))
    .execute();
  return await modelsOf(session, rows);
}

/** @returns false when there is no active one. */
export async function deleteLoggedModel(session: Session, modelId: string, nowMs: bigint): Promise<boolean> {
  const { numUpdatedRows } = await session
    .updateTable("logged_models")
    .set({ lifecycle_stage: "deleted", last_updated_timestamp_ms: nowMs })
    .where("model_id", "=", modelId)
    .where("lifecycle_stage", "=", "active")
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

export async function setLoggedModelTags(
  session: Session,
  modelId: string,
  tags: Readonly<Record<string, string>>,
): Promise<void> {
  const experimentId = await experimentIdOf(session, modelId);
  for (const [tag_key, tag_value] of Object.entries(tags))
    await session
      .insertInto("logged_model_tags")
      .values({ model_id: modelId, experiment_id: experimentId, tag_key, tag_value })
      .onConflict((conflict) => conflict.columns(["model_id", "tag_key"]).doUpdateSet({ tag_value }))
      .execute();
}

export async function logLoggedModelParams(
  session: Session,
  modelId: string,
  params: Readonly<Record<string, string>>,
): Promise<void> {
  const experimentId = await experimentIdOf(session, modelId);
  const taken = await session
    .selectFrom("logged_model_params")
    .select("param_key")
    .where("model_id", "=", modelId)
    .where("param_key", "in", Object.keys(params))
    .execute();
  if (taken.length > 0)
    throw invalidFields(
      taken.map(({ param_key }) => ({
        field: `params["${param_key}"]`,
        description: `model ${modelId} has this parameter already, and parameters never change`,
      })),
    );
  for (const [param_key, param_value] of Object.entries(params))
    await session
      .insertInto("logged_model_params")
      .values({ model_id: modelId, experiment_id: experimentId, param_key, param_value })
      .execute();
}

async function experimentIdOf(session: Session, modelId: string): Promise<bigint> {
  const row = await session
    .selectFrom("logged_models")
    .select("experiment_id")
    .where("model_id", "=", modelId)
    .where("lifecycle_stage", "=", "active")
    .executeTakeFirst();
  if (row) return row.experiment_id;
  throw new ApiError("MODEL_NOT_FOUND", `no model has the id "${modelId}"`, {
    resource: { type: "model", name: modelId },
  });
}

/** The rows as messages, with the tags and params of all of them fetched together. */
async function modelsOf(session: Session, rows: readonly Row[]): Promise<Model[]> {
  const tags = new Map<string, Record<string, string>>();
  const params = new Map<string, Record<string, string>>();
  for (let start = 0; start < rows.length; start += IDS_PER_QUERY) {
    const ids = rows.slice(start, start + IDS_PER_QUERY).map((row) => row.model_id);
    for (const row of await session.selectFrom("logged_model_tags").selectAll().where("model_id", "in", ids).execute())
      entriesOf(tags, row.model_id)[row.tag_key] = row.tag_value;
    for (const row of await session
      .selectFrom("logged_model_params")
      .selectAll()
      .where("model_id", "in", ids)
      .execute())
      entriesOf(params, row.model_id)[row.param_key] = row.param_value;
  }
  return rows.map((row) =>
    create(ModelSchema, {
      modelId: row.model_id,
      name: row.name,
      experimentId: String(row.experiment_id),
      artifactLocation: row.artifact_location,
      status: Number(row.status) in ModelStatus ? (Number(row.status) as ModelStatus) : ModelStatus.UNSPECIFIED,
      statusMessage: row.status_message ?? "",
      modelType: row.model_type ?? "",
      sourceRunId: row.source_run_id ?? "",
      creationTime: timestampOf(row.creation_timestamp_ms),
      lastUpdateTime: timestampOf(row.last_updated_timestamp_ms),
      tags: entriesOf(tags, row.model_id),
      params: entriesOf(params, row.model_id),
      modelUri: `models:/${row.model_id}`,
    }),
  );
}

function entriesOf(all: Map<string, Record<string, string>>, modelId: string): Record<string, string> {
  // No prototype: a tag may be called "__proto__".
  const entries = all.get(modelId) ?? (Object.create(null) as Record<string, string>);
  all.set(modelId, entries);
  return entries;
}

function timestampOf(ms: bigint): Timestamp {
  const millis = ((ms % 1000n) + 1000n) % 1000n;
  return create(TimestampSchema, { seconds: (ms - millis) / 1000n, nanos: Number(millis) * 1_000_000 });
}
