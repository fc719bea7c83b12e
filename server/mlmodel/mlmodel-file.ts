// The MLmodel file: read into what the server needs of it, with everything else kept, and written as MLflow writes it.
// It knows no other file of the model.
import { ApiError } from "@modelwire/proto";
import { readSignature, writeSignature } from "./signature/schema-json.ts";
import type { SignatureJson } from "./signature/task-signatures.ts";
import { readYaml } from "./yaml/read.ts";
import { isYamlKey, isYamlMap, type YamlMap, type YamlValue } from "./yaml/value.ts";
import { writeYaml } from "./yaml/write.ts";

export type { YamlMap } from "./yaml/value.ts";

export interface Mlmodel {
  /** Flavor name to its entries. Python ignores those that it does not know. */
  readonly flavors: Readonly<Record<string, YamlMap>>;
  readonly signature: SignatureJson | undefined;
  readonly metadata: YamlMap | undefined;
  /**
   * Every other key with its value, known to us or not. What is no map where MLflow has one is among them, under its
   * name: `flavors` then holds only the entries that are none.
   */
  readonly other: YamlMap;
}

/** @throws ApiError MODEL_INVALID when the text is no MLmodel file. */
export function readMlmodel(text: string): Mlmodel {
  const value = readYaml(text, "MLmodel");
  if (!isYamlMap(value)) throw invalid("it is no map of keys");
  const { flavors, signature, metadata, ...other } = value;
  if (!isYamlMap(flavors)) throw invalid("it has no map `flavors`");
  const entries = Object.entries(flavors);
  const odd = entries.filter(([, entry]) => !isYamlMap(entry));
  return {
    flavors: Object.fromEntries(entries.filter((entry): entry is [string, YamlMap] => isYamlMap(entry[1]))),
    signature: isYamlMap(signature) ? signatureJson(signature) : undefined,
    metadata: isYamlMap(metadata) ? metadata : undefined,
    other: {
      ...other,
      flavors: odd.length > 0 ? Object.fromEntries(odd) : undefined,
      signature: isYamlMap(signature) ? beyondJson(signature) : signature,
      metadata: isYamlMap(metadata) ? undefined : metadata,
    },
  };
}

/** As PyYAML writes it: reading a file that MLflow wrote and writing it again changes nothing. */
export function writeMlmodel({ flavors, signature, metadata, other }: Mlmodel): string {
  return writeYaml({
    ...other,
    flavors: { ...(isYamlMap(other.flavors) ? other.flavors : {}), ...flavors },
    signature: signature ? signatureMap(signature, other.signature) : other.signature,
    metadata: metadata ?? other.metadata,
  });
}

/**
 * What MLflow 3.17.2 makes of a file by loading and saving it: keys of its own appear, those that say nothing go. A
 * missing time of creation stays missing here, where MLflow takes the present one.
 *
 * @throws ApiError MODEL_INVALID when it has a signature that MLflow would not read.
 */
export function asMlflowKeeps({ flavors, signature, metadata, other }: Mlmodel): Mlmodel {
  const kept = Object.entries(other).filter(
    ([key, value]) => !key.startsWith("_") && !(value === null && NEVER_NULL.has(key)),
  );
  const json = signature && writeSignature(readSignature(signature));
  const { is_signature_from_type_hint = false, type_hint_from_example = false } = other;
  return {
    flavors,
    signature: json,
    metadata,
    other: {
      model_id: null,
      model_uuid: null,
      prompts: null,
      ...Object.fromEntries(kept),
      signature: undefined,
      ...(json ? { is_signature_from_type_hint, type_hint_from_example } : {}),
      ...(other.utc_time_created ? { utc_time_created: pythonText(other.utc_time_created) } : {}),
    },
  };
}

/** Keys that MLflow leaves out rather than write null. */
const NEVER_NULL = new Set([
  "artifact_path",
  "auth_policy",
  "env_vars",
  "metadata",
  "mlflow_version",
  "model_size_bytes",
  "resources",
  "run_id",
  "saved_input_example_info",
  "signature",
]);

/** What the model is for, as its metadata says; empty when it does not. */
export function taskOf({ metadata, flavors }: Mlmodel): string {
  return textOf(metadata?.task) ?? textOf(flavors.transformers?.inference_task) ?? "";
}

function signatureJson({ inputs, outputs, params }: YamlMap): SignatureJson {
  return { inputs: textOf(inputs), outputs: textOf(outputs), params: textOf(params) };
}

/** What a signature has beside its three texts, or instead of them; undefined when it is as MLflow writes it. */
function beyondJson(signature: YamlMap): YamlMap | undefined {
  const usual = SIGNATURE_KEYS.every((key) => signature[key] === null || typeof signature[key] === "string");
  if (usual && Object.keys(signature).length === SIGNATURE_KEYS.length) return undefined;
  return Object.fromEntries(
    Object.entries(signature).filter(([key, value]) => !(SIGNATURE_KEYS.includes(key) && typeof value === "string")),
  );
}

function signatureMap(signature: SignatureJson, beyond: YamlValue | undefined): YamlMap {
  if (!isYamlMap(beyond)) return { ...signature };
  return { ...beyond, ...Object.fromEntries(Object.entries(signature).filter(([, text]) => text !== null)) };
}

const SIGNATURE_KEYS: readonly string[] = ["inputs", "outputs", "params"];

function textOf(value: YamlValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

/** Python's str() of a scalar. */
function pythonText(value: YamlValue): string {
  if (!isYamlKey(value)) throw invalid("`utc_time_created` is no text");
  return typeof value === "string" ? value : writeYaml(value).trimEnd();
}

function invalid(message: string): ApiError {
  return new ApiError("MODEL_INVALID", `MLmodel cannot be read: ${message}`);
}
