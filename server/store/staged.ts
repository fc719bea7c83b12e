// Which of the three kinds of model folder was uploaded, by what lies at its top, and what is read of it at once. It
// must never change the folder, nor know what is made of it.
import { open } from "node:fs/promises";
import { join } from "node:path";
import { ApiError } from "@modelwire/proto";
import { type Mlmodel, readMlmodel } from "../mlmodel/mlmodel-file.ts";
import { MAX_SIGNATURE_BYTES, signatureBytes } from "./model-header.ts";

/** An uploaded folder. `folder` is where it lies until the commit, absolute. */
export type Staged =
  | {
      readonly kind: "llm";
      readonly folder: string;
      /** `model.type` of genai_config.json, such as "phi3". */
      readonly modelType: string;
      /** Positions of prompt and answer together. */
      readonly contextLength: number;
    }
  /** @property graph Name of the .onnx file, at the top. */
  | { readonly kind: "onnx"; readonly folder: string; readonly graph: string }
  /** @property paths All its files, relative to `folder`. */
  | { readonly kind: "mlflow"; readonly folder: string; readonly mlmodel: Mlmodel; readonly paths: readonly string[] };

export const MLMODEL = "MLmodel";
const GENAI_CONFIG = "genai_config.json";

/** Most bytes of an MLmodel file or a genai_config.json: a hundred thousand columns have a tenth of it. */
export const MAX_TEXT_BYTES = 16 << 20;

/**
 * @param paths All uploaded files, relative to `folder`.
 * @throws ApiError MODEL_INVALID for none of the three kinds, or with the first mistake of the file that decides.
 */
export async function lookAt(folder: string, paths: readonly string[]): Promise<Staged> {
  if (paths.includes(MLMODEL)) {
    const mlmodel = readMlmodel(await readText(folder, MLMODEL));
    const bytes = signatureBytes(mlmodel.signature);
    if (bytes > MAX_SIGNATURE_BYTES)
      throw invalid(`has a signature of ${bytes} bytes in its ${MLMODEL}, more than ${MAX_SIGNATURE_BYTES}`);
    return { kind: "mlflow", folder, mlmodel, paths };
  }
  if (paths.includes(GENAI_CONFIG)) return { kind: "llm", folder, ...genaiFacts(await readText(folder, GENAI_CONFIG)) };
  const graphs = paths.filter((path) => !path.includes("/") && path.toLowerCase().endsWith(".onnx"));
  const [graph, second] = graphs;
  if (graph !== undefined && second === undefined) return { kind: "onnx", folder, graph };
  throw invalid(
    `has at its top ${listed(paths)}; one of three is wanted there: ${GENAI_CONFIG} (an ONNX LLM, as onnxruntime-genai's model builder makes it), one .onnx file (a plain ONNX model; here are ${graphs.length}), or ${MLMODEL} (a ready MLflow model)`,
  );
}

/** What the MLmodel file says of an ONNX LLM. Whether it can be served is for the inference side to find out. */
function genaiFacts(text: string): { modelType: string; contextLength: number } {
  const model = (parseJson(text) as { model?: { type?: unknown; context_length?: unknown } | null } | null)?.model;
  const contextLength = Number(model?.context_length);
  if (typeof model?.type !== "string" || !Number.isSafeInteger(contextLength) || contextLength < 1)
    throw invalid(`has a ${GENAI_CONFIG} without model.type or model.context_length`);
  return { modelType: model.type, contextLength };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(`has a ${GENAI_CONFIG} that is no JSON: ${error instanceof Error ? error.message : error}`);
  }
}

async function readText(folder: string, name: string): Promise<string> {
  const file = await open(join(folder, name), "r");
  try {
    const { size } = await file.stat();
    if (size > MAX_TEXT_BYTES) throw invalid(`has a ${name} of ${size} bytes, more than ${MAX_TEXT_BYTES}`);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await file.readFile());
  } catch (error) {
    if (error instanceof TypeError) throw invalid(`has a ${name} that is no UTF-8`);
    throw error;
  } finally {
    await file.close();
  }
}

/** What lies at the top, in words. */
function listed(paths: readonly string[]): string {
  const top = new Set(paths.map((path) => (path.includes("/") ? `${path.split("/", 1)[0]}/` : path)));
  if (top.size === 0) return "nothing";
  const names = [...top].sort();
  const shown = names.slice(0, 10).map((name) => (name.length <= 60 ? name : `${name.slice(0, 59)}…`));
  return names.length > 10 ? `${shown.join(", ")} and ${names.length - 10} more` : shown.join(", ");
}

function invalid(what: string): ApiError {
  return new ApiError("MODEL_INVALID", `the uploaded folder ${what}`);
}
