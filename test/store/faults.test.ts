// Errors of the disk and of the database at each step of logging a model, injected where the real ones would arise.
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError, ModelStatus } from "@modelwire/proto";
import Sqlite from "libsql";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openModelStore } from "../../server/store/open.ts";
import { SCHEMA_REVISION } from "../../server/store/sql/revision.ts";
import { beginUpload, CONFIG, chunked, commitChat, logModel, reasonOf } from "./uploads.ts";

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "faults-")));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const failing = (code: string) => Object.assign(new Error(`${code}: injected`), { code });

/** A store whose next steps a test may let fail. */
async function faultyStore() {
  const steps: string[] = [];
  let fail: (step: string, index: number) => Error | undefined = () => undefined;
  const store = await openModelStore(root, undefined, {
    failpoint: (step) => {
      steps.push(step);
      const error = fail(step, steps.length);
      if (error) throw error;
    },
  });
  return {
    store,
    steps,
    failWhen: (rule: typeof fail) => {
      steps.length = 0;
      fail = rule;
    },
  };
}

/** As the service does it: abort on any error. */
async function logOrAbort(store: Awaited<ReturnType<typeof openModelStore>>): Promise<unknown> {
  const upload = await beginUpload(store);
  try {
    await upload.write("genai_config.json", chunked(CONFIG, 1000));
    await upload.write("sub/a.bin", chunked("0123456789", 1000));
    return await commitChat(upload);
  } catch (error) {
    await upload.abort(error);
    throw error;
  }
}

const filesLeft = () =>
  readdirSync(join(root, "mlruns"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.lock(-journal)?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));

test("a disk that is full at any step gives STORAGE_FULL, keeps nothing, and the store goes on when there is room", async () => {
  const { store, steps, failWhen } = await faultyStore();
  failWhen(() => undefined);
  await logOrAbort(store);
  const names = [...steps];
  await store.delete("phi");
  for (const [index, name] of names.entries()) {
    const inDatabase = /^(begin|commit|committed) /.test(name);
    if (inDatabase && !name.startsWith("commit ")) continue;
    // The claim's removal comes last, when the model is READY: its failure is no failure of the call.
    if (name.startsWith("remove ")) continue;
    // So that the folders above it must be made again, and the steps are the same as the first time.
    rmSync(join(root, "mlruns/0"), { recursive: true, force: true });
    failWhen((_, at) => (at === index + 1 ? failing(inDatabase ? "SQLITE_FULL" : "ENOSPC") : undefined));
    expect(await reasonOf(logOrAbort(store)), name).toBe("STORAGE_FULL");
    expect(filesLeft(), name).toEqual([]);
  }
  failWhen(() => undefined);
  expect(await logOrAbort(store)).toMatchObject({ model: { status: ModelStatus.READY } });
  const { models } = await store.search({ experimentIds: [], name: "", pageSize: 1000, pageToken: "" });
  expect(models.filter((model) => model.status === ModelStatus.PENDING)).toEqual([]);
  await store.close();
});

test("a claim that cannot be removed does not undo a model that is READY", async () => {
  const { store, failWhen } = await faultyStore();
  failWhen((step) => (step.startsWith("remove ") ? failing("EACCES") : undefined));
  expect((await logModel(store)).model.status).toBe(ModelStatus.READY);
  failWhen(() => undefined);
  await store.close();
  const next = await openModelStore(root);
  expect((await next.get("phi")).status).toBe(ModelStatus.READY);
  expect(filesLeft().filter((file) => file.includes(".modelwire-staging"))).toEqual([]);
  await next.close();
});

test("a file that is larger than the disk is refused before its first byte", async () => {
  const { store } = await faultyStore();
  const upload = await beginUpload(store);
  expect(await reasonOf(upload.write("huge", chunked("x"), { sizeBytes: 2 ** 60 }))).toBe("STORAGE_FULL");
  await upload.abort("full");
  await store.close();
});

test("a flush that fails is never tried again: the store takes no more files until it is opened anew", async () => {
  const { store, failWhen } = await faultyStore();
  const { model } = await logModel(store);
  failWhen((step) => (step.startsWith("sync ") ? failing("EIO") : undefined));
  await expect(logOrAbort(store)).rejects.toThrow(/EIO/);
  failWhen(() => undefined);
  await expect(logOrAbort(store)).rejects.toThrow(/takes no more files/);
  expect(await store.get("phi")).toEqual(model);
  await store.close();
  const next = await openModelStore(root);
  expect((await logModel(next)).model.status).toBe(ModelStatus.READY);
  await next.close();
});

describe("a database that another program works on", () => {
  /** A store, and a promise of the moment when it has tried in vain to take a step for the first time. */
  async function storeThatReaches(step: string) {
    let reached = () => {};
    const tried = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const store = await openModelStore(root, undefined, { failpoint: (name) => name === step && reached() });
    return { store, tried };
  }

  test("is waited for; reading goes on meanwhile", async () => {
    const { store, tried } = await storeThatReaches("begin create model");
    const other = new Sqlite(join(root, "mlflow.db"));
    other.exec("BEGIN IMMEDIATE");
    const logging = logModel(store);
    await tried;
    expect(await reasonOf(store.get("phi"))).toBe("MODEL_NOT_FOUND");
    other.exec("COMMIT");
    other.close();
    expect((await logging).model.name).toBe("phi");
    await store.close();
  });

  test("is given up after a while, with an error that says so", async () => {
    const store = await openModelStore(root, undefined, { busyWaitMs: 30 });
    const other = new Sqlite(join(root, "mlflow.db"));
    other.exec("BEGIN IMMEDIATE");
    await logModel(store).then(
      () => expect.unreachable(),
      (error: ApiError) => {
        expect(error).toBeInstanceOf(ApiError);
        expect([error.codeName, error.retryAfterMs]).toEqual(["UNAVAILABLE", 1000]);
        expect(error.message).toContain("held the lock");
      },
    );
    other.exec("ROLLBACK");
    other.close();
    expect((await logModel(store)).model.status).toBe(ModelStatus.READY);
    await store.close();
  });

  test("a reader holds up a commit, sees nothing of it, and no lock is left when it is done", async () => {
    const { store, tried } = await storeThatReaches("commit create model");
    const other = new Sqlite(join(root, "mlflow.db"));
    other.exec("BEGIN");
    const count = () => other.prepare("SELECT count(*) AS n FROM logged_models").raw().all();
    expect(count()).toEqual([[0]]);
    const logging = logModel(store);
    await tried;
    expect(count()).toEqual([[0]]);
    other.exec("COMMIT");
    await logging;
    expect(count()).toEqual([[1]]);
    other.exec("BEGIN EXCLUSIVE");
    other.exec("COMMIT");
    other.close();
    await store.close();
  });
});

describe("a database of another MLflow release", () => {
  const revisions = ["0584bdc529eb", "75868b020152", "ffffffffffff", ""];
  test.each(revisions)("at revision %j is refused, naming both, and left as it is", async (revision) => {
    await (await openModelStore(root)).close();
    const file = join(root, "mlflow.db");
    const db = new Sqlite(file);
    db.exec("DELETE FROM alembic_version");
    if (revision) db.exec(`INSERT INTO alembic_version VALUES ('${revision}')`);
    db.close();
    await openModelStore(root).then(
      () => expect.unreachable(),
      (error: ApiError) => {
        expect(error.reason).toBe("SCHEMA_REVISION");
        expect(error.metadata).toEqual({ found: revision || "none", expected: SCHEMA_REVISION });
        expect(error.message).toContain("mlflow db upgrade");
      },
    );
    const after = new Sqlite(file);
    expect(after.prepare("SELECT count(*) AS n FROM alembic_version").raw().all()).toEqual([[revision ? 1 : 0]]);
    after.close();
  });

  test("a file that is no database is refused too", async () => {
    writeFileSync(join(root, "mlflow.db"), "this is no database, and it is long enough to be seen as none".repeat(20));
    expect(await reasonOf(openModelStore(root))).toBe("SCHEMA_REVISION");
  });

  test("an empty file is a new store", async () => {
    writeFileSync(join(root, "mlflow.db"), "");
    const store = await openModelStore(root);
    expect((await logModel(store)).model.experimentId).toBe("0");
    await store.close();
  });
});
