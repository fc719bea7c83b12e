// All tables of MLflow's database at the revision of ../revision.ts, and the statements that make an empty one.
import { EVALUATION_TABLES } from "./evaluation.ts";
import { GATEWAY_TABLES } from "./gateway.ts";
import { JOBS_TABLES } from "./jobs.ts";
import { LOGGED_MODELS_TABLES } from "./logged-models.ts";
import { MCP_TABLES } from "./mcp.ts";
import { REGISTRY_TABLES } from "./registry.ts";
import { createStatements, type TableSpec } from "./table-spec.ts";
import { TRACES_TABLES } from "./traces.ts";
import { TRACKING_TABLES } from "./tracking.ts";

export const TABLES: Readonly<Record<string, TableSpec>> = {
  ...JOBS_TABLES,
  ...TRACKING_TABLES,
  ...LOGGED_MODELS_TABLES,
  ...REGISTRY_TABLES,
  ...TRACES_TABLES,
  ...EVALUATION_TABLES,
  ...GATEWAY_TABLES,
  ...MCP_TABLES,
};

/** DDL of the whole database, to be run in one transaction. Rows are not part of it. */
export function schemaStatements(): string[] {
  return Object.entries(TABLES).flatMap(([name, spec]) => createStatements(name, spec));
}
