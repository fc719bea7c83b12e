// The one revision of MLflow's database schema that this release reads and writes.

/** alembic_version.version_num of an MLflow 3.17.2 database. */
export const SCHEMA_REVISION = "dc11669786a5";

/** The MLflow release that makes databases of that revision. */
export const MLFLOW_VERSION = "3.17.2";
