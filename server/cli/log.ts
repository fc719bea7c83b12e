// `modelwire log`: a model folder, streamed to a server. It must never read the model itself.
import type { Model, ModelFile, ModelwireClient, UploadProgress } from "@modelwire/client";
import { ApiError } from "@modelwire/client";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { pairsFlag, parseFlags } from "./flags.ts";
import { jsonOrFile, readText } from "./json-input.ts";
import { detailLines } from "./model-views.ts";
import { ProgressBar } from "./progress-bar.ts";
import { count, duration, printable, size } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  name: { type: "string", short: "n" },
  experiment: { type: "string" },
  "experiment-id": { type: "string" },
  "run-id": { type: "string" },
  "model-type": { type: "string" },
  task: { type: "string" },
  "input-example": { type: "string" },
  signature: { type: "string" },
  tag: { type: "string", multiple: true },
  param: { type: "string", multiple: true },
  "request-id": { type: "string" },
} as const;

export const command: Command = {
  summary: "send a model folder to a server",
  help: `Usage: modelwire log <folder> --name <name> [flags]

Sends every file of the folder that the server does not have yet. It checks each against its SHA-256, and keeps all of
them or none. The folder is an ONNX LLM (with genai_config.json), a plain ONNX model (one .onnx file), or a ready MLflow
model (with MLmodel).

Flags:
  --name <name>           what to log it as; required, without / : . % ' "
  --experiment <name>     experiment to log into; made when there is none [Default]
  --experiment-id <id>    the same by id
  --run-id <id>           run that logs the model
  --model-type <text>     MLflow's model_type
  --task <task>           what an LLM is for: llm/v1/chat, llm/v1/completions, or prompt, which takes and gives a text
                          [chat; prompt without a chat template, or with an example or a signature of something else]
  --input-example <json>  an example of what goes in, or a file with it; kept with the model
  --signature <file>      the signature, as \`modelwire signature\` prints it with --json [found out by the server]
  --tag <name=value>      a tag; may be repeated
  --param <name=value>    a model parameter; may be repeated
  --request-id <text>     the same again gives the first result; a new one is made when absent

${CONNECT_HELP}

Example: modelwire log ./phi-3-mini --name phi-3-mini --tag source=hub
`,
  async run(args, io) {
    const { values, positionals } = parseFlags(args, FLAGS, ["<folder>"]);
    const [folder = ""] = positionals;
    if (!values.name) throw new UsageError("--name is missing", `such as: modelwire log ${folder} --name my-model`);
    const tags = Object.fromEntries(pairsFlag("tag", values.tag));
    const params = Object.fromEntries(pairsFlag("param", values.param));
    using client = await connect(values, io);
    const { task } = values;
    const example = values["input-example"];
    const inputExampleJson = example === undefined ? undefined : await jsonOrFile("input-example", example, io);
    const signature = values.signature === undefined ? undefined : await readSignature(values.signature, io);
    let progress: UploadProgress | undefined;
    let bar: ProgressBar | undefined;
    const started = performance.now();
    try {
      const { model, files, warnings } = await client.models.log(folder, {
        name: values.name,
        experimentName: values.experiment,
        experimentId: values["experiment-id"],
        runId: values["run-id"],
        modelType: values["model-type"],
        ...{ task, inputExampleJson, signature, tags, params },
        requestId: values["request-id"],
        signal: io.signal,
        onProgress: (now) => {
          const { stage, bytesHashed, bytesSent, bytesReused, bytesTotal, path } = now;
          if (progress?.stage !== stage)
            bar = new ProgressBar(io.stderr, stage === "hashing" ? "hashing" : "uploading");
          progress = now;
          if (stage === "hashing") bar?.update(bytesHashed, bytesTotal, path);
          else if (bytesReused < bytesTotal) bar?.update(bytesSent, bytesTotal - bytesReused, path);
        },
      });
      bar?.clear();
      for (const warning of warnings) io.stderr.write(`warning: ${printable(warning)}\n`);
      if (model)
        io.stdout.write(
          `${model.modelId}\n${indented(detailLines(summary(model, files, progress, performance.now() - started)))}`,
        );
      // The signature of a task is the same for each model, and fills a screen.
      const text = model?.signature && model.task === "" && (await signatureText(client, model.modelId, io));
      if (text) io.stdout.write(`${indented(printable(text))}`);
      return 0;
    } catch (error) {
      bar?.clear();
      throw error;
    }
  },
};

/** What is worth knowing of a model that was logged just now. */
function summary(
  model: Model,
  files: readonly ModelFile[],
  progress: UploadProgress | undefined,
  tookMs: number,
): [string, string][] {
  const reused = progress?.bytesReused ? `, ${size(progress.bytesReused)} of it on the server already` : "";
  return [
    ["name", model.name],
    ["uri", model.modelUri],
    ["task", model.task],
    ["flavors", model.flavors.join(", ")],
    ["size", `${size(model.sizeBytes)} in ${count(files.length, "file")}${reused}`],
    ["time", duration(tookMs)],
  ];
}

/** The model is logged, so a summary that cannot be had is no failure. */
async function signatureText(client: ModelwireClient, model: string, { signal }: Io): Promise<string> {
  try {
    return (await client.signatures.getSignature({ model }, { signal })).signature?.text ?? "";
  } catch (error) {
    if (error instanceof ApiError) return "";
    throw error;
  }
}

/** A file with a signature: an object with inputs, outputs and params, each a text of JSON, a list, or null. */
async function readSignature(path: string, io: Io): Promise<{ inputs?: string; outputs?: string; params?: string }> {
  const wrong = new UsageError(
    `--signature ${path} is no signature`,
    "write one with: modelwire signature infer --json",
  );
  let found: unknown;
  try {
    found = JSON.parse(await readText("signature", path, io));
  } catch (error) {
    throw error instanceof UsageError ? error : wrong;
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) throw wrong;
  const parts = Object.entries(found).filter(([, value]) => value !== null);
  if (parts.length === 0 || parts.some(([key]) => !["inputs", "outputs", "params"].includes(key))) throw wrong;
  return Object.fromEntries(
    parts.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  );
}

function indented(lines: string): string {
  return lines
    .trimEnd()
    .replace(/^(?=.)/gm, "  ")
    .concat("\n");
}
