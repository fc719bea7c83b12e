// What becomes of a ready MLflow folder whose model cannot be looked into.
import { create } from "@bufbuild/protobuf";
import { LogModelHeaderSchema } from "@modelwire/proto";
import { expect, test } from "vitest";
import { InferenceError, type InferenceReason } from "../../server/inference/errors.ts";
import type { InferenceHost } from "../../server/inference/host.ts";
import { readMlmodel } from "../../server/mlmodel/mlmodel-file.ts";
import { finishModel } from "../../server/services/log-model.ts";
import type { ModelUpload } from "../../server/store/model-store.ts";

const MLMODEL = "flavors:\n  onnx:\n    data: model.onnx\n";

/** Finishes a folder with an ONNX model that the inference side ends the inspection of for `reason`. */
async function finish(reason: InferenceReason) {
  const staged = { kind: "mlflow", folder: "/staged", mlmodel: readMlmodel(MLMODEL), paths: ["MLmodel", "model.onnx"] };
  const identity = { modelId: "m-1", artifactLocation: "/a", runId: undefined, createdAt: new Date(0), sizeBytes: 1n };
  const upload = { identity, look: async () => staged } as unknown as ModelUpload;
  const host = {
    inspectGraph: () => Promise.reject(new InferenceError(reason, "it went wrong")),
  } as unknown as InferenceHost;
  return await finishModel(upload, create(LogModelHeaderSchema, { name: "x" }), host, new AbortController().signal);
}

test.each(["MODEL_INVALID", "MODEL_FAILED"] as const)(
  "%s is the folder's: it is kept, with a warning",
  async (reason) => {
    expect((await finish(reason)).warnings).toEqual(["This model is kept, but cannot be served here: it went wrong"]);
  },
);

test.each(["WORKER_DIED", "RUNTIME_UNAVAILABLE", "CLOSED", "INTERNAL"] as const)(
  "%s says nothing of the folder: the upload fails and can be made again",
  async (reason) => {
    await expect(finish(reason)).rejects.toMatchObject({ message: "it went wrong" });
  },
);
