// What the host and the worker say to each other. Every request has an id of the host's choosing; a `generate` is
// answered by events and one end, everything else by one reply.

import type { ErrorData } from "./errors.ts";
import type {
  FolderReport,
  GenerateEvent,
  GenerateRequest,
  GraphInfo,
  GraphOptions,
  GraphOutput,
  GraphReport,
  GraphStats,
  GraphTensor,
  LoadOptions,
  ModelInfo,
  ModelStats,
  PackingProgress,
  RunnerInspection,
  TokenSource,
  Tokens,
} from "./types.ts";

export type ToWorker =
  | {
      readonly type: "load";
      readonly id: number;
      readonly key: string;
      readonly folder: string;
      readonly options: LoadOptions;
    }
  | { readonly type: "unload"; readonly id: number; readonly key: string }
  | { readonly type: "inspect"; readonly id: number; readonly folder: string }
  | {
      readonly type: "inspectRunner";
      readonly id: number;
      readonly folder: string;
      readonly options: LoadOptions;
    }
  | {
      readonly type: "loadGraph";
      readonly id: number;
      readonly key: string;
      readonly path: string;
      readonly options: GraphOptions;
    }
  | { readonly type: "inspectGraph"; readonly id: number; readonly path: string }
  | { readonly type: "run"; readonly id: number; readonly key: string; readonly feeds: readonly GraphTensor[] }
  | {
      readonly type: "tokenize";
      readonly id: number;
      readonly key: string;
      readonly source: TokenSource;
      readonly pieces: boolean;
    }
  | {
      readonly type: "detokenize";
      readonly id: number;
      readonly key: string;
      readonly ids: readonly number[];
      readonly special: boolean;
    }
  | { readonly type: "start"; readonly id: number }
  | { readonly type: "stats"; readonly id: number }
  | { readonly type: "close"; readonly id: number }
  /** `credits`: events that may be sent before the reader has taken any. */
  | { readonly type: "generate"; readonly id: number; readonly request: GenerateRequest; readonly credits: number }
  /** The reader of generation `id` took events. */
  | { readonly type: "credit"; readonly id: number; readonly credits: number }
  /** Who asked for generation or run `id` has gone. */
  | { readonly type: "cancel"; readonly id: number }
  /** End every generation or run of a model. */
  | { readonly type: "cancelAll"; readonly key: string };

export interface Replies {
  load: ModelInfo;
  unload: undefined;
  inspect: FolderReport;
  inspectRunner: RunnerInspection;
  loadGraph: GraphInfo;
  inspectGraph: GraphReport;
  run: readonly GraphOutput[];
  tokenize: Tokens;
  detokenize: string;
  start: undefined;
  stats: { readonly models: readonly ModelStats[]; readonly graphs: readonly GraphStats[] };
  close: undefined;
}

export type FromWorker =
  | { readonly type: "reply"; readonly id: number; readonly value: Replies[keyof Replies] }
  | { readonly type: "failure"; readonly id: number; readonly error: ErrorData }
  /** How far the load `id` is. */
  | { readonly type: "progress"; readonly id: number; readonly progress: PackingProgress }
  | { readonly type: "event"; readonly id: number; readonly event: GenerateEvent }
  | { readonly type: "end"; readonly id: number; readonly error?: ErrorData };
