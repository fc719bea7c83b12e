// Models, files and loaded models as tables, lists and JSON. It must never fetch anything.
import { toJson as messageToJson } from "@bufbuild/protobuf";
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { InspectModelResponse, LoadedModel, Model, ModelFile, Runner } from "@modelwire/client";
import { CacheType, ModelStatus, NodePlace, PackedWeightsSource, RunnerKind } from "@modelwire/client";
import { InspectModelResponseSchema, LoadedModelSchema, ModelFileSchema, ModelSchema } from "@modelwire/proto";
import { duration, printable, size, table } from "./words.ts";

/** Rows for {@link table}. */
export function modelRows(models: readonly Model[]): string[][] {
  const rows = models.map((model) => [
    model.modelId,
    model.name,
    ModelStatus[model.status] ?? "",
    size(model.sizeBytes),
    created(model),
    model.task || model.flavors.join(","),
  ]);
  return [["MODEL ID", "NAME", "STATUS", "SIZE", "CREATED", "TASK"], ...rows];
}

/** Everything about one model, a line each; below them its files, and its signature as Python prints it. */
export function modelDetails(model: Model, files: readonly ModelFile[], signature: string | undefined): string {
  const pairs = (map: Readonly<Record<string, string>>) => Object.entries(map).map(([key, value]) => `${key}=${value}`);
  const facts: [string, string][] = [
    ["id", model.modelId],
    ["name", model.name],
    ["uri", model.modelUri],
    ["status", `${ModelStatus[model.status]}${model.statusMessage ? `: ${model.statusMessage}` : ""}`],
    ["task", model.task],
    ["flavors", model.flavors.join(", ")],
    ["type", model.modelType],
    ["size", `${size(model.sizeBytes)} (${model.sizeBytes} bytes)`],
    ["created", created(model)],
    ["experiment", model.experimentId],
    ["run", model.sourceRunId],
    ["location", model.artifactLocation],
    ...pairs(model.params).map((pair): [string, string] => ["param", pair]),
    ...pairs(model.tags).map((pair): [string, string] => ["tag", pair]),
  ];
  const listed = files.length === 0 ? "" : `\n${table(fileRows(files))}`;
  return detailLines(facts) + listed + (signature === undefined ? "" : `\n${printable(signature).trimEnd()}\n`);
}

/** A line for each fact that there is. */
export function detailLines(facts: readonly (readonly [string, string])[]): string {
  const known = facts.filter(([, value]) => value !== "");
  return known.map(([name, value]) => `${name.padEnd(11)}${printable(value)}\n`).join("");
}

/** Rows for {@link table}. */
export function fileRows(files: readonly ModelFile[]): string[][] {
  const rows = files.map((file) => [file.path, size(file.sizeBytes), file.sha256 || "unknown"]);
  return [["PATH", "SIZE", "SHA-256"], ...rows];
}

/** A table of loaded models, and below it what loading found worth saying. @param now for how long ago one was used */
export function loadedText(models: readonly LoadedModel[], now = Date.now()): string {
  const rows = models.map((model) => [
    model.modelId,
    model.name,
    // A plain ONNX model knows no tokens.
    model.contextLength > 0 ? `${model.contextLength} tokens` : "",
    model.cacheTokens > 0n ? `${model.cacheTokens} tokens` : "",
    model.memoryBytes > 0n ? size(model.memoryBytes) : "",
    model.runner ? runnerName(model.runner) : "",
    atWork(model),
    model.lastUsedTime ? ago(now - Number(timestampDate(model.lastUsedTime))) : "",
    model.loadTime ? duration(durationMs(model.loadTime)) : "",
  ]);
  const heads = ["MODEL ID", "NAME", "CONTEXT", "CACHE", "MEMORY", "RUNNER", "ANSWERS", "LAST USED", "LOADED IN"];
  const remarks = models.flatMap((model) => [
    ...model.warnings.map((warning) => `warning: ${warning}`),
    ...(model.notReproducibleBecause ? [`${model.name} is not reproducible: ${model.notReproducibleBecause}`] : []),
  ]);
  return table([heads, ...rows]) + remarks.map((remark) => `${printable(remark)}\n`).join("");
}

/** "2 of 8, 3 waiting". */
function atWork({ running, waiting, maxSequences }: LoadedModel): string {
  if (maxSequences === 0) return "";
  return `${running} of ${maxSequences}${waiting > 0 ? `, ${waiting} waiting` : ""}`;
}

function ago(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return "just now";
  return minutes < 120 ? `${minutes} min ago` : `${Math.floor(minutes / 60)} h ago`;
}

/** What would run a model and why, and what of its graph runs where. @param nodes each node by its name, else how many */
export function inspectionText({ runner, nodes: groups }: InspectModelResponse, nodes: boolean): string {
  const facts: [string, string][] = runner
    ? [
        ["runner", runnerName(runner)],
        ["because", runner.reason],
        ["cache", `${CacheType[runner.cacheType]?.toLowerCase()}, ${size(runner.cacheBytesPerToken)} a token`],
        ["weights", runner.packedWeightsBytes > 0n ? packedWeights(runner) : ""],
      ]
    : [];
  const where = {
    [NodePlace.UNSPECIFIED]: "",
    [NodePlace.MODELWIRE]: "Modelwire",
    [NodePlace.ONNXRUNTIME]: "ONNX Runtime",
    [NodePlace.REMOVED]: "removed",
  };
  const rows = nodes
    ? groups.flatMap(({ operator, place, reason, names }) =>
        names.map((name) => [name, operator, where[place], reason]),
      )
    : groups.map(({ operator, place, reason, names }) => [`${names.length}`, operator, where[place], reason]);
  return `${detailLines(facts)}\n${table([[nodes ? "NODE" : "NODES", "OPERATOR", "RUNS ON", "WHY"], ...rows])}`;
}

/** "native (avx512-vnni)". */
function runnerName({ kind, kernels }: Runner): string {
  if (kind === RunnerKind.NATIVE) return `native (${kernels})`;
  return kind === RunnerKind.STOCK ? "stock" : "";
}

function packedWeights({ packedWeights: source, packedWeightsBytes }: Runner): string {
  const where = {
    [PackedWeightsSource.UNSPECIFIED]: "",
    [PackedWeightsSource.CACHE]: ", in the cache",
    [PackedWeightsSource.PACKED]: ", packed by this load",
    [PackedWeightsSource.MEMORY]: ", in memory of the service",
  };
  return `${size(packedWeightsBytes)} packed${where[source]}`;
}

/** Protobuf JSON with its field names in camelCase; one message, or a list of them. */
export function toJson(kind: "model" | "models", what: Model | readonly Model[]): string;
export function toJson(kind: "files", what: readonly ModelFile[]): string;
export function toJson(kind: "loaded", what: readonly LoadedModel[]): string;
export function toJson(kind: "inspection", what: InspectModelResponse): string;
export function toJson(kind: "model" | "models" | "files" | "loaded" | "inspection", what: unknown): string {
  const schemas = {
    model: ModelSchema,
    models: ModelSchema,
    files: ModelFileSchema,
    loaded: LoadedModelSchema,
    inspection: InspectModelResponseSchema,
  };
  const options = { alwaysEmitImplicit: true };
  const convert = (message: unknown) => messageToJson(schemas[kind], message as never, options);
  return `${JSON.stringify(Array.isArray(what) ? what.map(convert) : convert(what), undefined, 2)}\n`;
}

function created(model: Model): string {
  return model.creationTime ? timestampDate(model.creationTime).toISOString().slice(0, 19).replace("T", " ") : "";
}
