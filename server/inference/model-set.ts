// The models that a worker holds, and how many generations use each. A model is released after its last generation.

import { Runtime } from "../onnx/runtime.ts";
import { selfTest } from "../onnx/self-test.ts";
import { InferenceError } from "./errors.ts";
import { inspectFolder, type LoadedModel, openModel } from "./model.ts";
import type { FolderReport, LoadOptions, ModelInfo, ModelStats } from "./types.ts";

interface Held {
  readonly model: LoadedModel;
  users: number;
  whenUnused: (() => void) | undefined;
}

export class ModelSet {
  readonly #held = new Map<string, Held>();
  #runtime: Promise<Runtime> | undefined;
  /** Folders being opened: the library must not be closed under them. */
  readonly #opened = new Set<Promise<unknown>>();

  /** @throws InferenceError; RuntimeUnavailableError when the library cannot be used */
  async load(key: string, folder: string, options: LoadOptions): Promise<ModelInfo> {
    const model = await this.#opening((runtime) => openModel(runtime, key, folder, options));
    this.#held.set(key, { model, users: 0, whenUnused: undefined });
    return model.info;
  }

  /** Opens the library and tries it out. @throws RuntimeUnavailableError */
  async start(): Promise<undefined> {
    await this.#opening(async () => {});
  }

  inspect(folder: string): Promise<FolderReport> {
    return this.#opening((runtime) => inspectFolder(runtime, folder));
  }

  /** The model, held until `release` is called. @throws InferenceError MODEL_NOT_LOADED */
  use(key: string): { model: LoadedModel; release: () => void } {
    const held = this.#held.get(key);
    if (!held)
      throw new InferenceError("MODEL_NOT_LOADED", `The model ${key} is not loaded.`, { metadata: { model: key } });
    held.users++;
    return {
      model: held.model,
      release: () => {
        if (--held.users === 0) held.whenUnused?.();
      },
    };
  }

  /** Takes no new users, waits for the last one, and frees the model. */
  async unload(key: string): Promise<void> {
    const held = this.#held.get(key);
    if (!held) return;
    this.#held.delete(key);
    if (held.users > 0) {
      await new Promise<void>((resolve) => {
        held.whenUnused = resolve;
      });
    }
    await held.model.engine.close();
  }

  stats(): ModelStats[] {
    return [...this.#held.values()].map(({ model }) => {
      return { key: model.info.key, ...model.engine.load, maxSequences: model.info.maxSequences };
    });
  }

  /** Waits for what is being opened, ends every generation, frees every model and then the library. */
  async close(): Promise<void> {
    while (this.#opened.size > 0) await Promise.allSettled(this.#opened);
    const all = [...this.#held.values()];
    this.#held.clear();
    await Promise.all(all.map(({ model }) => model.engine.close()));
    (await this.#runtime?.catch(() => undefined))?.close();
  }

  async #opening<T>(open: (runtime: Runtime) => Promise<T>): Promise<T> {
    const work = this.#open().then(open);
    this.#opened.add(work);
    try {
      return await work;
    } finally {
      this.#opened.delete(work);
    }
  }

  #open(): Promise<Runtime> {
    this.#runtime ??= (async () => {
      const runtime = new Runtime();
      await selfTest(runtime);
      return runtime;
    })();
    return this.#runtime;
  }
}
