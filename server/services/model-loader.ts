// From the name in a request to a model in memory: looks it up in the store and has it loaded. It must never know what is
// done with the model, nor who leaves memory for it.
import { dirname, join } from "node:path";
import { ApiError, type Model } from "@modelwire/proto";
import type {
  GraphInfo,
  HostStats,
  InferenceHost,
  LoadOptions,
  ModelInfo,
  PackingProgress,
  RunnerInspection,
} from "../inference/host.ts";
import { onnxOptions } from "../mlmodel/onnx-flavor.ts";
import type { Signature } from "../mlmodel/schema.ts";
import { readSignature } from "../mlmodel/signature/schema-json.ts";
import type { ModelFolder, ModelStore } from "../store/model-store.ts";
import { fromInference } from "./inference-errors.ts";
import type { LastKnown } from "./last-known.ts";
import type { ModelLife, Opening, Resident } from "./model-life.ts";
import { graphNeed, llmBytes, llmNeed } from "./model-need.ts";

interface Found {
  readonly modelId: string;
  readonly model: Model;
  /** Undefined when the model has none. */
  readonly signature: Signature | undefined;
}

export interface LoadedLlm extends Found {
  readonly kind: "llm";
  readonly info: ModelInfo;
}

export interface LoadedGraph extends Found {
  readonly kind: "onnx";
  readonly info: GraphInfo;
}

export type Loaded = LoadedLlm | LoadedGraph;

/** A model in memory, as lists have it. */
export type InMemory = {
  readonly name: string;
  readonly lastUsedAt: Date;
  /** Its weights, and its cache at its fullest. */
  readonly memoryBytes: number;
  /** Answers in the making, and those that wait for a place. */
  readonly running: number;
  readonly waiting: number;
} & ({ readonly kind: "llm"; readonly info: ModelInfo } | { readonly kind: "onnx"; readonly info: GraphInfo });

/**
 * How long the store's answer for a name is believed, in milliseconds. What this server itself logs and deletes is seen
 * at once; another program's deletion, or its newer model of the same name, this much later.
 */
const BELIEVED_MS = 1000;

interface LookedUp extends Found {
  readonly folder: ModelFolder;
  readonly atMs: number;
}

export class ModelLoader {
  readonly #store: ModelStore;
  readonly #host: InferenceHost;
  readonly #life: ModelLife;
  readonly #stats: LastKnown<HostStats>;
  readonly #options: LoadOptions;
  readonly #lookedUp = new Map<string, LookedUp>();

  constructor(
    store: ModelStore,
    host: InferenceHost,
    life: ModelLife,
    stats: LastKnown<HostStats>,
    options: LoadOptions = {},
  ) {
    this.#store = store;
    this.#host = host;
    this.#life = life;
    this.#stats = stats;
    this.#options = options;
  }

  /**
   * Loads the LLM that `ref` names, at once when it is loaded already. It stays in memory until `signal` aborts, as a call's
   * does when the call has ended.
   * @throws ApiError as {@link loadAny}, and MODEL_NOT_SERVABLE for a model that has no tokens.
   */
  async load(ref: string, signal: AbortSignal): Promise<LoadedLlm> {
    const lookedUp = await this.#lookUp(ref);
    const { folder } = lookedUp;
    if (folder.servable.kind === "onnx")
      throw notServable(
        folder.model,
        ref,
        "is a plain ONNX model, which neither chats nor has tokens; ask it with Predict",
      );
    const loaded = await this.#load(ref, lookedUp, signal);
    if (loaded.kind !== "llm") throw new Error(`${loaded.modelId} changed its kind`);
    return loaded;
  }

  /**
   * Loads whatever `ref` names, as {@link load}.
   * @throws ApiError MODEL_NOT_FOUND, MODEL_NOT_READY, MODEL_NOT_SERVABLE, MODEL_INVALID, MODEL_MEMORY_FULL or
   *   RUNTIME_UNAVAILABLE.
   */
  async loadAny(ref: string, signal: AbortSignal, onProgress?: (progress: PackingProgress) => void): Promise<Loaded> {
    return await this.#load(ref, await this.#lookUp(ref), signal, onProgress);
  }

  /**
   * What would run which node of an LLM's graph.
   * @throws ApiError as {@link load}
   */
  async inspect(ref: string): Promise<RunnerInspection> {
    const { folder } = await this.#lookUp(ref);
    const { servable, path, model } = folder;
    if (servable.kind === "none") throw notServable(model, ref, `cannot be served here: ${servable.reason}`);
    if (servable.kind === "onnx")
      throw notServable(
        model,
        ref,
        "is a plain ONNX model, all of which ONNX Runtime runs: only decoders are rewritten",
      );
    try {
      return await this.#host.inspectRunner(join(path, servable.folder), this.#options);
    } catch (error) {
      throw fromInference(error);
    }
  }

  /** Forgets what names meant: something was logged or deleted. */
  forget(): void {
    this.#lookedUp.clear();
  }

  /**
   * Loads whatever `ref` names, and has it stay whoever comes.
   * @throws ApiError as {@link loadAny}
   */
  async keep(ref: string): Promise<Loaded> {
    const lookedUp = await this.#lookUp(ref);
    this.#life.keep(lookedUp.modelId);
    const use = new AbortController();
    try {
      return await this.#load(ref, lookedUp, use.signal);
    } finally {
      use.abort();
    }
  }

  /** Frees a model's memory when its running calls have ended; no error when it is not loaded. */
  async unload(modelId: string): Promise<void> {
    this.forget();
    await this.#life.unload(modelId);
  }

  /** What is in memory, by name and then by id. */
  async loaded(): Promise<InMemory[]> {
    const { residents } = this.#life.figures();
    const all = await this.#inMemory(residents.filter(({ ready }) => ready));
    return all.sort((a, b) => a.name.localeCompare(b.name, "en") || a.info.key.localeCompare(b.info.key, "en"));
  }

  /** A model that is in memory, as {@link loaded} has it. */
  async inMemory(modelId: string): Promise<InMemory | undefined> {
    const resident = this.#life.get(modelId);
    return resident && (await this.#inMemory([resident]))[0];
  }

  async #inMemory(residents: readonly Resident[]): Promise<InMemory[]> {
    const { models, graphs } = (await this.#stats.get()).value;
    return residents.flatMap(({ modelId, name, lastUsedAt, opened }) => {
      if (!opened) return [];
      const model = models.find(({ key }) => key === modelId);
      const graph = graphs.find(({ key }) => key === modelId);
      const { bytes: memoryBytes, ...loaded } = opened;
      const running = model?.running ?? graph?.running ?? 0;
      return [{ ...{ name, lastUsedAt, memoryBytes, running, waiting: model?.queued ?? 0 }, ...loaded }];
    });
  }

  async #load(
    ref: string,
    { modelId, model, signature, folder }: LookedUp,
    signal: AbortSignal,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<Loaded> {
    try {
      const { bytes: _, ...opened } = await this.#life.hold(model, this.#opening(ref, folder), signal, onProgress);
      return { ...opened, modelId, model, signature };
    } catch (error) {
      throw fromInference(error);
    }
  }

  #opening(ref: string, { servable, path, model }: ModelFolder): Opening {
    const { modelId } = model;
    if (servable.kind === "none") throw notServable(model, ref, `cannot be served here: ${servable.reason}`);
    if (servable.kind === "llm") {
      const folder = join(path, servable.folder);
      return {
        need: () => llmNeed(this.#host, folder, this.#options),
        open: async ({ weightsBytes }, cacheTokens, onProgress) => {
          const options = { ...this.#options, ...(cacheTokens !== undefined && { cacheTokens }) };
          const info = await this.#host.load(modelId, folder, options, undefined, onProgress);
          return { kind: "llm", info, bytes: llmBytes(weightsBytes, info) };
        },
      };
    }
    const file = join(path, servable.file);
    const { threads } = this.#options;
    const options = { ...onnxOptions(servable.flavor), ...(threads !== undefined && { threads }) };
    return {
      need: () => graphNeed(dirname(file)),
      open: async ({ weightsBytes: bytes }) => {
        return { kind: "onnx", info: await this.#host.loadGraph(modelId, file, options), bytes };
      },
    };
  }

  async #lookUp(ref: string): Promise<LookedUp> {
    const known = this.#lookedUp.get(ref);
    if (known && performance.now() - known.atMs < BELIEVED_MS) return known;
    // Cleared as a whole rather than entry by entry: a caller may make up as many names as it likes.
    if (this.#lookedUp.size >= 1000) this.forget();
    const folder = await this.#store.folder(ref);
    const { model, mlmodel } = folder;
    const signature = mlmodel.signature && readSignature(mlmodel.signature);
    const found = { modelId: model.modelId, model, signature, folder, atMs: performance.now() };
    this.#lookedUp.set(ref, found);
    return found;
  }
}

function notServable({ modelId }: Model, ref: string, why: string): ApiError {
  return new ApiError("MODEL_NOT_SERVABLE", `model ${modelId} ${why}`, {
    resource: { type: "model", name: ref },
    metadata: { model_id: modelId },
  });
}
