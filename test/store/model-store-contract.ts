// What every model store must do. A function, to be called once per implementation.
import { createHash } from "node:crypto";
import { type ApiError, ModelStatus } from "@modelwire/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelStore } from "../../server/store/model-store.ts";
import { beginUpload, bytesOf, CONFIG, chunked, commitChat, header, logModel, reasonOf } from "./uploads.ts";

export interface StoreUnderTest {
  store: ModelStore;
  /** The same store as another process would open it, after this one is closed. */
  reopen(): Promise<ModelStore>;
  /** A run with params {lr: "0.1"}, and metrics "loss" of steps 1 and 2, as MLflow would have written it. */
  addRun(): Promise<{ runId: string; experimentId: string }>;
  dispose(): Promise<void>;
}

export function modelStoreContract(title: string, open: () => Promise<StoreUnderTest>): void {
  describe(title, () => {
    let subject: StoreUnderTest;
    let store: ModelStore;
    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });
    afterEach(async () => await subject.dispose());

    describe("logging", () => {
      test("a committed model is READY, and every file has the digest of its bytes", async () => {
        const { model, files } = await logModel(store, {}, { "sub/weights.bin": "0123456789" });
        expect(model.status).toBe(ModelStatus.READY);
        expect(model.modelId).toMatch(/^m-[0-9a-f]{32}$/);
        expect(model.flavors).toEqual(["onnxruntime_genai", "python_function"]);
        expect(model.task).toBe("llm/v1/chat");
        expect(model.sizeBytes).toBe(files.reduce((sum, file) => sum + file.sizeBytes, 0n));
        expect(files.map((file) => file.path)).toContain("model/sub/weights.bin");
        expect(await store.files(model.modelId)).toEqual(files);
        for (const { path, sha256, sizeBytes } of files) {
          const bytes = await bytesOf(store, model.modelId, path);
          expect(createHash("sha256").update(bytes).digest("hex")).toBe(sha256);
          expect(BigInt(bytes.length)).toBe(sizeBytes);
        }
      });

      test("write gives the size and digest of what arrived", async () => {
        const upload = await beginUpload(store);
        expect(await upload.write("a", chunked("hello"), { sizeBytes: 5 })).toEqual({
          sizeBytes: 5n,
          sha256: createHash("sha256").update("hello").digest("hex"),
        });
        expect(await upload.write("empty", chunked(""))).toMatchObject({ sizeBytes: 0n });
        await upload.abort("enough");
      });

      test("nothing but the PENDING row is seen before the commit", async () => {
        const upload = await beginUpload(store);
        await upload.write("genai_config.json", chunked(CONFIG));
        expect((await store.get(upload.modelId)).status).toBe(ModelStatus.PENDING);
        expect(await reasonOf(store.files(upload.modelId))).toBe("MODEL_NOT_READY");
        expect(await reasonOf(store.get("phi"))).toBe("MODEL_NOT_FOUND");
        await upload.abort("enough");
      });

      test("an aborted upload is FAILED with the reason and has no files", async () => {
        const upload = await beginUpload(store);
        await upload.write("genai_config.json", chunked(CONFIG));
        await upload.abort("the client left");
        await upload.abort("again");
        const model = await store.get(upload.modelId);
        expect([model.status, model.statusMessage]).toEqual([ModelStatus.FAILED, "the client left"]);
        expect(await reasonOf(store.folder(upload.modelId))).toBe("MODEL_NOT_READY");
      });

      test.each([
        ["shorter", 6],
        ["longer", 4],
      ])("a file that is %s than was said is DIGEST_MISMATCH, and the upload cannot be committed", async (_, said) => {
        const upload = await beginUpload(store);
        await upload.write("genai_config.json", chunked(CONFIG));
        expect(await reasonOf(upload.write("a", chunked("hello"), { sizeBytes: said }))).toBe("DIGEST_MISMATCH");
        await expect(commitChat(upload)).rejects.toThrow(/can only be aborted/);
        await upload.abort("mismatch");
      });

      test("a file whose sender breaks off leaves the upload to be aborted", async () => {
        const upload = await beginUpload(store);
        async function* broken() {
          yield Buffer.from("half");
          throw new Error("gone");
        }
        await expect(upload.write("a", broken())).rejects.toThrow("gone");
        await expect(upload.write("b", chunked("x"))).rejects.toThrow(/can only be aborted/);
        await upload.abort("gone");
      });

      test.each(["mlmodel", "MLmodel/x", "Registered_model_meta", "../x", "/x", "a//b"])(
        "the path %j is refused",
        async (path) => {
          const upload = await beginUpload(store);
          expect(await reasonOf(upload.write(path, chunked("x")))).toBe("INVALID_PATH");
          await upload.abort("refused");
        },
      );

      test("a folder without genai_config.json is MODEL_INVALID", async () => {
        const upload = await beginUpload(store);
        await upload.write("sub/genai_config.json", chunked(CONFIG));
        expect(await reasonOf(commitChat(upload))).toBe("MODEL_INVALID");
        await upload.abort("invalid");
        expect((await store.get(upload.modelId)).status).toBe(ModelStatus.FAILED);
      });

      test("a header's problems are told all at once", async () => {
        const bad = header({
          name: "a/b",
          experimentId: "x",
          experimentName: "y",
          step: -1n,
          tags: { "": "", "modelwire.x": "" },
        });
        await store.begin(bad).then(
          () => expect.unreachable(),
          (error: ApiError) =>
            expect(error.violations.map((v) => v.field)).toEqual([
              "header.name",
              "header.experiment_id",
              "header.experiment_id",
              "header.step",
              'header.tags[""]',
              'header.tags["modelwire.x"]',
            ]),
        );
      });

      test("uploads at the same time do not see each other", async () => {
        const models = await Promise.all(
          Array.from({ length: 8 }, (_, i) => logModel(store, { name: `m${i}` }, { "n.txt": String(i) })),
        );
        expect(new Set(models.map(({ model }) => model.modelId)).size).toBe(8);
        for (const [i, { model }] of models.entries())
          expect((await bytesOf(store, model.modelId, "model/n.txt")).toString()).toBe(String(i));
      });

      test("a cancelled begin leaves no model", async () => {
        const signal = AbortSignal.abort();
        await expect(store.begin(header(), signal)).rejects.toThrow();
        expect((await store.search({ experimentIds: [], name: "", pageSize: 0, pageToken: "" })).models).toEqual([]);
      });
    });

    describe("experiments and runs", () => {
      test("an experiment is made by name, once", async () => {
        const first = await logModel(store, { experimentName: "mine" });
        const second = await logModel(store, { experimentName: "mine" });
        expect(second.model.experimentId).toBe(first.model.experimentId);
        expect((await logModel(store)).model.experimentId).toBe("0");
      });

      test.each(["99", "9223372036854775807", "9223372036854775808"])(
        "experiment %s is EXPERIMENT_NOT_FOUND",
        async (experimentId) => {
          expect(await reasonOf(store.begin(header({ experimentId })))).toBe("EXPERIMENT_NOT_FOUND");
        },
      );

      test("an unknown run is RUN_NOT_FOUND", async () => {
        expect(await reasonOf(store.begin(header({ runId: "nope" })))).toBe("RUN_NOT_FOUND");
      });

      test("a run gives its experiment and params; the same param in the header is refused", async () => {
        const { runId, experimentId } = await subject.addRun();
        const { model } = await logModel(store, { runId, step: 2n, params: { k: "v" } });
        expect(model).toMatchObject({ experimentId, sourceRunId: runId, params: { lr: "0.1", k: "v" } });
        expect(await reasonOf(store.begin(header({ runId, params: { lr: "1" } })))).toBe("INVALID_FIELD");
        expect(await reasonOf(store.begin(header({ runId, experimentId: "0" })))).toBe("INVALID_FIELD");
      });
    });

    describe("a request_id", () => {
      test("of a finished call gives the first answer again, after a restart too", async () => {
        const first = await logModel(store, { requestId: "r" });
        for (const again of [store, await subject.reopen()]) {
          const begun = await again.begin(header({ requestId: "r" }));
          expect(begun).toEqual({ replay: { ...first, warnings: ["a warning"] } });
        }
      });

      test("for another header is REQUEST_ID_REUSED", async () => {
        await logModel(store, { requestId: "r" });
        expect(await reasonOf(store.begin(header({ requestId: "r", name: "other" })))).toBe("REQUEST_ID_REUSED");
      });

      test("of a call that is running is REQUEST_IN_PROGRESS", async () => {
        const upload = await beginUpload(store, { requestId: "r" });
        expect(await reasonOf(store.begin(header({ requestId: "r" })))).toBe("REQUEST_IN_PROGRESS");
        await upload.abort("enough");
      });

      test("of a call that failed may be used again", async () => {
        await (await beginUpload(store, { requestId: "r" })).abort("enough");
        expect((await logModel(store, { requestId: "r" })).model.status).toBe(ModelStatus.READY);
      });

      test("of a model that was deleted is REQUEST_ID_REUSED", async () => {
        const { model } = await logModel(store, { requestId: "r" });
        await store.delete(model.modelId);
        expect(await reasonOf(store.begin(header({ requestId: "r" })))).toBe("REQUEST_ID_REUSED");
      });

      test("sent twice at the same moment begins one upload", async () => {
        const both = await Promise.allSettled([
          store.begin(header({ requestId: "r" })),
          store.begin(header({ requestId: "r" })),
        ]);
        expect(both.map((one) => one.status).sort()).toEqual(["fulfilled", "rejected"]);
        for (const one of both)
          if (one.status === "fulfilled" && "upload" in one.value) await one.value.upload.abort("");
      });
    });

    describe("finding", () => {
      test("an id, its URI and its name find the same model; a name means the newest READY one", async () => {
        const { model } = await logModel(store);
        const pending = await beginUpload(store);
        for (const ref of [model.modelId, model.modelUri, "phi"]) expect(await store.get(ref)).toEqual(model);
        await pending.abort("");
        const newer = (await logModel(store)).model;
        expect((await store.get("phi")).modelId).toBe(newer.modelId);
      });

      test.each(["nope", "m-nope", "models:/m-nope", "models:/phi/1", "", "m-' or 1=1 --"])(
        "%j is MODEL_NOT_FOUND",
        async (ref) => {
          await logModel(store);
          expect(await reasonOf(store.get(ref))).toBe("MODEL_NOT_FOUND");
        },
      );

      test("pages give every model once, newest first, also while others are logged", async () => {
        for (let i = 0; i < 5; i++) await logModel(store, { name: `n${i}` });
        const seen: string[] = [];
        let pageToken = "";
        do {
          const page = await store.search({ experimentIds: ["0"], name: "", pageSize: 2, pageToken });
          seen.push(...page.models.map((model) => model.name));
          pageToken = page.nextPageToken;
          if (seen.length === 2) await logModel(store, { name: "late" });
        } while (pageToken !== "");
        expect(seen).toEqual(["n4", "n3", "n2", "n1", "n0"]);
      });

      test("a search by name or experiment gives only those", async () => {
        await logModel(store, { name: "a" });
        const { model } = await logModel(store, { name: "b", experimentName: "e" });
        const search = (init: object) =>
          store.search({ experimentIds: [], name: "", pageSize: 0, pageToken: "", ...init });
        expect((await search({ name: "b" })).models).toEqual([model]);
        expect((await search({ experimentIds: [model.experimentId] })).models).toEqual([model]);
        expect((await search({ experimentIds: ["77", "9999999999999999999"] })).models).toEqual([]);
        expect((await search({ experimentIds: ["9999999999999999999"] })).models).toEqual([]);
        expect(await reasonOf(search({ pageToken: "x" }))).toBe("INVALID_FIELD");
        expect(await reasonOf(search({ experimentIds: ["1e3"] }))).toBe("INVALID_FIELD");
      });

      test("a deleted model is found by nothing, and cannot be deleted again", async () => {
        const { model } = await logModel(store);
        expect((await store.delete(model.modelUri)).modelId).toBe(model.modelId);
        for (const ref of [model.modelId, "phi"]) expect(await reasonOf(store.get(ref))).toBe("MODEL_NOT_FOUND");
        expect((await store.search({ experimentIds: [], name: "", pageSize: 0, pageToken: "" })).models).toEqual([]);
        expect(await reasonOf(store.delete(model.modelId))).toBe("MODEL_NOT_FOUND");
      });
    });

    describe("reading", () => {
      test("from any offset to the end; the end itself gives nothing; behind it is OFFSET_OUT_OF_RANGE", async () => {
        const { model } = await logModel(store, {}, { "n.txt": "0123456789" });
        for (const offset of [0, 3, 9, 10])
          expect((await bytesOf(store, model.modelId, "model/n.txt", offset)).toString()).toBe(
            "0123456789".slice(offset),
          );
        expect(await reasonOf(store.open(model.modelId, "model/n.txt", 11))).toBe("OFFSET_OUT_OF_RANGE");
      });

      test.each(["nope", "model", "../manifest.json", "model/../MLmodel", "/etc/passwd", "a\0b", ""])(
        "the path %j is ARTIFACT_NOT_FOUND",
        async (path) => {
          const { model } = await logModel(store);
          expect(await reasonOf(store.open(model.modelId, path, 0))).toBe("ARTIFACT_NOT_FOUND");
        },
      );

      test("folder gives where genai_config.json lies, and the MLmodel file", async () => {
        const { model } = await logModel(store);
        const { path, servable, mlmodel } = await store.folder("phi");
        expect(path).toBe(model.artifactLocation);
        expect(servable).toEqual({ kind: "llm", folder: "model" });
        expect(Object.keys(mlmodel.flavors)).toEqual(["onnxruntime_genai", "python_function"]);
      });
    });
  });
}
