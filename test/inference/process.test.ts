import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { fixture, withFolder } from "./folders.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

test("a process that serves writes no telemetry, prints nothing of ONNX Runtime's, and ends by itself", async () => {
  const home = await mkdtemp(join(tmpdir(), "home-"));
  try {
    await withFolder("tiny-fp32", async (folder) => {
      await folder.write("model.onnx", "this is no protobuf");
      const args = [path("./child.mjs"), path("../../server/dist"), fixture("tiny-int4"), folder.path];
      args.push(fixture("plain/several.onnx"));
      // Without the variable, and without CI, which both switch telemetry off.
      const env = {
        PATH: process.env.PATH,
        HOME: home,
        XDG_CACHE_HOME: join(home, "cache"),
        XDG_CONFIG_HOME: join(home, "config"),
      };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env, cwd: home });
      expect(JSON.parse(stdout)).toEqual({
        tokens: 20,
        failed: "PREDICTION_FAILED",
        reason: "MODEL_INVALID",
        refusal: "OrtError",
      });
      expect(stderr).toBe("");
    });
    expect(await readdir(home, { recursive: true })).toEqual([]);
  } finally {
    await rm(home, { recursive: true });
  }
});
