// Reads `genai_config.json`, the file in which onnxruntime-genai describes a model folder. It accepts what genai
// 0.1 to 0.18 accept, keeps unknown keys as warnings, and reports every mistake with the path of its field.
// It knows no model family: what decides is which names and numbers the file states.

import { ModelFolderError, type Violation } from "./errors.ts";
import { isRecord, JsonFields } from "./json-fields.ts";
import { isHarmlessEntry, maxThreads } from "./session-limits.ts";

/** What a decoder folder states about its model. Names are those of the graph; `%d` in a template is the layer. */
export interface GenaiConfig {
  readonly type: string;
  readonly vocabSize: number;
  /** Positions of prompt and answer together. */
  readonly contextLength: number;
  readonly bosId: number | undefined;
  readonly padId: number;
  /** Any of these ends an answer. Never empty. */
  readonly eosIds: readonly number[];
  /** Folder of the tokenizer files, relative to the model folder; "" is the model folder itself. */
  readonly tokenizerFolder: string;
  readonly decoder: DecoderConfig;
  readonly search: SearchConfig;
}

export interface DecoderConfig {
  readonly fileName: string;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly inputs: {
    readonly inputIds: string;
    readonly attentionMask: string;
    readonly positionIds: string;
    readonly pastKeys: string;
    readonly pastValues: string;
  };
  readonly outputs: { readonly logits: string; readonly presentKeys: string; readonly presentValues: string };
  readonly session: SessionConfig;
}

/** `session_options`; absent means not stated. */
export interface SessionConfig {
  readonly intraOpThreads?: number;
  readonly interOpThreads?: number;
  readonly memoryArena?: boolean;
  readonly memoryPattern?: boolean;
  readonly graphOptimization?: number;
  readonly entries: Readonly<Record<string, string>>;
}

/** `search`, with genai's own defaults where the file is silent. */
export interface SearchConfig {
  readonly doSample: boolean;
  readonly temperature: number;
  /** 0 is no limit. */
  readonly topK: number;
  /** 0 is off, as in genai. */
  readonly topP: number;
  /** 1 is none. */
  readonly repetitionPenalty: number;
  /** Prompt and answer together; the context length where the file is silent. */
  readonly maxLength: number;
}

const optimizationLevels: Readonly<Record<string, number>> = {
  ORT_DISABLE_ALL: 0,
  ORT_ENABLE_BASIC: 1,
  ORT_ENABLE_EXTENDED: 2,
  ORT_ENABLE_ALL: 99,
};

// Parts of `model` that are graphs of their own beside the decoder.
const otherGraphs = ["encoder", "embedding", "vision", "speech", "joiner", "vad", "mtp"];
// Search options that change a greedy answer and that the engine does not have: option, and its neutral value.
const unsupportedSearch: readonly (readonly [string, number])[] = [
  ["no_repeat_ngram_size", 0],
  ["min_length", 0],
  ["num_beams", 1],
];

/**
 * Parses the text of a `genai_config.json`.
 * @returns the configuration, and warnings about what is ignored
 * @throws ModelFolderError with every violation; fields are paths such as `model.decoder.head_size`
 */
export function parseGenaiConfig(text: string): { config: GenaiConfig; warnings: string[] } {
  const violations: Violation[] = [];
  const warnings: string[] = [];
  const root = new JsonFields(parseJson(text), "", violations, warnings);

  const model = root.object("model");
  for (const graph of otherGraphs) {
    if (model.has(graph)) {
      model.refuse(
        graph,
        "is a graph beside the decoder, as multimodal and encoder-decoder models have; only a single text decoder can be served.",
      );
    }
  }
  const contextLength = model.integer("context_length", { min: 1 });
  const vocabSize = model.integer("vocab_size", { min: 1 });
  const padId = model.integer("pad_token_id", { min: 0, default: 0 });
  const config: GenaiConfig = {
    type: model.string("type", { default: "" }),
    vocabSize,
    contextLength,
    bosId: model.has("bos_token_id") ? model.integer("bos_token_id", { min: 0 }) : undefined,
    padId,
    eosIds: readEosIds(model, vocabSize, padId),
    tokenizerFolder: model.has("tokenizer_dir") ? readRelativePath(model, "tokenizer_dir") : "",
    decoder: readDecoder(model.object("decoder"), warnings),
    search: readSearch(root, contextLength),
  };
  if (violations.length > 0) throw new ModelFolderError("genai_config.json cannot be used.", violations);
  return { config, warnings };
}

function parseJson(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new ModelFolderError("genai_config.json cannot be used.", [
      { field: "genai_config.json", description: `is not JSON: ${(error as Error).message}.` },
    ]);
  }
  if (isRecord(value)) return value;
  throw new ModelFolderError("genai_config.json cannot be used.", [
    { field: "genai_config.json", description: "must hold a JSON object." },
  ]);
}

function readEosIds(model: JsonFields, vocabSize: number, padId: number): number[] {
  const value = model.value("eos_token_id");
  const ids = value === undefined ? [] : Array.isArray(value) ? value : [value];
  if (ids.length === 0) return [padId]; // as genai does
  const bad = ids.filter((id) => !Number.isInteger(id) || id < 0 || (vocabSize > 0 && id >= vocabSize));
  if (bad.length > 0) {
    model.refuse("eos_token_id", `must be token ids from 0 to ${vocabSize - 1}; found ${JSON.stringify(bad)}.`);
  }
  return ids;
}

/** A path that stays below the model folder, with `/` between its parts. */
function readRelativePath(fields: JsonFields, key: string): string {
  const path = fields.string(key);
  const parts = path.split(/[/\\]/);
  if (/^[/\\]|^[A-Za-z]:/.test(path) || parts.includes("..") || path.includes("\0")) {
    fields.refuse(key, `must be a relative path without "..": ${JSON.stringify(path)}.`);
  }
  return parts.join("/");
}

function readDecoder(decoder: JsonFields, warnings: string[]): DecoderConfig {
  if (decoder.has("pipeline")) {
    decoder.refuse("pipeline", "splits the decoder over several graphs; only a decoder in one graph can be served.");
  }
  for (const key of ["layer_types", "conv_cache_size"]) {
    if (decoder.has(key))
      decoder.refuse(key, "describes layers with a state other than keys and values, which cannot be served.");
  }
  if (decoder.has("sliding_window")) {
    const window = decoder.object("sliding_window");
    if (window.value("slide_key_value_cache") !== false) {
      window.refuse("slide_key_value_cache", "must be false: a cache that drops positions cannot be served.");
    }
  }
  const inputs = decoder.object("inputs", { optional: true });
  const outputs = decoder.object("outputs", { optional: true });
  if (inputs.has("past_names")) inputs.refuse("past_names", "names keys and values in one tensor; they must be apart.");
  return {
    fileName: readRelativePath(decoder, "filename"),
    layers: decoder.integer("num_hidden_layers", { min: 1 }),
    kvHeads: decoder.integer("num_key_value_heads", { min: 1 }),
    headSize: decoder.integer("head_size", { min: 1 }),
    inputs: {
      inputIds: inputs.string("input_ids", { default: "input_ids" }),
      attentionMask: inputs.string("attention_mask", { default: "attention_mask" }),
      positionIds: inputs.string("position_ids", { default: "position_ids" }),
      pastKeys: inputs.template("past_key_names", "past_key_values.%d.key"),
      pastValues: inputs.template("past_value_names", "past_key_values.%d.value"),
    },
    outputs: {
      logits: outputs.string("logits", { default: "logits" }),
      presentKeys: outputs.template("present_key_names", "present.%d.key"),
      presentValues: outputs.template("present_value_names", "present.%d.value"),
    },
    session: readSession(decoder.object("session_options", { optional: true }), warnings),
  };
}

function readSession(session: JsonFields, warnings: string[]): SessionConfig {
  const ignored = ["log_id", "log_severity_level", "log_verbosity_level", "enable_profiling"];
  const known = [
    ...["intra_op_num_threads", "inter_op_num_threads", "enable_cpu_mem_arena", "enable_mem_pattern"],
    ...["graph_optimization_level", "custom_ops_library", "provider_options", "providers"],
  ];
  if (session.has("custom_ops_library"))
    session.refuse("custom_ops_library", "cannot be loaded: only built-in operators are served.");
  const providers = session.value("provider_options");
  for (const name of Array.isArray(providers)
    ? providers.flatMap((entry) => (isRecord(entry) ? Object.keys(entry) : []))
    : []) {
    warnings.push(`${session.path("provider_options")}: ${name} is ignored, the model runs on CPU.`);
  }
  const level = session.value("graph_optimization_level");
  if (level !== undefined && (typeof level !== "string" || optimizationLevels[level] === undefined)) {
    session.refuse("graph_optimization_level", `must be one of ${Object.keys(optimizationLevels).join(", ")}.`);
  }
  const entries: Record<string, string> = {};
  for (const key of session.keys()) {
    if (known.includes(key) || ignored.includes(key)) continue;
    const value = session.value(key);
    if (typeof value === "string" && isHarmlessEntry(key)) entries[key] = value;
    else if (typeof value === "string")
      warnings.push(`${session.path(key)} is ignored: it is not among the entries that only bear on speed.`);
    else warnings.push(`${session.path(key)} is ignored: it is neither a known option nor a string.`);
  }
  return {
    intraOpThreads: session.has("intra_op_num_threads")
      ? session.integer("intra_op_num_threads", { min: 0, max: maxThreads })
      : undefined,
    interOpThreads: session.has("inter_op_num_threads")
      ? session.integer("inter_op_num_threads", { min: 0, max: maxThreads })
      : undefined,
    memoryArena: session.boolean("enable_cpu_mem_arena"),
    memoryPattern: session.boolean("enable_mem_pattern"),
    graphOptimization: typeof level === "string" ? optimizationLevels[level] : undefined,
    entries,
  };
}

function readSearch(root: JsonFields, contextLength: number): SearchConfig {
  const search = root.object("search", { optional: true });
  for (const [key, neutral] of unsupportedSearch) {
    if (search.has(key) && search.number(key, { default: neutral }) !== neutral) {
      search.warn(key, `is not applied (the folder asks for ${search.value(key)}).`);
    }
  }
  const maxLength = search.integer("max_length", { min: 0, default: 0 });
  return {
    doSample: search.boolean("do_sample") ?? false,
    temperature: search.number("temperature", { min: 0, default: 1 }),
    topK: search.integer("top_k", { min: 0, default: 50 }),
    topP: search.number("top_p", { min: 0, max: 1, default: 0 }),
    repetitionPenalty: search.number("repetition_penalty", { min: 0.01, max: 10, default: 1 }),
    maxLength: maxLength > 0 && contextLength > 0 ? Math.min(maxLength, contextLength) : contextLength,
  };
}
