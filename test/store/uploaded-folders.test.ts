// Which kind of folder was sent, what of it goes into messages, and what of it can be served.
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiError } from "@modelwire/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelStore, ModelUpload } from "../../server/store/model-store.ts";
import { openModelStore } from "../../server/store/open.ts";
import { beginUpload, CONFIG, chunked, logModel, reasonOf } from "./uploads.ts";

const TEXT = "0123456789".repeat(100);

let root: string;
const open: ModelStore[] = [];
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "folders-")));
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  rmSync(root, { recursive: true, force: true });
});

async function openStore(): Promise<ModelStore> {
  const store = await openModelStore(root);
  open.push(store);
  return store;
}

describe("a folder of each kind", () => {
  async function uploaded(files: Record<string, string>): Promise<ModelUpload> {
    const upload = await beginUpload(await openStore());
    for (const [path, text] of Object.entries(files)) await upload.write(path, chunked(text, 4096));
    return upload;
  }

  test("is known by what lies at its top: MLmodel, then genai_config.json, then the one .onnx file", async () => {
    const MLmodel = "flavors:\n  sklearn: {}\n";
    const onnx = { "net.onnx": "x", "net.onnx.data": "x" };
    expect(await (await uploaded({ ...onnx })).look()).toMatchObject({ kind: "onnx", graph: "net.onnx" });
    const llm = { ...onnx, "genai_config.json": CONFIG };
    expect(await (await uploaded(llm)).look()).toMatchObject({ kind: "llm", modelType: "phi3", contextLength: 128 });
    const ready = await (await uploaded({ ...llm, MLmodel })).look();
    expect(ready).toMatchObject({ kind: "mlflow", mlmodel: { flavors: { sklearn: {} } } });
    expect(readFileSync(join(ready.folder, "MLmodel"), "utf8")).toBe(MLmodel);
  });

  test.each([
    [
      { "sub/genai_config.json": CONFIG, "readme.md": "x" },
      /has at its top readme\.md, sub\/;.*genai_config\.json.*here are 0.*MLmodel/,
    ],
    [{ "a.onnx": "x", "b.onnx": "x" }, /has at its top a\.onnx, b\.onnx;.*here are 2/],
    [{ "sub/a.onnx": "x" }, /has at its top sub\/;.*here are 0/],
    [Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`f${i}`, "x"])), /and 89 more/],
    [{ "genai_config.json": "{" }, /no JSON/],
    [{ "genai_config.json": "null" }, /without model\.type/],
    [{ "genai_config.json": '{"model": null}' }, /without model\.type/],
    [{ "genai_config.json": '{"model": {"type": "x", "context_length": 1e99}}' }, /without model\.type/],
    [{ MLmodel: "x" }, /MLmodel/],
    [{ MLmodel: "" }, /MLmodel/],
    [{ MLmodel: `flavors: {}\n#${"x".repeat(16 << 20)}` }, /a MLmodel of 16777229 bytes, more than 16777216/],
  ])("%# is MODEL_INVALID and says what is there and what is wanted", async (files, words) => {
    const upload = await uploaded(files as Record<string, string>);
    await expect(upload.look()).rejects.toMatchObject({
      reason: "MODEL_INVALID",
      message: expect.stringMatching(words),
    });
    await upload.abort("invalid");
  });

  test("ready MLflow models lie as they came, but for the texts that replace theirs and what MLflow left", async () => {
    const upload = await uploaded({ MLmodel: "flavors: {}\n", "data/x": "x", registered_model_meta: "model_name: x" });
    await upload.look();
    expect(upload.identity.sizeBytes).toBe(13n);
    const texts = { MLmodel: "flavors:\n  mine: {}\n" };
    const { model, files, warnings } = await upload.commit({ texts, at: "", warnings: ["one"] });
    expect(files.map(({ path }) => path)).toEqual(["MLmodel", "data/x"]);
    expect(readFileSync(join(model.artifactLocation, "MLmodel"), "utf8")).toBe(texts.MLmodel);
    expect(warnings).toEqual([expect.stringContaining("registered_model_meta was left out"), "one"]);
    expect(readdirSync(model.artifactLocation).sort()).toEqual(["MLmodel", "data"]);
  });

  test.each<Record<string, string>>([{ "genai_config.json": CONFIG }, { "a.onnx": "x" }])(
    "registered_model_meta is refused in %j",
    async (files) => {
      const upload = await uploaded({ ...files, registered_model_meta: "x" });
      expect(await reasonOf(upload.look())).toBe("INVALID_PATH");
      await upload.abort("refused");
    },
  );

  test.each([
    ["requirements.txt", "requirements.txt"],
    ["Requirements.TXT", "requirements.txt"],
    ["code", "code/loader.py"],
    ["mlruns.txt/x", "mlruns.txt"],
  ])("an uploaded %j is refused where the server writes %j beside a plain ONNX model", async (path, text) => {
    const upload = await uploaded({ "a.onnx": "x", [path]: "x" });
    const committed = upload.commit({ texts: { MLmodel: "flavors: {}\n", [text]: "x" }, at: "", warnings: [] });
    await expect(committed).rejects.toMatchObject({ reason: "INVALID_PATH", message: expect.stringContaining(text) });
    await upload.abort("refused");
    const again = await uploaded({ "a.onnx": "x", [path]: "x" });
    expect((await again.commit({ texts: { MLmodel: "flavors: {}\n" }, at: "", warnings: [] })).files).toHaveLength(3);
  });
});

describe("what must go into messages", () => {
  const long = (bytes: number) => `flavors: {}\nsignature:\n  inputs: '${"x".repeat(bytes)}'\n`;

  test("is bounded: a signature, and what a header says", async () => {
    const store = await openStore();
    const upload = await beginUpload(store);
    await upload.write("MLmodel", chunked(long((2 << 20) + 1), 1 << 20));
    await expect(upload.look()).rejects.toThrow("a signature of 2097153 bytes");
    await upload.abort("refused");
    const error = await beginUpload(store, {
      tags: { a: "x".repeat(600_000) },
      params: { b: "x".repeat(600_000) },
      signature: { inputs: "x".repeat(2 << 20), outputs: "x" } as never,
    }).then(
      () => expect.unreachable(),
      (thrown: ApiError) => thrown,
    );
    expect(error.violations.map(({ field }) => field)).toEqual(["header.params", "header.signature"]);
  });

  test("ends a page of models early, and all pages together have every model once", async () => {
    const store = await openStore();
    for (let i = 0; i < 4; i++) {
      const upload = await beginUpload(store, { name: `m${i}` });
      await upload.write("MLmodel", chunked(long(900_000), 1 << 20));
      await upload.commit({ texts: {}, at: "", warnings: [] });
    }
    const pages: string[][] = [];
    for (let pageToken = ""; pages.length === 0 || pageToken !== ""; ) {
      const page = await store.search({ experimentIds: [], name: "", pageSize: 3, pageToken });
      pages.push(page.models.map(({ name }) => name));
      pageToken = page.nextPageToken;
    }
    expect(pages.map((page) => page.length)).toEqual([2, 2]);
    expect(pages.flat().sort()).toEqual(["m0", "m1", "m2", "m3"]);
  });

  test("leaves out a signature of another program's model that is too long, and the model is still found", async () => {
    const store = await openStore();
    const { model } = await logModel(store);
    writeFileSync(join(model.artifactLocation, "MLmodel"), long(3 << 20));
    const [other] = [await openStore()];
    expect(await other?.get("phi")).toMatchObject({ name: "phi", flavors: [] });
    expect((await other?.get("phi"))?.signature).toBeUndefined();
  });
});

describe("what of a stored model can be served", () => {
  test("is nothing when a link lies among its files; links elsewhere do no harm", async () => {
    const store = await openStore();
    const { model } = await logModel(store, {}, { weights: TEXT });
    symlinkSync("/etc/passwd", join(model.artifactLocation, "notes"));
    expect((await store.folder("phi")).servable).toEqual({ kind: "llm", folder: "model" });
    symlinkSync("/etc/passwd", join(model.artifactLocation, "model/tokenizer.json"));
    expect((await store.folder("phi")).servable).toEqual({
      kind: "none",
      reason: expect.stringContaining('"model/tokenizer.json" is a symbolic link'),
    });
  });

  test("is nothing when the folder itself was replaced by a link", async () => {
    const store = await openStore();
    const { model } = await logModel(store, {}, { weights: TEXT });
    renameSync(join(model.artifactLocation, "model"), join(root, "elsewhere"));
    symlinkSync(join(root, "elsewhere"), join(model.artifactLocation, "model"));
    expect((await store.folder("phi")).servable.kind).toBe("none");
    expect((await store.files("phi")).map(({ path }) => path)).not.toContain("model/weights");
  });
});
