// The files that make a folder of an ONNX LLM an MLflow model which Python loads and chats with.
import { environmentFiles, GENAI_VERSION, MLFLOW_VERSION, PYTHON_VERSION } from "./environment.ts";
import { LOADER_MODULE, LOADER_SOURCE } from "./loader/loader.ts";
import { writeMlmodel } from "./mlmodel-file.ts";
import { indentedPythonJson, type Json, pythonJson } from "./python-json.ts";
import { chatSignature } from "./signature.ts";

/** Name of our flavor. Python knows nothing of it and goes by python_function. */
export const GENAI_FLAVOR = "onnxruntime_genai";

/** Folder of the uploaded files in the model's folder. */
export const DATA_FOLDER = "model";

export const CHAT_TASK = "llm/v1/chat";

export interface ChatModel {
  readonly modelId: string;
  /** As the database has it. */
  readonly artifactLocation: string;
  readonly runId: string | undefined;
  readonly createdAt: Date;
  /** Sum of the uploaded files, in bytes. */
  readonly sizeBytes: bigint;
  /** `model.type` of genai_config.json, such as "phi3". */
  readonly modelType: string;
  /** Positions of prompt and answer together. */
  readonly contextLength: number;
  /** Entries of `metadata` beside `task`. */
  readonly metadata: Readonly<Record<string, string>>;
}

const INPUT_EXAMPLE: Json = { messages: [{ role: "user", content: "What is the capital of Spain?" }], max_tokens: 64 };

/** Path in the model's folder to text, for every file beside the uploaded ones. */
export function chatModelFiles(model: ChatModel): Readonly<Record<string, string>> {
  return {
    ...environmentFiles(),
    "input_example.json": pythonJson(INPUT_EXAMPLE),
    "serving_input_example.json": indentedPythonJson(INPUT_EXAMPLE),
    [`code/${LOADER_MODULE}.py`]: LOADER_SOURCE,
    MLmodel: mlmodelText(model),
  };
}

function mlmodelText(model: ChatModel): string {
  return writeMlmodel({
    flavors: {
      [GENAI_FLAVOR]: {
        code: "code",
        context_length: model.contextLength,
        data: DATA_FOLDER,
        format_version: "1",
        genai_config: `${DATA_FOLDER}/genai_config.json`,
        genai_version: GENAI_VERSION,
        model_type: model.modelType,
      },
      python_function: {
        code: "code",
        data: DATA_FOLDER,
        env: { conda: "conda.yaml", virtualenv: "python_env.yaml" },
        loader_module: LOADER_MODULE,
        python_version: PYTHON_VERSION,
        streamable: true,
      },
    },
    signature: chatSignature(),
    metadata: { ...model.metadata, task: CHAT_TASK },
    other: {
      artifact_path: model.artifactLocation,
      is_signature_from_type_hint: false,
      mlflow_version: MLFLOW_VERSION,
      model_id: model.modelId,
      model_size_bytes: model.sizeBytes,
      model_uuid: model.modelId,
      prompts: null,
      run_id: model.runId,
      saved_input_example_info: {
        artifact_path: "input_example.json",
        serving_input_path: "serving_input_example.json",
        type: "json_object",
      },
      type_hint_from_example: false,
      utc_time_created: pythonUtc(model.createdAt),
    },
  });
}

/** Python's str() of a naive UTC datetime: no fraction at all when it is zero. */
function pythonUtc(date: Date): string {
  const [seconds = "", millis = ""] = date.toISOString().replace("T", " ").replace("Z", "").split(".");
  return millis === "000" ? seconds : `${seconds}.${millis}000`;
}
