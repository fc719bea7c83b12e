// The files that make an uploaded folder an MLflow model which Python loads and asks: MLmodel, the environment files, the
// input example and, for an ONNX LLM, the loader. It must never know where the folder lies.
import {
  environmentFiles,
  GENAI_REQUIREMENTS,
  GENAI_VERSION,
  MLFLOW_VERSION,
  ONNX_REQUIREMENTS,
  ONNX_VERSION,
  PYTHON_VERSION,
} from "./environment.ts";
import type { InputExample } from "./input-example.ts";
import { LOADER_MODULE, LOADER_SOURCE } from "./loader/loader.ts";
import { type Mlmodel, writeMlmodel, type YamlMap } from "./mlmodel-file.ts";
import type { SignatureJson } from "./signature/task-signatures.ts";

/** Name of our flavor. Python knows nothing of it and goes by python_function. */
export const GENAI_FLAVOR = "onnxruntime_genai";

/** Folder of an ONNX LLM's files in the model's folder. */
const DATA_FOLDER = "model";

/** What an ONNX LLM may be for. "prompt" is MLflow's custom wrapper: a text goes in, a text comes out. */
export const LLM_TASKS = ["llm/v1/chat", "llm/v1/completions", "prompt"] as const;
export type LlmTask = (typeof LLM_TASKS)[number];

/** What a model is in the store, whatever it holds. */
export interface ModelIdentity {
  readonly modelId: string;
  /** As the database has it. */
  readonly artifactLocation: string;
  readonly runId: string | undefined;
  readonly createdAt: Date;
  /** Sum of the uploaded files, in bytes. */
  readonly sizeBytes: bigint;
}

interface Described {
  readonly identity: ModelIdentity;
  /** Undefined when there is none. */
  readonly signature: SignatureJson | undefined;
  /** Undefined when there is none. */
  readonly example: InputExample | undefined;
  /** Entries of `metadata`; for an LLM beside `task`. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface LlmFacts extends Described {
  readonly task: LlmTask;
  /** `model.type` of genai_config.json, such as "phi3". */
  readonly modelType: string;
  /** Positions of prompt and answer together. */
  readonly contextLength: number;
}

/** Path in the model's folder to text, for every file beside the uploaded ones. */
export type ModelTexts = Readonly<Record<string, string>>;

export function llmModelFiles(facts: LlmFacts): ModelTexts {
  const { task, modelType, contextLength } = facts;
  return {
    [`code/${LOADER_MODULE}.py`]: LOADER_SOURCE,
    ...texts(
      facts,
      {
        [GENAI_FLAVOR]: {
          code: "code",
          context_length: contextLength,
          data: DATA_FOLDER,
          format_version: "1",
          genai_config: `${DATA_FOLDER}/genai_config.json`,
          genai_version: GENAI_VERSION,
          model_type: modelType,
        },
        python_function: {
          code: "code",
          ...(task === "llm/v1/completions" && { config: { task } }),
          data: DATA_FOLDER,
          env: ENV,
          loader_module: LOADER_MODULE,
          python_version: PYTHON_VERSION,
          streamable: true,
        },
      },
      GENAI_REQUIREMENTS,
      task === "prompt" ? {} : { task },
    ),
  };
}

/** @param graph Name of the .onnx file, beside which MLflow's onnx flavor wants MLmodel. */
export function onnxModelFiles(facts: Described & { readonly graph: string }): ModelTexts {
  return texts(
    facts,
    {
      onnx: {
        code: null,
        data: facts.graph,
        onnx_session_options: null,
        onnx_version: ONNX_VERSION,
        providers: ["CPUExecutionProvider"],
      },
      python_function: { data: facts.graph, env: ENV, loader_module: "mlflow.onnx", python_version: PYTHON_VERSION },
    },
    ONNX_REQUIREMENTS,
    {},
  );
}

/** A ready MLflow model under its new identity: the keys that say where a model lives change, and nothing else. */
export function readyModelFiles(mlmodel: Mlmodel, identity: ModelIdentity): ModelTexts {
  const { modelId, artifactLocation, runId } = identity;
  const other = {
    ...mlmodel.other,
    artifact_path: artifactLocation,
    model_id: modelId,
    model_uuid: modelId,
    run_id: runId,
  };
  return { MLmodel: writeMlmodel({ ...mlmodel, other }) };
}

const ENV = { conda: "conda.yaml", virtualenv: "python_env.yaml" };

function texts(
  { identity, signature, example, metadata }: Described,
  flavors: Mlmodel["flavors"],
  requirements: readonly string[],
  ownMetadata: YamlMap,
): ModelTexts {
  const { modelId, artifactLocation, runId, createdAt, sizeBytes } = identity;
  const allMetadata = { ...metadata, ...ownMetadata };
  return {
    ...environmentFiles({ requirements }),
    ...example?.files,
    MLmodel: writeMlmodel({
      flavors,
      signature,
      metadata: Object.keys(allMetadata).length > 0 ? allMetadata : undefined,
      other: {
        artifact_path: artifactLocation,
        ...(signature && { is_signature_from_type_hint: false, type_hint_from_example: false }),
        mlflow_version: MLFLOW_VERSION,
        model_id: modelId,
        model_size_bytes: sizeBytes,
        model_uuid: modelId,
        prompts: null,
        run_id: runId,
        saved_input_example_info: example?.info,
        utc_time_created: pythonUtc(createdAt),
      },
    }),
  };
}

/** Python's str() of a naive UTC datetime: no fraction at all when it is zero. */
function pythonUtc(date: Date): string {
  const [seconds = "", millis = ""] = date.toISOString().replace("T", " ").replace("Z", "").split(".");
  return millis === "000" ? seconds : `${seconds}.${millis}000`;
}
