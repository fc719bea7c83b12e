// The main thread's side of inference: starts the worker, speaks to it, and turns its messages into promises and async
// iterables. It loads no native library and computes nothing.

import { disableTelemetry } from "../onnx/telemetry.ts";
import { InferenceError } from "./errors.ts";
import { feedsToSend } from "./transfer.ts";
import type {
  FolderReport,
  GenerateEvent,
  GenerateRequest,
  GraphInfo,
  GraphOptions,
  GraphOutput,
  GraphReport,
  GraphTensor,
  HostStats,
  LoadOptions,
  ModelInfo,
  PackingProgress,
  RunnerInspection,
  TokenSource,
  Tokens,
} from "./types.ts";
import { WorkerLink } from "./worker-link.ts";

export { InferenceError, type InferenceReason, type Violation } from "./errors.ts";
export type * from "./types.ts";

export interface InferenceHost {
  /** Starts the worker, opens the native library and tries it out, which the first load would do otherwise. @throws InferenceError RUNTIME_UNAVAILABLE */
  start(): Promise<void>;
  /**
   * Loads a folder under a key. The same key again gives the same promise. `signal` ends the waiting, and the telling of
   * how far the packing of weights is, not the loading.
   * @throws InferenceError MODEL_INVALID, INVALID_OPTION, MODEL_FAILED, RUNTIME_UNAVAILABLE, WORKER_DIED
   */
  load(
    key: string,
    folder: string,
    options?: LoadOptions,
    signal?: AbortSignal,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<ModelInfo>;
  /** Loads a plain ONNX graph; otherwise as `load`. @throws as `load` */
  loadGraph(key: string, path: string, options?: GraphOptions, signal?: AbortSignal): Promise<GraphInfo>;
  /** Takes no new generations and runs, waits for those in the making, or ends them when `signal` aborts, and frees the model or graph. Idempotent. */
  unload(key: string, signal?: AbortSignal): Promise<void>;
  models(): ModelInfo[];
  graphs(): GraphInfo[];
  /**
   * Answers a chat, or goes on with a text. Starts at the first read; every item taken lets the worker go one further, so a reader that stops holds up
   * its own answer only. Leaving the loop, or aborting, frees the place.
   * @throws InferenceError while iterating; the signal's reason after an abort
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>;
  /**
   * Runs a graph once; runs may overlap. Outputs come in the graph's order. Of a feed that may be taken and fills most of
   * its buffer the buffer is taken: it is empty afterwards. Anything else is copied once.
   * @throws InferenceError PREDICTION_FAILED with every violation, MODEL_NOT_LOADED, QUEUE_FULL, WORKER_DIED; the signal's reason after an abort
   */
  run(key: string, feeds: readonly GraphTensor[], signal: AbortSignal): Promise<readonly GraphOutput[]>;
  /**
   * The tokens of a text or of a conversation, as a generation would see them.
   * @throws InferenceError MODEL_NOT_LOADED, INVALID_OPTION, TEMPLATE_FAILED, TEMPLATE_MISSING
   */
  tokenize(key: string, source: TokenSource, options?: { readonly pieces?: boolean }): Promise<Tokens>;
  /**
   * The text of token ids.
   * @param options.special special tokens are written out instead of being left away
   * @throws InferenceError MODEL_NOT_LOADED, INVALID_OPTION with every id that the model does not have
   */
  detokenize(key: string, ids: readonly number[], options?: { readonly special?: boolean }): Promise<string>;
  /** Checks a folder without keeping it. @throws InferenceError MODEL_INVALID with every violation */
  inspect(folder: string): Promise<FolderReport>;
  /** What would run which node of a folder's graph, and why. @throws InferenceError MODEL_INVALID, INVALID_OPTION */
  inspectRunner(folder: string, options?: LoadOptions): Promise<RunnerInspection>;
  /** Checks a plain ONNX graph without keeping it. @throws InferenceError MODEL_INVALID with every violation */
  inspectGraph(path: string): Promise<GraphReport>;
  stats(): Promise<HostStats>;
  /** `listener` is called when the worker has ended though nobody closed it: nothing is loaded any more. @returns what takes it away */
  onWorkerEnd(listener: () => void): () => void;
  /** Ends everything, frees every model and waits until the thread is gone. Idempotent. */
  close(): Promise<void>;
}

export interface HostOptions {
  /** Events that the worker may send ahead of the reader; default 32. */
  readonly credits?: number;
  /** The worker's script; default the built one. */
  readonly worker?: URL;
}

/** Starts nothing yet: the worker comes with the first load or inspection. */
export function createInferenceHost(options: HostOptions = {}): InferenceHost {
  disableTelemetry();
  return new Host(options);
}

interface Loaded<T> {
  readonly path: string;
  readonly loading: Promise<T>;
  info?: T;
  /** Who wants to know how far it is. */
  readonly watchers: Set<(progress: PackingProgress) => void>;
  unloading?: Promise<void>;
}

class Host implements InferenceHost {
  readonly #credits: number;
  readonly #script: URL | undefined;
  readonly #models = new Map<string, Loaded<ModelInfo>>();
  readonly #graphs = new Map<string, Loaded<GraphInfo>>();
  readonly #onEnd = new Set<() => void>();
  #link: WorkerLink | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: HostOptions) {
    this.#credits = options.credits ?? 32;
    this.#script = options.worker;
  }

  load(
    key: string,
    folder: string,
    options: LoadOptions = {},
    signal?: AbortSignal,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<ModelInfo> {
    const start = () =>
      this.#worker().request({ type: "load", key, folder, options }, (progress) => {
        for (const watcher of this.#models.get(key)?.watchers ?? []) watcher(progress);
      });
    return this.#load(this.#models, key, folder, start, signal, onProgress);
  }

  loadGraph(key: string, path: string, options: GraphOptions = {}, signal?: AbortSignal): Promise<GraphInfo> {
    const start = () => this.#worker().request({ type: "loadGraph", key, path, options });
    return this.#load(this.#graphs, key, path, start, signal);
  }

  async unload(key: string, signal?: AbortSignal): Promise<void> {
    const loaded = this.#models.get(key) ?? this.#graphs.get(key);
    if (!loaded) return;
    loaded.unloading ??= (async () => {
      try {
        await loaded.loading.catch(() => undefined);
        await this.#link?.request({ type: "unload", key });
      } finally {
        for (const all of [this.#models, this.#graphs]) if (all.get(key) === loaded) all.delete(key);
      }
    })();
    const cancel = () => this.#link?.send({ type: "cancelAll", key });
    if (signal?.aborted) cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      await loaded.unloading;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  models(): ModelInfo[] {
    return infos(this.#models);
  }

  graphs(): GraphInfo[] {
    return infos(this.#graphs);
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const link = await this.#ready(this.#models, request.model, signal);
    yield* link.generate(request, this.#credits, signal);
  }

  async run(key: string, feeds: readonly GraphTensor[], signal: AbortSignal): Promise<readonly GraphOutput[]> {
    const link = await this.#ready(this.#graphs, key, signal);
    const sent = feedsToSend(feeds);
    return link.requestUntil({ type: "run", key, feeds: sent.feeds }, sent.transfer, signal);
  }

  async tokenize(key: string, source: TokenSource, { pieces = false }: { pieces?: boolean } = {}): Promise<Tokens> {
    const link = await this.#ready(this.#models, key);
    return link.request({ type: "tokenize", key, source, pieces });
  }

  async detokenize(
    key: string,
    ids: readonly number[],
    { special = false }: { special?: boolean } = {},
  ): Promise<string> {
    const link = await this.#ready(this.#models, key);
    return link.request({ type: "detokenize", key, ids, special });
  }

  async start(): Promise<void> {
    await this.#worker().request({ type: "start" });
  }

  async inspect(folder: string): Promise<FolderReport> {
    return this.#worker().request({ type: "inspect", folder });
  }

  async inspectRunner(folder: string, options: LoadOptions = {}): Promise<RunnerInspection> {
    return this.#worker().request({ type: "inspectRunner", folder, options });
  }

  async inspectGraph(path: string): Promise<GraphReport> {
    return this.#worker().request({ type: "inspectGraph", path });
  }

  async stats(): Promise<HostStats> {
    const held = await this.#link?.request({ type: "stats" });
    return { workerRunning: this.#link !== undefined, models: held?.models ?? [], graphs: held?.graphs ?? [] };
  }

  onWorkerEnd(listener: () => void): () => void {
    this.#onEnd.add(listener);
    return () => this.#onEnd.delete(listener);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#link?.close();
      this.#models.clear();
      this.#graphs.clear();
    })();
    return this.#closing;
  }

  async #load<T>(
    all: Map<string, Loaded<T>>,
    key: string,
    path: string,
    start: () => Promise<T>,
    signal: AbortSignal | undefined,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<T> {
    signal?.throwIfAborted();
    const found = this.#models.get(key) ?? this.#graphs.get(key);
    if (found?.unloading) {
      await found.unloading;
      return this.#load(all, key, path, start, signal, onProgress);
    }
    let loaded = all.get(key);
    if (found && (found !== loaded || found.path !== path))
      throw new InferenceError("INVALID_OPTION", `${key} is loaded from ${found.path}, not ${path}. Unload it first.`);
    if (!loaded) {
      const started: Loaded<T> = { path, loading: start(), watchers: new Set() };
      loaded = started;
      all.set(key, started);
      started.loading.then(
        (info) => {
          started.info = info;
        },
        () => {
          if (all.get(key) === started) all.delete(key);
        },
      );
    }
    const { loading, watchers } = loaded;
    if (onProgress) watchers.add(onProgress);
    try {
      return await (signal ? abortable(loading, signal) : loading);
    } finally {
      if (onProgress) watchers.delete(onProgress);
    }
  }

  /** The worker, once it has loaded what `key` names. @throws InferenceError MODEL_NOT_LOADED */
  async #ready<T>(all: ReadonlyMap<string, Loaded<T>>, key: string, signal?: AbortSignal): Promise<WorkerLink> {
    signal?.throwIfAborted();
    const loaded = all.get(key);
    if (!loaded || loaded.unloading || !this.#link) {
      throw new InferenceError("MODEL_NOT_LOADED", `The model ${key} is not loaded.`, { metadata: { model: key } });
    }
    const link = this.#link;
    if (!loaded.info) await (signal ? abortable(loaded.loading, signal) : loaded.loading);
    return link;
  }

  /** The worker, started if there is none. */
  #worker(): WorkerLink {
    if (this.#closing) throw new InferenceError("CLOSED", "The inference host has been closed.");
    if (!this.#link) {
      const link = new WorkerLink(this.#script);
      this.#link = link;
      void link.ended.then(() => {
        if (this.#link !== link) return;
        this.#link = undefined;
        this.#models.clear();
        this.#graphs.clear();
        if (!this.#closing) for (const listener of this.#onEnd) listener();
      });
    }
    return this.#link;
  }
}

function infos<T>(all: ReadonlyMap<string, Loaded<T>>): T[] {
  return [...all.values()].flatMap(({ info, unloading }) => (info && !unloading ? [info] : []));
}

/** The promise, or the signal's reason if that comes first. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
