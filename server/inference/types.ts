// What the host of the inference worker takes and gives. Plain data: all of it crosses a thread boundary.

import type { GraphValue } from "../onnx/graph-types.ts";
import type {
  CacheType,
  PackingProgress,
  RunnerChoice,
  RunnerInspection,
  RunnerReport,
} from "../onnx/runner-report.ts";

export type {
  GraphOptions,
  GraphOutput,
  GraphTensor,
  GraphValue,
  TensorValue,
  Value,
} from "../onnx/graph-types.ts";
export type { CacheType, PackingProgress, RunnerChoice, RunnerInspection, RunnerReport };

export interface LoadOptions {
  /** Threads of one operator; default: the folder's `intra_op_num_threads`, else one per physical core. */
  readonly threads?: number;
  /** Sequences computed at a time; default 8. */
  readonly maxSequences?: number;
  /** Tokens of prompt and answer together; default and at most the model's context length. */
  readonly maxLength?: number;
  /** Default "auto": the native runner where it can run the model. */
  readonly runner?: RunnerChoice;
  /** What the native runner keeps keys and values in; default "float16". */
  readonly cacheType?: CacheType;
  /** Folder of the cache of packed weights; without one they are packed at every load. */
  readonly packedWeightsFolder?: string;
}

/** What a model uses where a request is silent. `maxLength`: tokens of prompt and answer together, when less than the context. */
export interface GenerationDefaults {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly maxLength?: number;
}

export interface ModelInfo {
  readonly key: string;
  readonly folder: string;
  /** Tokens of prompt and answer together. */
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly eosIds: number[];
  /** As the folder names it, e.g. phi3. Nothing depends on it. */
  readonly modelType: string;
  readonly maxSequences: number;
  readonly loadMs: number;
  readonly warnings: string[];
  readonly defaults: GenerationDefaults;
  readonly runner: RunnerReport;
}

/** Facts about a model folder that could be loaded. */
export interface FolderReport {
  readonly modelType: string;
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly eosIds: number[];
  readonly hasChatTemplate: boolean;
  /** Element type of the key and value cache. */
  readonly cacheType: string;
  /** Bytes of the cache per token of a sequence. */
  readonly cacheBytesPerToken: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly defaults: GenerationDefaults;
  readonly warnings: string[];
}

/** Facts about a plain graph that could be loaded. */
export interface GraphReport {
  /** In the graph's order. */
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly warnings: readonly string[];
}

/** A plain graph that is loaded. */
export interface GraphInfo extends GraphReport {
  readonly key: string;
  readonly path: string;
  readonly loadMs: number;
}

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
}

/** Absent means the model's own default; zero means zero. */
export interface GenerateOptions {
  /** 1 or more. */
  readonly maxTokens?: number;
  /** 0 always takes the likeliest token. */
  readonly temperature?: number;
  /** 0 to 1; 1 is no limit. */
  readonly topP?: number;
  /** 0 is no limit. */
  readonly topK?: number;
  /** Unsigned 64 bits. The same seed, prompt and options give the same answer. */
  readonly seed?: bigint;
  /** The answer ends before the first of these; at most 16, each 1 to 256 characters. */
  readonly stop?: readonly string[];
  /** Answers to the prompt; 1 to 16, default 1. */
  readonly n?: number;
}

/** A conversation, put through the chat template, or a text as it stands, in which special tokens count as such. */
export type Question = { readonly messages: readonly ChatMessage[] } | { readonly prompt: string };

export type GenerateRequest = Question & {
  /** Key of a loaded model. */
  readonly model: string;
  readonly options: GenerateOptions;
};

/** What to take apart into tokens: a text as it stands, or a conversation put through the chat template. */
export type TokenSource = { readonly text: string } | { readonly messages: readonly ChatMessage[] };

export interface Tokens {
  readonly ids: number[];
  /** The vocabulary's entry for each id. */
  readonly pieces?: string[];
}

/** The options that were used, none absent. */
export interface ResolvedOptions {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly stop: string[];
  readonly n: number;
}

export interface Usage {
  readonly promptTokens: number;
  /** Tokens of all answers, without the one that ended each. */
  readonly completionTokens: number;
  /** Prompt tokens of the first answer that were not computed, because a request that ran beside it had them. */
  readonly cachedPromptTokens: number;
}

/** Milliseconds. With several answers: to the first token of any, and until the last token of all. */
export interface Timings {
  readonly queueMs: number;
  readonly promptMs: number;
  readonly timeToFirstTokenMs: number;
  readonly generationMs: number;
  /** Tokens after the first over `generationMs`; 0 where there is none. */
  readonly tokensPerSecond: number;
}

/** `index` tells the answers of one request apart. `done` comes last, exactly once. */
export type GenerateEvent =
  /** `tokenIds`: tokens since the last delta, those of a held-back text included. */
  | { readonly type: "delta"; readonly index: number; readonly text: string; readonly tokenIds: number[] }
  | {
      readonly type: "finish";
      readonly index: number;
      readonly reason: "stop" | "length";
      readonly stopString?: string;
    }
  | {
      readonly type: "done";
      readonly usage: Usage;
      readonly timings: Timings;
      readonly seed: bigint;
      readonly options: ResolvedOptions;
    };

export interface ModelStats {
  readonly key: string;
  /** Answers in the making that somebody waits for. */
  readonly running: number;
  /** Answers that wait for their turn. */
  readonly queued: number;
  readonly maxSequences: number;
}

export interface GraphStats {
  readonly key: string;
  /** Runs that somebody waits for, those that wait for their turn included. */
  readonly running: number;
}

export interface HostStats {
  readonly workerRunning: boolean;
  readonly models: readonly ModelStats[];
  readonly graphs: readonly GraphStats[];
}
