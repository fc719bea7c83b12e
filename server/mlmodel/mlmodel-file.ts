// The MLmodel file: read into what the server shows of it, with everything else kept, and written as MLflow writes it.
import { ApiError } from "@modelwire/proto";
import type { SignatureJson } from "./signature.ts";
import { readYaml } from "./yaml-read.ts";
import { writeYaml, type YamlValue } from "./yaml-write.ts";

export type YamlMap = { readonly [key: string]: YamlValue | undefined };

export interface Mlmodel {
  /** Flavor name to its entries. Python ignores those that it does not know. */
  readonly flavors: Readonly<Record<string, YamlMap>>;
  readonly signature: SignatureJson | undefined;
  readonly metadata: YamlMap | undefined;
  /** Every other key with its value, known to us or not. */
  readonly other: YamlMap;
}

/** Keys whose values are text, however much they look like a number: 1e3 or 20261121 would not come back the same. */
const TEXT_KEYS = new Set([
  "artifact_path",
  "cloudpickle_version",
  "databricks_runtime",
  "format_version",
  "inputs",
  "mlflow_version",
  "model_id",
  "model_uuid",
  "outputs",
  "params",
  "python_version",
  "run_id",
  "task",
  "utc_time_created",
]);

/** @throws ApiError MODEL_INVALID when the text is no MLmodel file. */
export function readMlmodel(text: string): Mlmodel {
  const value = readYaml(text, "MLmodel", { textKeys: TEXT_KEYS });
  if (!isMap(value)) throw invalid("it is no map of keys");
  const { flavors, signature, metadata, ...other } = value;
  if (!isMap(flavors)) throw invalid("it has no map `flavors`");
  return {
    flavors: Object.fromEntries(
      Object.entries(flavors).map(([name, entries]) => [name, isMap(entries) ? entries : {}]),
    ),
    signature: isMap(signature)
      ? { inputs: textOf(signature.inputs), outputs: textOf(signature.outputs), params: textOf(signature.params) }
      : undefined,
    metadata: isMap(metadata) ? metadata : undefined,
    other,
  };
}

export function writeMlmodel({ flavors, signature, metadata, other }: Mlmodel): string {
  return writeYaml({ ...other, flavors, signature: signature && { ...signature }, metadata });
}

/** What the model is for, as its metadata says; empty when it does not. */
export function taskOf({ metadata, flavors }: Mlmodel): string {
  return textOf(metadata?.task) ?? textOf(flavors.transformers?.inference_task) ?? "";
}

function isMap(value: YamlValue | undefined): value is YamlMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: YamlValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function invalid(message: string): ApiError {
  return new ApiError("MODEL_INVALID", `MLmodel cannot be read: ${message}`);
}
