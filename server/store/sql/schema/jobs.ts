// Background jobs, their locks and leases; and alembic's own table, which names the schema's revision.
// Facts of MLflow's database at the revision of ../revision.ts; nothing here may be changed for our own convenience.
import type { TableSpec } from "./table-spec.ts";

export const JOBS_TABLES: Readonly<Record<string, TableSpec>> = {
  alembic_version: {
    columns: {
      version_num: "VARCHAR(32)!",
    },
    primaryKey: ["alembic_version_pkc", "version_num"],
  },
  jobs: {
    columns: {
      id: "VARCHAR(36)!",
      creation_time: "BIGINT!",
      job_name: "VARCHAR(500)!",
      params: "TEXT!",
      timeout: "FLOAT",
      status: "INTEGER!",
      result: "TEXT",
      retry_count: "INTEGER!",
      last_update_time: "BIGINT!",
      workspace: "VARCHAR(63)! = 'default'",
      status_details: "JSON",
      creator: "VARCHAR(255)",
      executor_backend: "VARCHAR(255)",
      lease_expires_at: "BIGINT",
      status_message: "TEXT",
      progress: "JSON",
      progress_updated_at: "BIGINT",
      token_hash: "VARCHAR(64)",
      scoped_permissions: "JSON",
      next_attempt_at: "BIGINT",
    },
    primaryKey: ["jobs_pk", "id"],
    indexes: {
      index_jobs_name_status_creation_time: "job_name, workspace, status, creation_time",
      index_jobs_status_lease_expires_at: "status, lease_expires_at",
    },
  },
  job_locks: {
    columns: {
      lock_key: "VARCHAR(255)!",
      job_id: "VARCHAR(36)!",
      acquired_at: "BIGINT!",
    },
    primaryKey: ["job_locks_pk", "lock_key"],
    foreignKeys: [["fk_job_locks_job_id", "job_id", "jobs", "id", "delete cascade"]],
    indexes: {
      index_job_locks_job_id: "job_id",
    },
  },
  scheduler_leases: {
    columns: {
      lease_key: "VARCHAR(255)!",
      acquired_at: "BIGINT!",
      ttl_seconds: "INTEGER!",
    },
    primaryKey: ["scheduler_leases_pk", "lease_key"],
  },
};
