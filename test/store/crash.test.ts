// A process that logs a model dies by SIGKILL at each of its steps. Afterwards: each acknowledged model is whole, none is
// half there, and nothing else is left.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { ModelStatus } from "@modelwire/proto";
import Sqlite from "libsql";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openModelStore } from "../../server/store/open.ts";
import { bytesOf, header, logModel } from "./uploads.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Children at a time. */
const WIDTH = 3;

const parent = realpathSync(mkdtempSync(join(tmpdir(), "crash-")));

/** The child in one file: it starts in a fifth of the time that it takes to load all sources. Has to lie where libsql is found. */
const bundle = here(`../../node_modules/.cache/modelwire-crash-child-${process.pid}`);
beforeAll(async () => {
  await build({
    configFile: false,
    logLevel: "error",
    resolve: { alias: { "@modelwire/proto": here("../../proto/index.ts") } },
    build: {
      ssr: here("crash-child.ts"),
      outDir: bundle,
      target: "node20",
      rollupOptions: { output: { format: "es", entryFileNames: "child.mjs" } },
    },
    ssr: { noExternal: true, external: ["libsql"] },
  });
});
afterAll(() => {
  for (const folder of [parent, bundle]) rmSync(folder, { recursive: true, force: true });
});
let roots = 0;
const newRoot = () => join(parent, String(++roots));

interface Story {
  steps: string[];
  acknowledged: string[];
  closed: boolean;
}

/** @param watch Told of each line, and may kill. */
async function child(
  root: string,
  step: number,
  requestId: string,
  watch?: (lines: number, child: ChildProcess) => void,
) {
  const started = spawn(process.execPath, [join(bundle, "child.mjs"), root, String(step), requestId], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const story: Story = { steps: [], acknowledged: [], closed: false };
  let problems = "";
  started.stderr.on("data", (data) => (problems += data));
  const ended = new Promise<NodeJS.Signals | null>((resolve) => started.on("close", (_, signal) => resolve(signal)));
  let lines = 0;
  for await (const line of createInterface({ input: started.stdout })) {
    if (line.startsWith("step ")) story.steps.push(line.slice(5));
    if (line.startsWith("acknowledged ")) story.acknowledged.push(line.slice(13));
    story.closed ||= line === "closed";
    watch?.(++lines, started);
  }
  const signal = await ended;
  if (!story.closed && signal !== "SIGKILL") throw new Error(`the child ended by itself:\n${problems}`);
  return story;
}

/** Opens the store as the next process would, and checks all that must hold. */
async function checkAfterwards(root: string, { acknowledged }: Story, requestId: string): Promise<void> {
  const store = await openModelStore(root);
  try {
    expect(await store.sweep()).toEqual({ failed: [], removed: 0 });
    const { models } = await store.search({ experimentIds: [], name: "", pageSize: 1000, pageToken: "" });
    expect(models.filter((model) => model.status === ModelStatus.PENDING)).toEqual([]);
    const ready = models.filter((model) => model.status === ModelStatus.READY).map((model) => model.modelId);
    for (const id of acknowledged) expect(ready).toContain(id);
    for (const id of ready) await checkWhole(root, id);
    expect(names(join(root, "mlruns/0/models"))).toEqual(ready.sort());
    const staging = join(root, "mlruns/.modelwire-staging");
    const folders = names(staging).filter((name) => !/\.lock(-journal)?$/.test(name));
    expect(folders.flatMap((name) => names(join(staging, name)))).toEqual([]);
    expect(folders).toHaveLength(1);

    const begun = await store.begin(header({ requestId }));
    expect("replay" in begun).toBe(ready.length > 0);
    if ("upload" in begun) await begun.upload.abort("only asked");
    await logModel(store, { name: "next" });
  } finally {
    await store.close();
  }
}

async function checkWhole(root: string, id: string): Promise<void> {
  const store = await openModelStore(root);
  const manifest = JSON.parse(readFileSync(join(root, "mlruns/0/models", id, "manifest.json"), "utf8"));
  expect(manifest.files).toHaveLength(5);
  for (const { path, sha256 } of manifest.files)
    expect(
      createHash("sha256")
        .update(await bytesOf(store, id, path))
        .digest("hex"),
    ).toBe(sha256);
  await store.close();
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

test("a process that is killed before any of its steps leaves nothing half", { timeout: 300_000 }, async () => {
  const whole = await child(newRoot(), 0, "r");
  expect(whole).toMatchObject({ closed: true, acknowledged: [expect.stringMatching(/^m-/)] });
  const steps = whole.steps.length;
  expect(steps).toBeGreaterThan(50);
  const outcomes: string[] = [];
  let next = 1;
  const worker = async () => {
    while (next <= steps) {
      const k = next++;
      const root = newRoot();
      const story = await child(root, k, "r");
      expect(story.steps, `killed before step ${k}`).toHaveLength(k);
      await checkAfterwards(root, story, "r");
      outcomes.push(story.acknowledged.length > 0 ? "acknowledged" : "not");
      rmSync(root, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
  // Only the last step, which tidies up when the store is closed, comes after the answer.
  expect(outcomes.filter((outcome) => outcome === "acknowledged")).toHaveLength(1);
});

test("a process that is killed from outside, at moments that it does not choose, leaves nothing half", async () => {
  for (const lines of [1, 7, 12, 30, 45, 55]) {
    const root = newRoot();
    const story = await child(root, 0, "r", (seen, process) => {
      if (seen === lines) process.kill("SIGKILL");
    });
    await checkAfterwards(root, story, "r");
  }
});

describe("processes that start at once on a store that is not there yet", () => {
  test("make one database, and each gets its model logged", async () => {
    const root = newRoot();
    const ids = ["a", "b", "c"];
    const stories = await Promise.all(ids.map((id) => child(root, 0, id)));
    expect(stories.map((story) => [story.closed, story.acknowledged.length])).toEqual(ids.map(() => [true, 1]));
    const db = new Sqlite(join(root, "mlflow.db"));
    const count = (table: string) => db.prepare(`SELECT count(*) AS n FROM ${table}`).raw().all();
    expect(["alembic_version", "workspaces", "experiments"].flatMap(count)).toEqual([[1], [1], [1]]);
    expect(db.prepare("PRAGMA integrity_check").raw().all()).toEqual([["ok"]]);
    db.close();
    for (const { acknowledged } of stories) await checkWhole(root, acknowledged[0]!);
  });
});
