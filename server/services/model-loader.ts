// From the name in a request to a model in memory: looks it up in the store, has it loaded, and keeps what health says
// about it. It must never know what is done with the model.
import { join } from "node:path";
import { ApiError, type Model } from "@modelwire/proto";
import type {
  GraphInfo,
  InferenceHost,
  LoadOptions,
  ModelInfo,
  PackingProgress,
  RunnerInspection,
} from "../inference/host.ts";
import { onnxOptions } from "../mlmodel/onnx-flavor.ts";
import type { Signature } from "../mlmodel/schema.ts";
import { readSignature } from "../mlmodel/signature/schema-json.ts";
import type { HealthService } from "../rpc/health.ts";
import type { ModelFolder, ModelStore } from "../store/model-store.ts";
import { fromInference } from "./inference-errors.ts";

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
export type InMemory = { readonly name: string } & (
  | { readonly kind: "llm"; readonly info: ModelInfo }
  | { readonly kind: "onnx"; readonly info: GraphInfo }
);

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
  readonly #health: HealthService;
  readonly #options: LoadOptions;
  readonly #names = new Map<string, string>();
  readonly #lookedUp = new Map<string, LookedUp>();

  constructor(store: ModelStore, host: InferenceHost, health: HealthService, options: LoadOptions = {}) {
    this.#store = store;
    this.#host = host;
    this.#health = health;
    this.#options = options;
  }

  /**
   * Loads the LLM that `ref` names, at once when it is loaded already.
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
   * Loads whatever `ref` names.
   * @throws ApiError MODEL_NOT_FOUND, MODEL_NOT_READY, MODEL_NOT_SERVABLE, MODEL_INVALID or RUNTIME_UNAVAILABLE.
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

  /** Frees a model's memory when its running streams have ended; no error when it is not loaded. */
  async unload(modelId: string): Promise<void> {
    this.forget();
    if (!this.#names.delete(modelId)) return;
    this.#health.set(`models:/${modelId}`, "NOT_SERVING");
    await this.#host.unload(modelId);
  }

  /** What is in memory, by name and then by id. */
  loaded(): InMemory[] {
    const name = (key: string) => this.#names.get(key) ?? "";
    const all: InMemory[] = [
      ...this.#host.models().map((info) => ({ kind: "llm" as const, info, name: name(info.key) })),
      ...this.#host.graphs().map((info) => ({ kind: "onnx" as const, info, name: name(info.key) })),
    ].filter(({ info }) => this.#names.has(info.key));
    return all.sort((a, b) => a.name.localeCompare(b.name, "en") || a.info.key.localeCompare(b.info.key, "en"));
  }

  async #load(
    ref: string,
    lookedUp: LookedUp,
    signal: AbortSignal,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<Loaded> {
    const { modelId, model, signature, folder } = lookedUp;
    const { servable, path } = folder;
    if (servable.kind === "none") throw notServable(model, ref, `cannot be served here: ${servable.reason}`);
    const found = { modelId, model, signature };
    try {
      if (servable.kind === "llm") {
        const info = await this.#host.load(modelId, join(path, servable.folder), this.#options, signal, onProgress);
        this.#served(model);
        return { kind: "llm", ...found, info };
      }
      const { threads } = this.#options;
      const options = { ...onnxOptions(servable.flavor), ...(threads !== undefined && { threads }) };
      const info = await this.#host.loadGraph(modelId, join(path, servable.file), options, signal);
      this.#served(model);
      return { kind: "onnx", ...found, info };
    } catch (error) {
      throw fromInference(error);
    }
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

  #served(model: Model): void {
    if (this.#names.has(model.modelId)) return;
    this.#names.set(model.modelId, model.name);
    this.#health.set(model.modelUri, "SERVING");
  }
}

function notServable({ modelId }: Model, ref: string, why: string): ApiError {
  return new ApiError("MODEL_NOT_SERVABLE", `model ${modelId} ${why}`, {
    resource: { type: "model", name: ref },
    metadata: { model_id: modelId },
  });
}
