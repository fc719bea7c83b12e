// The models and plain graphs that a worker holds, and how many calls use each. One is released after its last call.

import { Runtime } from "../onnx/runtime.ts";
import { selfTest } from "../onnx/self-test.ts";
import { InferenceError } from "./errors.ts";
import { inspectGraph, LoadedGraph, RunPlaces } from "./loaded-graph.ts";
import { inspectFolder, inspectModelRunner, type LoadedModel, openModel } from "./model.ts";
import type {
  FolderReport,
  GraphInfo,
  GraphOptions,
  GraphReport,
  GraphStats,
  LoadOptions,
  ModelInfo,
  ModelStats,
  PackingProgress,
  RunnerInspection,
} from "./types.ts";

interface Held<T> {
  readonly thing: T;
  users: number;
  whenUnused: (() => void) | undefined;
}

export class ModelSet {
  readonly #models = new Map<string, Held<LoadedModel>>();
  readonly #graphs = new Map<string, Held<LoadedGraph>>();
  readonly #places = new RunPlaces();
  #runtime: Promise<Runtime> | undefined;
  /** Folders being opened: the library must not be closed under them. */
  readonly #opened = new Set<Promise<unknown>>();

  /** @throws InferenceError; RuntimeUnavailableError when the library cannot be used */
  async load(
    key: string,
    folder: string,
    options: LoadOptions,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<ModelInfo> {
    const model = await this.#opening((runtime) => openModel(runtime, key, folder, options, onProgress));
    this.#models.set(key, { thing: model, users: 0, whenUnused: undefined });
    return model.info;
  }

  /** @throws InferenceError; RuntimeUnavailableError when the library cannot be used */
  async loadGraph(key: string, path: string, options: GraphOptions): Promise<GraphInfo> {
    const graph = await this.#opening((runtime) => LoadedGraph.open(runtime, this.#places, key, path, options));
    this.#graphs.set(key, { thing: graph, users: 0, whenUnused: undefined });
    return graph.info;
  }

  /** Opens the library and tries it out. @throws RuntimeUnavailableError */
  async start(): Promise<undefined> {
    await this.#opening(async () => {});
  }

  inspect(folder: string): Promise<FolderReport> {
    return this.#opening((runtime) => inspectFolder(runtime, folder));
  }

  /** @throws InferenceError MODEL_INVALID */
  inspectRunner(folder: string, options: LoadOptions): Promise<RunnerInspection> {
    return this.#opening(() => inspectModelRunner(folder, options));
  }

  inspectGraph(path: string): Promise<GraphReport> {
    return this.#opening((runtime) => inspectGraph(runtime, path));
  }

  /** Lets `work` use the model, which is held meanwhile. @throws InferenceError MODEL_NOT_LOADED */
  use<T>(key: string, work: (model: LoadedModel) => Promise<T>): Promise<T> {
    return held(this.#models, key, work);
  }

  /** Lets `work` use the graph, which is held meanwhile. @throws InferenceError MODEL_NOT_LOADED */
  useGraph<T>(key: string, work: (graph: LoadedGraph) => Promise<T>): Promise<T> {
    return held(this.#graphs, key, work);
  }

  /** Takes no new users, waits for the last one, and frees the model or graph. */
  async unload(key: string): Promise<void> {
    const model = await taken(this.#models, key);
    await model?.engine.close();
    const graph = await taken(this.#graphs, key);
    await graph?.close();
  }

  stats(): { models: ModelStats[]; graphs: GraphStats[] } {
    return {
      models: [...this.#models.values()].map(({ thing: { info, engine } }) => {
        return { key: info.key, ...engine.load, maxSequences: info.maxSequences, metrics: engine.metrics() };
      }),
      graphs: [...this.#graphs].map(([key, { users }]) => ({ key, running: users })),
    };
  }

  /** Waits for what is being opened, ends every generation, frees everything and then the library. */
  async close(): Promise<void> {
    while (this.#opened.size > 0) await Promise.allSettled(this.#opened);
    const all = [
      ...[...this.#models.values()].map(({ thing }) => thing.engine.close()),
      ...[...this.#graphs.values()].map(({ thing }) => thing.close()),
    ];
    this.#models.clear();
    this.#graphs.clear();
    await Promise.all(all);
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

async function held<L, T>(all: ReadonlyMap<string, Held<L>>, key: string, work: (thing: L) => Promise<T>): Promise<T> {
  const found = all.get(key);
  if (!found)
    throw new InferenceError("MODEL_NOT_LOADED", `The model ${key} is not loaded.`, { metadata: { model: key } });
  found.users++;
  try {
    return await work(found.thing);
  } finally {
    if (--found.users === 0) found.whenUnused?.();
  }
}

/** Takes it out of `all`, once nobody uses it any more; undefined when it is not there. */
async function taken<L>(all: Map<string, Held<L>>, key: string): Promise<L | undefined> {
  const found = all.get(key);
  if (!found) return undefined;
  all.delete(key);
  if (found.users > 0) {
    await new Promise<void>((resolve) => {
      found.whenUnused = resolve;
    });
  }
  return found.thing;
}
