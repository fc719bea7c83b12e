// Plain ONNX models of MLflow's, predicted by us, for onnx_predictions.py beside it:
//   node --import tsx test/conformance/mlflow/onnx-predictions.ts CASES.json
// Takes [{folder, data}], prints [{prediction} or {refused: reason}]; data is encoded as data-cases.ts says.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ApiError } from "@modelwire/proto";
import { createInferenceHost, InferenceError } from "../../../server/inference/host.ts";
import { readMlmodel } from "../../../server/mlmodel/mlmodel-file.ts";
import { onnxFeeds, onnxOptions, onnxPrediction } from "../../../server/mlmodel/onnx-flavor.ts";
import { decodeData, encodeData } from "./data-cases.ts";

const [path = ""] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(path, "utf8")) as { folder: string; data: unknown }[];
const host = createInferenceHost();
const { signal } = new AbortController();
try {
  const answers: unknown[] = [];
  for (const { folder, data } of cases) answers.push(await answer(folder, data));
  console.log(JSON.stringify(answers));
} finally {
  await host.close();
}

async function answer(folder: string, coded: unknown): Promise<unknown> {
  const { flavors } = readMlmodel(readFileSync(join(folder, "MLmodel"), "utf8"));
  const flavor = flavors.onnx ?? {};
  try {
    const { inputs } = await host.loadGraph(folder, join(folder, String(flavor.data)), onnxOptions(flavor));
    const data = decodeData(coded);
    const outputs = await host.run(folder, onnxFeeds(data, inputs), signal);
    return { prediction: encodeData(onnxPrediction(outputs, data)) };
  } catch (error) {
    if (error instanceof ApiError || error instanceof InferenceError)
      return { refused: error.reason, message: error.message };
    throw error;
  }
}
