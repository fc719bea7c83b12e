// What a folder that has been uploaded becomes: looks into it, finds signature and example, and says which files make it
// an MLflow model. It decides nothing about bytes and rows.
import { join } from "node:path";
import { ApiError, type FieldViolation, invalidFields, type LogModelHeader } from "@modelwire/proto";
import type { InferenceHost } from "../inference/host.ts";
import type { Data } from "../mlmodel/data/data.ts";
import { enforceInput } from "../mlmodel/enforce/enforce.ts";
import { readScoringInput } from "../mlmodel/enforce/scoring-input.ts";
import { inputExampleFiles } from "../mlmodel/input-example.ts";
import {
  type LlmTask,
  llmModelFiles,
  type ModelTexts,
  onnxModelFiles,
  readyModelFiles,
} from "../mlmodel/model-files.ts";
import { graphSignature, onnxFeeds, onnxPrediction } from "../mlmodel/onnx-flavor.ts";
import type { Signature } from "../mlmodel/schema.ts";
import { servableOf } from "../mlmodel/servable.ts";
import { inferSignature } from "../mlmodel/signature/infer.ts";
import { readSignature, writeSignature } from "../mlmodel/signature/schema-json.ts";
import { chatSignature, completionsSignature, type SignatureJson } from "../mlmodel/signature/task-signatures.ts";
import type { ModelUpload, Staged } from "../store/model-store.ts";
import { jsonExample } from "./example-data.ts";
import { fromInference } from "./inference-errors.ts";
import { llmRequests } from "./llm-requests.ts";
import { signatureJson } from "./signature-messages.ts";

/** What {@link ModelUpload.commit} wants. */
export interface Finished {
  readonly texts: ModelTexts;
  /** Where the uploaded files go. */
  readonly at: "model" | "";
  readonly warnings: readonly string[];
}

/** @throws ApiError MODEL_INVALID, INVALID_FIELD with every violation, SCHEMA_ENFORCEMENT_FAILED for an example that the signature refuses. */
export async function finishModel(
  upload: ModelUpload,
  header: LogModelHeader,
  host: InferenceHost,
  signal: AbortSignal,
): Promise<Finished> {
  const staged = await upload.look();
  refuseMisplaced(staged.kind, header);
  switch (staged.kind) {
    case "llm":
      return await finishLlm(staged, upload, header, host);
    case "onnx":
      return await finishOnnx(staged, upload, header, host, signal);
    case "mlflow":
      return await finishReady(staged, upload, host);
  }
}

/** Fields of the header that mean nothing for a kind of folder. */
function refuseMisplaced(kind: Staged["kind"], header: LogModelHeader): void {
  const problems: FieldViolation[] = [];
  const refuse = (field: string, given: boolean, why: string) => {
    if (given) problems.push({ field: `header.${field}`, description: why });
  };
  const ready =
    "is not for a ready MLflow model, whose MLmodel file says it: leave it out, or log the bare ONNX folder";
  if (kind === "mlflow") {
    refuse("signature", header.signature !== undefined, ready);
    refuse("input_example", header.inputExample !== undefined, ready);
    refuse("metadata", Object.keys(header.metadata).length > 0, ready);
  }
  refuse("task", kind !== "llm" && header.task !== "", "is for ONNX LLM folders only: leave it out");
  if (kind === "llm" && header.task.startsWith("llm/"))
    refuse(
      "signature",
      header.signature !== undefined,
      `is fixed by the task ${header.task}: leave it out, or use the task "prompt"`,
    );
  if (problems.length > 0) throw invalidFields(problems);
}

async function finishLlm(
  { folder, modelType, contextLength }: Extract<Staged, { kind: "llm" }>,
  { identity }: ModelUpload,
  header: LogModelHeader,
  host: InferenceHost,
): Promise<Finished> {
  const report = await host.inspect(folder).catch((error) => Promise.reject(fromInference(error)));
  const given = exampleIn(header);
  const task = (header.task || defaultTask(given, header, report.hasChatTemplate)) as LlmTask;
  if (task === "llm/v1/chat" && !report.hasChatTemplate)
    throw invalidFields([
      {
        field: "header.task",
        description:
          'cannot be llm/v1/chat: the folder has no chat template; add one to tokenizer_config.json, or use the task "prompt"',
      },
    ]);
  const signature = llmSignature(task, header, given);
  const example = given ?? DEFAULT_EXAMPLES[task];
  llmRequests(enforceInput(readSignature(signature).inputs, example, { strict: false }).data, undefined);
  const texts = llmModelFiles({
    ...{ identity, task, signature, modelType, contextLength },
    metadata: header.metadata,
    example: inputExampleFiles(example),
  });
  return { texts, at: "model", warnings: report.warnings };
}

function defaultTask(given: Data | undefined, header: LogModelHeader, hasTemplate: boolean): LlmTask {
  const asksInChat = given === undefined || (given instanceof Map && given.has("messages"));
  return asksInChat && hasTemplate && !header.signature ? "llm/v1/chat" : "prompt";
}

const DEFAULT_EXAMPLES: Readonly<Record<LlmTask, Data>> = {
  "llm/v1/chat": new Map<string, Data>([
    [
      "messages",
      [
        new Map([
          ["role", "user"],
          ["content", "What is the capital of Spain?"],
        ]),
      ],
    ],
    ["max_tokens", 64n],
  ]),
  "llm/v1/completions": new Map<string, Data>([
    ["prompt", "The capital of Spain is"],
    ["max_tokens", 64n],
  ]),
  prompt: new Map([["prompt", "The capital of Spain is"]]),
};

function llmSignature(task: LlmTask, header: LogModelHeader, example: Data | undefined): SignatureJson {
  if (task === "llm/v1/chat") return chatSignature();
  if (task === "llm/v1/completions") return completionsSignature();
  const given = givenSignature(header);
  if (given) return writeSignature(given);
  // What MLflow would find: the answer to a prompt is a text.
  return writeSignature(inferSignature({ input: example ?? DEFAULT_EXAMPLES.prompt, output: "text" }).signature);
}

async function finishOnnx(
  { folder, graph }: Extract<Staged, { kind: "onnx" }>,
  { identity }: ModelUpload,
  header: LogModelHeader,
  host: InferenceHost,
  signal: AbortSignal,
): Promise<Finished> {
  const path = join(folder, graph);
  const report = await host.inspectGraph(path).catch((error) => Promise.reject(fromInference(error)));
  const given = givenSignature(header);
  const warnings = [...report.warnings];
  let signature = given ?? graphSignature(report.inputs, report.outputs);
  const said = exampleIn(header);
  const example = asTensors(said, signature);
  if (example !== undefined) {
    const fits = given !== undefined || example !== said;
    const input = fits ? signature : inferSignature({ input: example }).signature;
    const output = await tryOut(host, identity.modelId, path, input, example, signal);
    if (!fits) {
      const inferred = inferSignature({ input: example, output });
      warnings.push(...inferred.warnings);
      signature = inferred.signature;
    }
  }
  if (!signature.inputs)
    warnings.push("The model has no input signature: MLflow has no name for the types that its graph takes.");
  const texts = onnxModelFiles({
    ...{ identity, graph, metadata: header.metadata },
    signature: signature.inputs || signature.outputs ? writeSignature(signature) : undefined,
    example: example === undefined ? undefined : inputExampleFiles(example),
  });
  return { texts, at: "", warnings };
}

/**
 * JSON has no tensors: nested lists become those that the signature speaks of, as MLflow's scoring server reads `inputs`.
 * Everything else stays what it is, and so does what does not fit.
 */
function asTensors(example: Data | undefined, { inputs }: Signature): Data | undefined {
  if (inputs?.kind !== "tensors" || !isLists(example)) return example;
  try {
    const { data } = readScoringInput(
      { form: "inputs", value: example },
      { inputs, outputs: undefined, params: undefined },
    );
    return enforceInput(inputs, data, { strict: true }).data;
  } catch (error) {
    if (error instanceof ApiError) return example;
    throw error;
  }
}

/** A list that is no list of rows, or an object of such lists. */
function isLists(example: Data | undefined): example is Data {
  if (example instanceof Map) return example.size > 0 && [...example.values()].every(Array.isArray);
  return Array.isArray(example) && !example.some((item) => item instanceof Map);
}

/** The graph's answer to the example: an example that the model does not take would help nobody. */
async function tryOut(
  host: InferenceHost,
  modelId: string,
  path: string,
  signature: Signature,
  example: Data,
  signal: AbortSignal,
): Promise<Data> {
  const key = `example of ${modelId}`;
  try {
    const info = await host.loadGraph(key, path, {}, signal);
    const { data } = enforceInput(signature.inputs, example, { strict: true });
    return onnxPrediction(await host.run(key, onnxFeeds(data, info.inputs), signal), data);
  } catch (error) {
    throw fromInference(error);
  } finally {
    await host.unload(key);
  }
}

async function finishReady(
  { folder, mlmodel, paths }: Extract<Staged, { kind: "mlflow" }>,
  { identity }: ModelUpload,
  host: InferenceHost,
): Promise<Finished> {
  if (mlmodel.signature) readSignature(mlmodel.signature);
  const warnings: string[] = [];
  const servable = servableOf(mlmodel, paths);
  const note = (what: string) => warnings.push(`This model is kept, but cannot be served here: ${what}`);
  if (servable.kind === "none") note(servable.reason);
  else
    await (servable.kind === "llm"
      ? host.inspect(join(folder, servable.folder))
      : host.inspectGraph(join(folder, servable.file))
    )
      .then((report) => warnings.push(...report.warnings))
      .catch((error) => {
        // Only what the folder itself is to blame for says something of the model.
        const known = fromInference(error);
        if (!(known instanceof ApiError && /^MODEL_(INVALID|NOT_SERVABLE)$/.test(known.reason))) throw known;
        note(known.message);
      });
  return { texts: readyModelFiles(mlmodel, identity), at: "", warnings };
}

/** @throws ApiError INVALID_FIELD. */
function exampleIn({ inputExample }: LogModelHeader): Data | undefined {
  return inputExample === undefined ? undefined : jsonExample(inputExample, "header.input_example");
}

/** @throws ApiError INVALID_FIELD, or MODEL_INVALID for one that MLflow could not read. */
function givenSignature({ signature }: LogModelHeader): Signature | undefined {
  if (!signature) return undefined;
  if (signature.inputs === undefined)
    throw invalidFields([
      { field: "header.signature.inputs", description: "is missing: a signature says at least what goes in" },
    ]);
  return readSignature(signatureJson(signature));
}
