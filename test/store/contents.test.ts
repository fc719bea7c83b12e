// Contents that the store has: those of models, and those that broken uploads left.
import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ApiError } from "@modelwire/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelStore, ModelUpload } from "../../server/store/model-store.ts";
import { type OpenModelStoreOptions, openModelStore } from "../../server/store/open.ts";
import { beginUpload, bytesOf, CONFIG, chunked, commitChat, logModel, reasonOf } from "./uploads.ts";

const DAY_MS = 24 * 3600 * 1000;
const sha256 = (text: string | Uint8Array) => createHash("sha256").update(text).digest("hex");
const contentOf = (text: string) => ({ sizeBytes: Buffer.byteLength(text), sha256: sha256(text) });
const TEXT = "0123456789".repeat(100);

let root: string;
const open: ModelStore[] = [];
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "contents-")));
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  rmSync(root, { recursive: true, force: true });
});

async function openStore(options: OpenModelStoreOptions = {}): Promise<ModelStore> {
  const store = await openModelStore(root, undefined, options);
  open.push(store);
  return store;
}

const kept = () => join(root, "mlruns/.modelwire-kept");
const keptNames = () => {
  try {
    return readdirSync(kept());
  } catch {
    return [];
  }
};
const refer = (upload: ModelUpload, path: string, text: string) => {
  const { sizeBytes, sha256 } = contentOf(text);
  return upload.refer(path, sizeBytes, sha256);
};

async function* brokenAfter(text: string, bytes: number): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text).subarray(0, bytes);
  throw new Error("the sender left");
}

/** An upload that breaks off in a file of so many bytes. */
async function breakOff(store: ModelStore, text = TEXT, bytes = 400): Promise<void> {
  const upload = await beginUpload(store);
  await expect(upload.write("weights", brokenAfter(text, bytes), contentOf(text))).rejects.toThrow("left");
  await upload.abort(new Error("the sender left"));
}

describe("a content of a model", () => {
  test("is referred to in place of being sent, more than once in one upload", async () => {
    const store = await openStore();
    await logModel(store, {}, { weights: TEXT });
    expect(await store.held([contentOf(TEXT), contentOf("other")])).toEqual([1000, 0]);
    const upload = await beginUpload(store);
    await upload.write("genai_config.json", chunked(CONFIG));
    for (const path of ["a", "b/c"]) await refer(upload, path, TEXT);
    const { model, files } = await commitChat(upload);
    for (const path of ["model/a", "model/b/c"]) {
      expect((await bytesOf(store, model.modelId, path)).toString()).toBe(TEXT);
      expect(files.find((file) => file.path === path)?.sha256).toBe(sha256(TEXT));
    }
  });

  test("has files of its own in each model: none is another's by a link", async () => {
    const store = await openStore();
    const first = await logModel(store, {}, { weights: TEXT });
    const upload = await beginUpload(store);
    await upload.write("genai_config.json", chunked(CONFIG));
    await refer(upload, "weights", TEXT);
    const second = await commitChat(upload);
    appendFileSync(join(first.model.artifactLocation, "model/weights"), "more");
    expect((await bytesOf(store, second.model.modelId, "model/weights")).toString()).toBe(TEXT);
    expect(statSync(join(second.model.artifactLocation, "model/weights")).nlink).toBe(1);
  });

  test.each([
    ["changed", (file: string) => writeFileSync(file, TEXT.replaceAll("1", "2"))],
    ["shorter", (file: string) => writeFileSync(file, "x")],
    ["gone", (file: string) => rmSync(file)],
    [
      "a link to the same bytes",
      (file: string) => {
        renameSync(file, join(root, "elsewhere"));
        symlinkSync(join(root, "elsewhere"), file);
      },
    ],
    [
      "behind a link",
      (file: string) => {
        renameSync(dirname(file), join(root, "elsewhere"));
        symlinkSync(join(root, "elsewhere"), dirname(file));
      },
    ],
  ])("that is %s since is CONTENT_MISSING, and not planned with again", async (_, change) => {
    const store = await openStore();
    const { model } = await logModel(store, {}, { weights: TEXT });
    await store.held([contentOf(TEXT)]);
    change(join(model.artifactLocation, "model/weights"));
    const upload = await beginUpload(store);
    expect(await reasonOf(refer(upload, "weights", TEXT))).toBe("CONTENT_MISSING");
    await upload.abort("missing");
    expect(await store.held([contentOf(TEXT)])).toEqual([0]);
  });

  test("is found as soon as another store object has committed it, and forgotten when its folder is gone", async () => {
    const [store, other] = [await openStore(), await openStore()];
    expect(await store.held([contentOf(TEXT)])).toEqual([0]);
    const { model } = await logModel(other, {}, { weights: TEXT });
    expect(await store.held([contentOf(TEXT)])).toEqual([1000]);
    rmSync(join(model.artifactLocation, ".."), { recursive: true });
    expect(await store.held([contentOf(TEXT)])).toEqual([0]);
  });

  test("is looked for only inside a model's folder, whatever a manifest says", async () => {
    const store = await openStore();
    writeFileSync(join(root, "secret"), TEXT);
    const folder = join(root, "mlruns/0/models/m-5");
    mkdirSync(join(folder, "artifacts"), { recursive: true });
    const files = ["../../../../../secret", "/etc/passwd", "a/../../x", 7, null].map((path) => ({
      path,
      size: TEXT.length,
      sha256: sha256(TEXT),
    }));
    const manifest = { format: "modelwire-manifest/1", files: [...files, null, "x"], notes: {} };
    writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
    expect(await store.held([contentOf(TEXT)])).toEqual([0]);
  });

  test("is asked for by length and digest, and every mistake in them is told", async () => {
    const store = await openStore();
    const error = await store
      .held([{ sizeBytes: -1, sha256: "x" }, contentOf(""), { sizeBytes: 1, sha256: "AB".repeat(32) }])
      .then(
        () => expect.unreachable(),
        (thrown: ApiError) => thrown,
      );
    expect(error.violations.map(({ field }) => field)).toEqual([
      "files[0].size_bytes",
      "files[0].sha256",
      "files[2].sha256",
    ]);
    expect(await reasonOf(store.held(Array(10_001).fill(contentOf(""))))).toBe("INVALID_FIELD");
  });
});

describe("what a broken upload left", () => {
  test("is gone on with: the rest is sent, and the whole is checked", async () => {
    const store = await openStore();
    await breakOff(store);
    expect(await store.held([contentOf(TEXT)])).toEqual([400]);
    expect(statSync(kept()).mode & 0o777).toBe(0o700);
    const upload = await beginUpload(store);
    await upload.write("genai_config.json", chunked(CONFIG));
    const claim = { ...contentOf(TEXT), offsetBytes: 300 };
    expect(await upload.write("weights", chunked(TEXT.slice(300)), claim)).toEqual({
      sizeBytes: 1000n,
      sha256: sha256(TEXT),
    });
    const { model } = await commitChat(upload);
    expect((await bytesOf(store, model.modelId, "model/weights")).toString()).toBe(TEXT);
    expect(keptNames()).toEqual([]);
  });

  test("grows with each try, and is not replaced by less", async () => {
    const store = await openStore();
    await breakOff(store, TEXT, 700);
    await breakOff(store, TEXT, 400);
    expect(await store.held([contentOf(TEXT)])).toEqual([700]);
    const upload = await beginUpload(store);
    const claim = { ...contentOf(TEXT), offsetBytes: 700 };
    await expect(upload.write("weights", brokenAfter(TEXT.slice(700), 200), claim)).rejects.toThrow("left");
    await upload.abort("the sender left");
    expect(await store.held([contentOf(TEXT)])).toEqual([900]);
  });

  test("whole files are referred to, also those whose digest was never announced", async () => {
    const store = await openStore();
    const broken = await beginUpload(store);
    await broken.write("a", chunked(TEXT));
    await broken.abort("the sender left");
    const upload = await beginUpload(store);
    await upload.write("genai_config.json", chunked(CONFIG));
    await refer(upload, "b", TEXT);
    expect((await commitChat(upload)).files.map(({ path }) => path)).toContain("model/b");
    expect(keptNames()).toEqual([]);
  });

  test("is thrown away when it turns out wrong, so that it stands in nobody's way", async () => {
    const store = await openStore();
    await breakOff(store);
    writeFileSync(join(kept(), keptNames()[0] ?? ""), "x".repeat(400));
    const upload = await beginUpload(store);
    const claim = { ...contentOf(TEXT), offsetBytes: 400 };
    expect(await reasonOf(upload.write("weights", chunked(TEXT.slice(400)), claim))).toBe("DIGEST_MISMATCH");
    await upload.abort(new ApiError("DIGEST_MISMATCH", "x"));
    expect(keptNames()).toEqual([]);
    const whole = await beginUpload(store);
    await whole.abort("enough");
    writeFileSync(join(kept(), `${sha256(TEXT)}-1000`), "y".repeat(1000));
    const next = await beginUpload(store);
    expect(await reasonOf(refer(next, "weights", TEXT))).toBe("CONTENT_MISSING");
    await next.abort("missing");
    expect(keptNames()).toEqual([]);
  });

  test.each([
    ["nothing is there", 100, () => {}],
    ["less is there", 500, () => {}],
    ["another has taken it", 400, () => rmSync(kept(), { recursive: true })],
  ])("is CONTENT_MISSING when %s", async (what, offsetBytes, change) => {
    const store = await openStore();
    if (what !== "nothing is there") await breakOff(store);
    change();
    const upload = await beginUpload(store);
    const claim = { ...contentOf(TEXT), offsetBytes };
    expect(await reasonOf(upload.write("weights", chunked("x"), claim))).toBe("CONTENT_MISSING");
    await upload.abort("missing");
  });

  test("is forgotten after a day", async () => {
    let now = Date.now();
    const store = await openStore({ now: () => now });
    await breakOff(store);
    now += DAY_MS - 1000;
    expect(await store.held([contentOf(TEXT)])).toEqual([400]);
    now += 2000;
    expect(await store.held([contentOf(TEXT)])).toEqual([0]);
    expect(keptNames()).toEqual([]);
  });

  test("gives way to what is newer when it is too much, and to nothing that is too large by itself", async () => {
    let now = Date.now();
    const store = await openStore({ keptBytes: 1000, now: () => (now += 1000) });
    const texts = ["a", "b", "c"].map((letter) => letter.repeat(1200));
    for (const text of texts) await breakOff(store, text, 450);
    expect(await store.held(texts.map(contentOf))).toEqual([0, 450, 450]);
    await breakOff(store, "d".repeat(1200), 1100);
    expect(await store.held(texts.map(contentOf))).toEqual([0, 450, 450]);
  });

  test("makes room when the disk is full: it is never the reason for STORAGE_FULL", async () => {
    let full = false;
    const store = await openStore({
      failpoint: (step) => {
        if (full && /^(write|create|copy|make folder) .*new/.test(step) && keptNames().length > 0)
          throw Object.assign(new Error("ENOSPC: injected"), { code: "ENOSPC" });
      },
    });
    await breakOff(store);
    const upload = await beginUpload(store);
    await upload.write("genai_config.json", chunked(CONFIG));
    full = true;
    await upload.write("new", chunked("some bytes"));
    expect(keptNames()).toEqual([]);
    expect((await commitChat(upload)).files.map(({ path }) => path)).toContain("model/new");
  });

  test.each(["STORAGE_FULL", "LIMIT_EXCEEDED"] as const)("is nothing after %s", async (reason) => {
    const store = await openStore();
    const upload = await beginUpload(store);
    await upload.write("a", chunked(TEXT));
    await upload.abort(new ApiError(reason, "x"));
    expect(keptNames()).toEqual([]);
  });

  test("by a process that died is found by the next, whatever its journal says besides", async () => {
    const first = await openStore();
    const upload = await beginUpload(first);
    await upload.write("whole", chunked(TEXT));
    await expect(upload.write("half", brokenAfter(TEXT.repeat(2), 1500), contentOf(TEXT.repeat(2)))).rejects.toThrow();
    const staging = join(root, "mlruns/.modelwire-staging");
    const owner = readdirSync(staging).find((name) => !name.includes(".")) ?? "";
    // What a process leaves that dies: everything but its lock.
    renameSync(join(staging, owner), join(staging, "11111111-dead"));
    writeFileSync(join(root, "secret"), "s".repeat(50));
    const journal = join(staging, "11111111-dead", upload.modelId, "journal");
    const line = (path: unknown) => JSON.stringify({ path, ...contentOf("s".repeat(50)) });
    appendFileSync(
      journal,
      `${line("../../../../../secret")}\n${line("/etc/passwd")}\n${line(5)}\nnull\n[]\n{"path": "ha`,
    );
    const next = await openStore();
    expect(await next.held([contentOf(TEXT), contentOf(TEXT.repeat(2))])).toEqual([1000, 1500]);
    expect(keptNames()).toHaveLength(2);
    expect(readFileSync(join(root, "secret"), "utf8")).toBe("s".repeat(50));
    expect(readdirSync(staging).filter((name) => name.startsWith("11111111"))).toEqual([]);
  });
});

describe("a file of many blocks", () => {
  const BLOCK = 512 << 10;
  const bytes = (length: number) => Buffer.alloc(length, "modelwire".repeat(7));

  test.each([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, 9 * BLOCK + 5])(
    "of %s bytes is on disk as it came, with its digest, also when it is gone on with",
    async (length) => {
      const store = await openStore();
      const content = bytes(length);
      const upload = await beginUpload(store);
      await upload.write("genai_config.json", chunked(CONFIG));
      const got = await upload.write("weights", chunked(content, 200_001));
      expect(got).toEqual({ sizeBytes: BigInt(length), sha256: sha256(content) });
      await upload.abort("the sender left");
      if (length < 2) return;
      const half = Math.floor(length / 2);
      const next = await beginUpload(store);
      await next.write("genai_config.json", chunked(CONFIG));
      const claim = { sizeBytes: length, sha256: sha256(content), offsetBytes: half };
      expect(await next.write("weights", chunked(content.subarray(half), 200_001), claim)).toEqual(got);
      const { model } = await commitChat(next);
      expect(sha256(readFileSync(join(model.artifactLocation, "model/weights")))).toBe(got.sha256);
    },
  );

  test("is STORAGE_FULL when there is no room for one of them, wherever that is", async () => {
    let writes = 0;
    let failAt = 0;
    const store = await openStore({
      failpoint: (step) => {
        if (/^write .*weights/.test(step) && ++writes === failAt)
          throw Object.assign(new Error("ENOSPC: injected"), { code: "ENOSPC" });
      },
    });
    for (failAt = 1; failAt <= 4; failAt++) {
      writes = 0;
      const upload = await beginUpload(store);
      const error = await upload.write("weights", chunked(bytes(9 * BLOCK + 5), 200_001)).catch((thrown) => thrown);
      expect(error, `write ${failAt}`).toMatchObject({ reason: "STORAGE_FULL" });
      await upload.abort(error);
    }
    expect(keptNames()).toEqual([]);
  });
});
