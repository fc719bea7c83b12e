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

  /** @throws InferenceError; RuntimeUnavailableError when the library cannot be used */
  async load(key: string, folder: string, options: LoadOptions): Promise<ModelInfo> {
    const model = await openModel(await this.#open(), key, folder, options);
    this.#held.set(key, { model, users: 0, whenUnused: undefined });
    return model.info;
  }

  async inspect(folder: string): Promise<FolderReport> {
    return inspectFolder(await this.#open(), folder);
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

  /** Ends every generation, frees every model and then the library. */
  async close(): Promise<void> {
    const all = [...this.#held.values()];
    this.#held.clear();
    await Promise.all(all.map(({ model }) => model.engine.close()));
    (await this.#runtime?.catch(() => undefined))?.close();
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
