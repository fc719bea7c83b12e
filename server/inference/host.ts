// The main thread's side of inference: starts the worker, speaks to it, and turns its messages into promises and async
// iterables. It loads no native library and computes nothing.

import { disableTelemetry } from "../onnx/telemetry.ts";
import { InferenceError } from "./errors.ts";
import type { FolderReport, GenerateEvent, GenerateRequest, HostStats, LoadOptions, ModelInfo } from "./types.ts";
import { WorkerLink } from "./worker-link.ts";

export { InferenceError, type InferenceReason, type Violation } from "./errors.ts";
export type * from "./types.ts";

export interface InferenceHost {
  /** Starts the worker, opens the native library and tries it out, which the first load would do otherwise. @throws InferenceError RUNTIME_UNAVAILABLE */
  start(): Promise<void>;
  /**
   * Loads a folder under a key. The same key again gives the same promise. `signal` ends the waiting, not the loading.
   * @throws InferenceError MODEL_INVALID, INVALID_OPTION, MODEL_FAILED, RUNTIME_UNAVAILABLE, WORKER_DIED
   */
  load(key: string, folder: string, options?: LoadOptions, signal?: AbortSignal): Promise<ModelInfo>;
  /** Takes no new generations, waits for the running ones, or ends them when `signal` aborts, and frees the model. Idempotent. */
  unload(key: string, signal?: AbortSignal): Promise<void>;
  models(): ModelInfo[];
  /**
   * Answers a chat. Starts at the first read; every item taken lets the worker go one further, so a reader that stops holds up
   * its own answer only. Leaving the loop, or aborting, frees the place.
   * @throws InferenceError while iterating; the signal's reason after an abort
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>;
  /** Checks a folder without keeping it. @throws InferenceError MODEL_INVALID with every violation */
  inspect(folder: string): Promise<FolderReport>;
  stats(): Promise<HostStats>;
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

interface Model {
  readonly folder: string;
  readonly loading: Promise<ModelInfo>;
  info?: ModelInfo;
  unloading?: Promise<void>;
}

class Host implements InferenceHost {
  readonly #credits: number;
  readonly #script: URL | undefined;
  readonly #models = new Map<string, Model>();
  #link: WorkerLink | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: HostOptions) {
    this.#credits = options.credits ?? 32;
    this.#script = options.worker;
  }

  async load(key: string, folder: string, options: LoadOptions = {}, signal?: AbortSignal): Promise<ModelInfo> {
    signal?.throwIfAborted();
    let model = this.#models.get(key);
    if (model?.unloading) {
      await model.unloading;
      return this.load(key, folder, options, signal);
    }
    if (model && model.folder !== folder) {
      throw new InferenceError(
        "INVALID_OPTION",
        `${key} is loaded from ${model.folder}, not ${folder}. Unload it first.`,
      );
    }
    model ??= this.#startLoading(key, folder, options);
    return signal ? abortable(model.loading, signal) : model.loading;
  }

  async unload(key: string, signal?: AbortSignal): Promise<void> {
    const model = this.#models.get(key);
    if (!model) return;
    model.unloading ??= (async () => {
      try {
        await model.loading.catch(() => undefined);
        await this.#link?.request({ type: "unload", key });
      } finally {
        if (this.#models.get(key) === model) this.#models.delete(key);
      }
    })();
    const cancel = () => this.#link?.send({ type: "cancelAll", key });
    if (signal?.aborted) cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      await model.unloading;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  models(): ModelInfo[] {
    return [...this.#models.values()].flatMap((model) => (model.info && !model.unloading ? [model.info] : []));
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    signal.throwIfAborted();
    const model = this.#models.get(request.model);
    if (!model || model.unloading || !this.#link) {
      throw new InferenceError("MODEL_NOT_LOADED", `The model ${request.model} is not loaded.`, {
        metadata: { model: request.model },
      });
    }
    if (!model.info) await abortable(model.loading, signal);
    yield* this.#link.generate(request, this.#credits, signal);
  }

  async start(): Promise<void> {
    await this.#worker().request({ type: "start" });
  }

  async inspect(folder: string): Promise<FolderReport> {
    return this.#worker().request({ type: "inspect", folder });
  }

  async stats(): Promise<HostStats> {
    const models = this.#link ? await this.#link.request({ type: "stats" }) : [];
    return { workerRunning: this.#link !== undefined, models };
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#link?.close();
      this.#models.clear();
    })();
    return this.#closing;
  }

  #startLoading(key: string, folder: string, options: LoadOptions): Model {
    const loading = this.#worker().request({ type: "load", key, folder, options });
    const model: Model = { folder, loading };
    this.#models.set(key, model);
    loading.then(
      (info) => {
        model.info = info;
      },
      () => {
        if (this.#models.get(key) === model) this.#models.delete(key);
      },
    );
    return model;
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
      });
    }
    return this.#link;
  }
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
