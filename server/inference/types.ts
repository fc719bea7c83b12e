// What the host of the inference worker takes and gives. Plain data: all of it crosses a thread boundary.

import type { EngineMetrics } from "../decoder/metrics.ts";
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
export type { CacheType, EngineMetrics, PackingProgress, RunnerChoice, RunnerInspection, RunnerReport };

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
  /** Positions that the sequences of the model can have in the cache together; default: as many as memory lets them. */
  readonly cacheTokens?: number;
  /** Requests that may wait; default 256. */
  readonly queueLimit?: number;
  /** Guess tokens from the text so far and check several in one step; default true. It never changes an answer. */
  readonly speculate?: boolean;
  /** Keep computed beginnings of prompts for others with the same salt; default true. */
  readonly prefixCache?: boolean;
}

/** What a model uses where a request is silent. `maxLength`: tokens of prompt and answer together, when less than the context. */
export interface GenerationDefaults {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly repetitionPenalty: number;
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
  /** The same request and seed gives the same tokens whatever else is computed beside it. */
  readonly reproducible: boolean;
  /** What the trial at load found different, in words; "" when nothing. */
  readonly notReproducibleBecause: string;
  /** Positions that its sequences can have in the cache together. */
  readonly cacheTokens: number;
  /** Memory that it counts for: its weights, and its cache at its fullest. */
  readonly memoryBytes: number;
  /** The form in which it asks for tools, e.g. "<tool_call>"; "" where its template knows none. */
  readonly toolFormat: string;
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
  readonly toolCalls?: readonly ToolCall[];
  /** Of a tool's result. */
  readonly toolCallId?: string;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

export interface Tool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments as JSON text; "" for none. */
  readonly parameters: string;
}

export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

/** What an answer is made of. */
export type ResponseFormat =
  | { readonly type: "json_schema"; readonly schema: string }
  | { readonly type: "json_object" }
  | { readonly type: "regex"; readonly pattern: string }
  | { readonly type: "grammar"; readonly grammar: string };

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
  /** Answers to the prompt; 1 to 8, default 1. */
  readonly n?: number;
  /** 0 to 1; 0 is no limit. */
  readonly minP?: number;
  /** Above 0, at most 10; 1 is none. */
  readonly repetitionPenalty?: number;
  /** -2 to 2; 0 is none. */
  readonly presencePenalty?: number;
  /** -2 to 2; 0 is none. */
  readonly frequencyPenalty?: number;
  /** By token id: -100 to 100; at most 1,024. */
  readonly logitBias?: ReadonlyMap<number, number>;
  /** At most 64. */
  readonly stopTokenIds?: readonly number[];
  readonly minTokens?: number;
  readonly ignoreEos?: boolean;
  /** Tell log-probabilities: of each token, and of so many of the likeliest ones; 0 to 20. */
  readonly logprobs?: number;
}

/** A conversation, put through the chat template, or a text as it stands, in which special tokens count as such. */
export type Question = { readonly messages: readonly ChatMessage[] } | { readonly prompt: string };

export type GenerateRequest = Question & {
  /** Key of a loaded model. */
  readonly model: string;
  readonly options: GenerateOptions;
  readonly format?: ResponseFormat;
  readonly tools?: readonly Tool[];
  /** Default "auto". */
  readonly toolChoice?: ToolChoice;
  /** On whose behalf: places and steps are shared out fairly between callers. Default "". */
  readonly caller?: string;
  /** Computed beginnings are shared among requests with the same scope. Default "". */
  readonly cacheScope?: string;
  /** -100 to 100, higher goes first; default 0. */
  readonly priority?: number;
  /** When it arrived and when its answer is worth nothing any more, in milliseconds since the epoch, as `performance.timeOrigin + performance.now()`. */
  readonly arrivedAtMs?: number;
  readonly deadlineAtMs?: number;
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
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly stopTokenIds: number[];
  readonly minTokens: number;
  readonly ignoreEos: boolean;
  /** Absent: none are told. */
  readonly logprobs?: number;
}

export interface Usage {
  readonly promptTokens: number;
  /** Tokens of all answers, without the one that ended each. */
  readonly completionTokens: number;
  /** Prompt tokens of the first answer that were not computed, because they were in the cache. */
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
  /** Steps that gave at least one token, tokens guessed ahead, and those of them that were right; of all answers. */
  readonly steps: number;
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
}

/** A token and how likely it was. */
export interface TokenLogprob {
  readonly id: number;
  /** By itself; U+FFFD for bytes that are no whole character. */
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly logprob: number;
  /** The likeliest at this place, the likeliest first; absent in those. */
  readonly top?: readonly TokenLogprob[];
}

/** A piece of a call of a tool. `id` and `name` are in the first piece. */
export interface ToolCallDelta {
  /** Which call of the answer, from 0. */
  readonly index: number;
  readonly id?: string;
  readonly name?: string;
  /** What is new of the arguments, as JSON text. */
  readonly arguments: string;
}

/** `index` tells the answers of one request apart. `done` comes last, exactly once. */
export type GenerateEvent =
  /** `tokenIds`: tokens since the last delta, those of a held-back text included. */
  | {
      readonly type: "delta";
      readonly index: number;
      readonly text: string;
      readonly tokenIds: number[];
      /** One for each of `tokenIds`, where asked for. */
      readonly logprobs?: readonly TokenLogprob[];
      readonly toolCalls?: readonly ToolCallDelta[];
    }
  | {
      readonly type: "finish";
      readonly index: number;
      readonly reason: "stop" | "length" | "tool_calls";
      readonly stopString?: string;
      /** The token that ended it, if one did. */
      readonly stopTokenId?: number;
    }
  | {
      readonly type: "done";
      readonly usage: Usage;
      readonly timings: Timings;
      readonly seed: bigint;
      readonly options: ResolvedOptions;
      /** As ModelInfo's. */
      readonly reproducible: boolean;
    };

export interface ModelStats {
  readonly key: string;
  /** Answers in the making that somebody waits for. */
  readonly running: number;
  /** Answers that wait for their turn. */
  readonly queued: number;
  readonly maxSequences: number;
  readonly metrics: EngineMetrics;
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
