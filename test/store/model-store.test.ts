// The contract on SQLite and a local disk, and what is particular to them.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelStatus } from "@modelwire/proto";
import Sqlite from "libsql";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelStore } from "../../server/store/model-store.ts";
import { openModelStore } from "../../server/store/open.ts";
import { modelStoreContract } from "./model-store-contract.ts";
import { beginUpload, bytesOf, chunked, commitChat, header, logModel, reasonOf } from "./uploads.ts";

const folders: string[] = [];
const newFolder = () => {
  folders.push(realpathSync(mkdtempSync(join(tmpdir(), "store-"))));
  return folders.at(-1)!;
};
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Later by a millisecond with each call, so that "newest" has one meaning. */
const ticking = () => {
  let now = 1_795_000_000_000;
  return () => now++;
};

modelStoreContract("SQLite and a local disk", async () => {
  const root = newFolder();
  const now = ticking();
  const open = [await openModelStore(root, undefined, { now })];
  return {
    store: open[0]!,
    reopen: async () => {
      open.push(await openModelStore(root, undefined, { now }));
      return open.at(-1)!;
    },
    addRun: async () => {
      const db = new Sqlite(join(root, "mlflow.db"));
      for (const statement of RUN_ROWS) db.exec(statement);
      db.close();
      return { runId: "e1e53037f0014416b4d4ab21067a822b", experimentId: "123456789012345678" };
    },
    dispose: async () => {
      for (const store of open) await store.close();
    },
  };
});

/** As MLflow 3.17.2 writes a run of its fluent API; ids chosen. */
const RUN_ROWS = [
  "INSERT INTO experiments VALUES (123456789012345678, 'long', '/nowhere', 'active', 1795256356259, 1795256356259, 'default')",
  "UPDATE experiments SET artifact_location = (SELECT replace(artifact_location, '/0', '/123456789012345678') FROM experiments WHERE experiment_id = 0) WHERE experiment_id <> 0",
  "INSERT INTO runs VALUES ('e1e53037f0014416b4d4ab21067a822b', 'r', 'UNKNOWN', '', '', 'root', 'RUNNING', 1795256356307, NULL, '', 'active', '/nowhere', 123456789012345678, NULL)",
  "INSERT INTO params VALUES ('lr', '0.1', 'e1e53037f0014416b4d4ab21067a822b')",
  "INSERT INTO metrics VALUES ('loss', 0.5, 1795256356400, 'e1e53037f0014416b4d4ab21067a822b', 1, 0)",
  "INSERT INTO metrics VALUES ('loss', 0.25, 1795256356500, 'e1e53037f0014416b4d4ab21067a822b', 2, 0)",
  "INSERT INTO metrics VALUES ('bad', 0, 1795256356500, 'e1e53037f0014416b4d4ab21067a822b', 2, 1)",
];

describe("on disk and in the tables", () => {
  let root: string;
  let store: ModelStore;
  beforeEach(async () => {
    root = newFolder();
    store = await openModelStore(root);
  });
  afterEach(async () => await store.close());
  const rows = (statement: string) => {
    const db = new Sqlite(join(root, "mlflow.db"));
    try {
      return db.prepare(statement).raw().all();
    } finally {
      db.close();
    }
  };

  test("a model lies where MLflow puts it, and its manifest beside it", async () => {
    const { model } = await logModel(store);
    expect(model.artifactLocation).toBe(join(root, "mlruns/0/models", model.modelId, "artifacts"));
    expect(readdirSync(join(root, "mlruns/0/models", model.modelId)).sort()).toEqual(["artifacts", "manifest.json"]);
  });

  test("logging into a run writes what MLflow's own client writes", async () => {
    const db = new Sqlite(join(root, "mlflow.db"));
    for (const statement of RUN_ROWS) db.exec(statement);
    db.close();
    const { model } = await logModel(store, { runId: "e1e53037f0014416b4d4ab21067a822b", step: 2n });
    expect(
      rows("SELECT source_type, source_id, destination_type, destination_id, step, length(input_uuid) FROM inputs"),
    ).toEqual([["RUN_OUTPUT", "e1e53037f0014416b4d4ab21067a822b", "MODEL_OUTPUT", model.modelId, 2, 32]]);
    expect(rows("SELECT metric_name, metric_value, metric_step FROM logged_model_metrics ORDER BY 1")).toEqual([
      ["bad", 0, 2],
      ["loss", 0.25, 2],
    ]);
    expect(rows("SELECT tag_key FROM logged_model_tags ORDER BY 1").flat()).toEqual([
      "mlflow.source.name",
      "mlflow.source.type",
      "mlflow.user",
    ]);
    expect(
      rows("SELECT typeof(experiment_id), typeof(creation_timestamp_ms), status, model_type FROM logged_models"),
    ).toEqual([["integer", "integer", 2, null]]);
  });

  test("a deleted run or experiment takes no model", async () => {
    const db = new Sqlite(join(root, "mlflow.db"));
    for (const statement of RUN_ROWS) db.exec(statement);
    db.exec("UPDATE runs SET lifecycle_stage = 'deleted'");
    db.exec("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id <> 0");
    db.close();
    expect(await reasonOf(store.begin(header({ runId: "e1e53037f0014416b4d4ab21067a822b" })))).toBe("RUN_NOT_FOUND");
    expect(await reasonOf(store.begin(header({ experimentName: "long" })))).toBe("EXPERIMENT_NOT_FOUND");
    expect(rows("SELECT count(*) FROM logged_models")).toEqual([[0]]);
  });

  test("what Python leaves in a folder when it loads a model is no file of the model", async () => {
    const { model, files } = await logModel(store);
    writeFileSync(join(model.artifactLocation, "registered_model_meta"), "model_name: null\n");
    mkdirSync(join(model.artifactLocation, "code/__pycache__"));
    writeFileSync(join(model.artifactLocation, "code/__pycache__/x.pyc"), "x");
    expect(await store.files(model.modelId)).toEqual(files);
    expect(await reasonOf(store.open(model.modelId, "registered_model_meta", 0))).toBe("ARTIFACT_NOT_FOUND");
  });

  test("a model that another program logged is listed and read, without digests, and links in it are not followed", async () => {
    const location = join(root, "mlruns/0/models/m-5/artifacts");
    mkdirSync(join(location, "data"), { recursive: true });
    writeFileSync(
      join(location, "MLmodel"),
      "flavors:\n  python_function:\n    loader_module: x\nmetadata:\n  task: t\n",
    );
    writeFileSync(join(location, "data/a.bin"), "abc");
    writeFileSync(join(location, "registered_model_meta"), "x");
    writeFileSync(join(root, "secret"), "secret");
    symlinkSync(join(root, "secret"), join(location, "link"));
    symlinkSync(root, join(location, "folder"));
    const db = new Sqlite(join(root, "mlflow.db"));
    db.exec(
      `INSERT INTO logged_models VALUES ('m-5', 0, 'theirs', '${location}', 5, 6, 2, 'active', NULL, NULL, NULL)`,
    );
    db.close();
    const model = await store.get("theirs");
    expect(model).toMatchObject({ task: "t", flavors: ["python_function"], sizeBytes: 72n });
    expect((await store.files("theirs")).map(({ path, sha256 }) => [path, sha256])).toEqual([
      ["MLmodel", ""],
      ["data/a.bin", ""],
    ]);
    expect((await bytesOf(store, "theirs", "data/a.bin")).toString()).toBe("abc");
    expect((await store.folder("theirs")).servable).toMatchObject({ kind: "none" });
    for (const path of ["link", "folder/secret"])
      expect(await reasonOf(store.open("theirs", path, 0))).toBe("ARTIFACT_NOT_FOUND");
  });

  test.each([
    "/etc",
    "s3://bucket/x",
    "file:///etc",
    "mlflow-artifacts:/0/models/m-5/artifacts",
    "../..",
    "ROOT/mlruns/../../x",
    "ROOT",
  ])("files at %s are not read, and the model is still found", async (location) => {
    const db = new Sqlite(join(root, "mlflow.db"));
    const where = location.replace("ROOT", root);
    db.exec(`INSERT INTO logged_models VALUES ('m-5', 0, 'theirs', '${where}', 5, 6, 2, 'active', NULL, NULL, NULL)`);
    db.close();
    expect(await reasonOf(store.files("theirs"))).toBe("MODEL_NOT_SERVABLE");
    expect(await store.get("theirs")).toMatchObject({ status: ModelStatus.READY, flavors: [] });
  });

  test("a sweep leaves the uploads of a live process alone, here and in another store object", async () => {
    const upload = await beginUpload(store);
    await upload.write("genai_config.json", chunked('{"model": {"type": "t", "context_length": 1}}'));
    const other = await openModelStore(root);
    expect(await other.sweep()).toEqual({ failed: [], removed: 0 });
    expect(await store.sweep()).toEqual({ failed: [], removed: 0 });
    await other.close();
    expect((await commitChat(upload)).model.status).toBe(ModelStatus.READY);
  });

  test("only uploads on their way are private to the server's user", async () => {
    const { model } = await logModel(store);
    const mode = (path: string) => statSync(path).mode & 0o777;
    const usual = 0o777 & ~process.umask();
    expect(mode(join(root, "mlruns/.modelwire-staging"))).toBe(0o700);
    expect([join(root, "mlruns"), model.artifactLocation].map(mode)).toEqual([usual, usual]);
  });

  test("closing with nothing under way leaves nothing in the staging area", async () => {
    await logModel(store);
    await (await beginUpload(store)).abort("");
    await store.close();
    expect(readdirSync(join(root, "mlruns/.modelwire-staging"))).toEqual([]);
    store = await openModelStore(root);
  });
});
