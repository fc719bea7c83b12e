// One connection to an MLflow database: opened, checked for its revision, made when there is none; short transactions
// on it that live beside other programs. It must never know what the tables mean.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { ApiError } from "@modelwire/proto";
import { Kysely, SqliteDialect, sql } from "kysely";
import Sqlite from "libsql";
import { type Failpoint, noFailpoint } from "../failpoint.ts";
import { isBusy, storeError, whileBusy } from "./busy.ts";
import { MLFLOW_VERSION, SCHEMA_REVISION } from "./revision.ts";
import { schemaStatements } from "./schema/index.ts";
import type { Tables } from "./tables.ts";

/** What a transaction's statements run on. */
export type Session = Kysely<Tables>;

export interface DatabaseOptions {
  /** How long to wait for another program's lock, in milliseconds; 20,000, as MLflow's own busy_timeout. */
  busyWaitMs?: number;
  failpoint?: Failpoint;
}

export class Database {
  readonly #kysely: Kysely<Tables>;
  readonly #connection: Connection;
  readonly #busyWaitMs: number;
  readonly #failpoint: Failpoint;

  private constructor(connection: Connection, busyWaitMs: number, failpoint: Failpoint) {
    this.#connection = connection;
    this.#kysely = new Kysely<Tables>({ dialect: new SqliteDialect({ database: connection }) });
    this.#busyWaitMs = busyWaitMs;
    this.#failpoint = failpoint;
  }

  /**
   * Opens the database of `file`; an absent or empty one is made, with `seed` run in the transaction that makes it, so
   * that two processes may start at once and a crash leaves an empty file at worst.
   * @throws ApiError SCHEMA_REVISION for a database of another revision, which is left as it is.
   */
  static async open(file: string, seed: (session: Session) => Promise<void>, options: DatabaseOptions = {}) {
    const { busyWaitMs = 20_000, failpoint = noFailpoint } = options;
    await mkdir(dirname(file), { recursive: true });
    const connection = await whileBusy(busyWaitMs, async () => connect(file)).catch((error) => {
      throw notADatabase(file, error);
    });
    const database = new Database(connection, busyWaitMs, failpoint);
    try {
      if ((await database.read(foundRevision)) === undefined)
        await database.write("create", async (session) => {
          if ((await foundRevision(session)) !== undefined) return;
          for (const statement of schemaStatements()) await sql.raw(statement).execute(session);
          await session.insertInto("alembic_version").values({ version_num: SCHEMA_REVISION }).execute();
          await seed(session);
        });
      checkRevision(file, (await database.read(foundRevision)) ?? "none");
      return database;
    } catch (error) {
      await database.close();
      throw notADatabase(file, error);
    }
  }

  /** Runs `work` on one snapshot. It may be run more than once. */
  async read<T>(work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return await whileBusy(this.#busyWaitMs, () => this.#transaction("BEGIN", work, () => {}), signal);
  }

  /**
   * Runs `work` with the right to write, all of it or none. Between attempts to get that right the connection is free,
   * so reading goes on. `work` runs once.
   * @param label What is being done, for the failpoint.
   */
  async write<T>(label: string, work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#failpoint(`begin ${label}`);
    const commit = () => this.#failpoint(`commit ${label}`);
    const result = await whileBusy(this.#busyWaitMs, () => this.#transaction("BEGIN IMMEDIATE", work, commit), signal);
    this.#failpoint(`committed ${label}`);
    return result;
  }

  async #transaction<T>(
    begin: "BEGIN" | "BEGIN IMMEDIATE",
    work: (session: Session) => Promise<T>,
    beforeCommit: () => void,
  ): Promise<T> {
    return await this.#kysely.connection().execute(async (session) => {
      this.#begin(begin);
      try {
        const result = await work(session);
        beforeCommit();
        // A reader in another process may hold up the commit; the transaction stays open meanwhile.
        await whileBusy(this.#busyWaitMs, async () => this.#connection.exec("COMMIT"));
        return result;
      } catch (error) {
        this.#rollback();
        throw isBusy(error) ? new Error("locked within a transaction", { cause: error }) : error;
      }
    });
  }

  /**
   * Takes the lock at once, so that no later statement finds the database locked. Not by a prepared statement: libsql
   * leaves one that found it locked unfinished, and then no COMMIT succeeds any more ("SQL statements in progress")
   * while the locks of the transaction hold up every other program.
   */
  #begin(begin: "BEGIN" | "BEGIN IMMEDIATE"): void {
    this.#connection.exec(begin);
    try {
      this.#connection.exec("SELECT 1 FROM sqlite_master LIMIT 1");
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  #rollback(): void {
    // SQLite has rolled back by itself when, for one, the disk is full.
    if (this.#connection.inTransaction) this.#connection.exec("ROLLBACK");
  }

  async close(): Promise<void> {
    await this.#kysely.destroy();
    if (this.#connection.open) this.#connection.close();
  }
}

type Connection = Sqlite.Database;

function connect(file: string): Connection {
  const connection = new Sqlite(file);
  connection.defaultSafeIntegers(true);
  // foreign_keys and case_sensitive_like as in each session of MLflow's, which leaves journal_mode and synchronous at
  // SQLite's own delete and FULL. Its busy_timeout of 20 s is waited for in whileBusy instead.
  try {
    for (const pragma of ["busy_timeout = 0", "foreign_keys = ON", "synchronous = FULL", "case_sensitive_like = true"])
      connection.exec(`PRAGMA ${pragma}`);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** The revision that the database says, "none" for tables without one, undefined for an empty file. */
async function foundRevision(session: Session): Promise<string | undefined> {
  const tables = await sql<{ name: string }>`SELECT name FROM sqlite_master WHERE type = 'table'`.execute(session);
  if (tables.rows.length === 0) return undefined;
  if (!tables.rows.some(({ name }) => name === "alembic_version")) return "none";
  const rows = await session.selectFrom("alembic_version").select("version_num").execute();
  return rows.map((row) => row.version_num).join(", ") || "none";
}

function checkRevision(file: string, found: string): void {
  if (found === SCHEMA_REVISION) return;
  throw new ApiError(
    "SCHEMA_REVISION",
    `${file} is at schema revision ${found}; this release reads and writes ${SCHEMA_REVISION}, that of MLflow ${MLFLOW_VERSION}, and never migrates. For an older database take a backup and run "mlflow db upgrade sqlite:///${file}" with MLflow ${MLFLOW_VERSION}; for a newer one use a newer Modelwire; or choose another store folder`,
    { metadata: { found, expected: SCHEMA_REVISION } },
  );
}

function notADatabase(file: string, error: unknown): unknown {
  if (!(error instanceof Error && "code" in error && error.code === "SQLITE_NOTADB")) return storeError(error);
  return new ApiError("SCHEMA_REVISION", `${file} is no SQLite database; choose another store folder`, {
    metadata: { found: "none", expected: SCHEMA_REVISION },
    cause: error,
  });
}
