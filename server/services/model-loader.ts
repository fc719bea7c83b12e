// From the name in a request to a model in memory: looks it up in the store, has it loaded, and keeps what health says
// about it. It must never know what is done with the model.
import { join } from "node:path";
import { ApiError, type Model } from "@modelwire/proto";
import type { InferenceHost, LoadOptions, ModelInfo } from "../inference/host.ts";
import type { HealthService } from "../rpc/health.ts";
import type { ModelStore } from "../store/model-store.ts";
import { fromInference } from "./inference-errors.ts";

export interface Loaded {
  modelId: string;
  model: Model;
  info: ModelInfo;
}

export class ModelLoader {
  readonly #store: ModelStore;
  readonly #host: InferenceHost;
  readonly #health: HealthService;
  readonly #options: LoadOptions;
  readonly #names = new Map<string, string>();

  constructor(store: ModelStore, host: InferenceHost, health: HealthService, options: LoadOptions = {}) {
    this.#store = store;
    this.#host = host;
    this.#health = health;
    this.#options = options;
  }

  /**
   * Loads what `ref` names, at once when it is loaded already.
   * @throws ApiError MODEL_NOT_FOUND, MODEL_NOT_READY, MODEL_NOT_SERVABLE, MODEL_INVALID or RUNTIME_UNAVAILABLE.
   */
  async load(ref: string, signal: AbortSignal): Promise<Loaded> {
    const { model, path, servable } = await this.#store.folder(ref);
    if (servable.kind !== "llm")
      throw new ApiError(
        "MODEL_NOT_SERVABLE",
        `model ${model.modelId} cannot generate here: ${servable.kind === "none" ? servable.reason : "it is a plain ONNX model, not an LLM"}`,
        { resource: { type: "model", name: ref }, metadata: { model_id: model.modelId } },
      );
    try {
      const info = await this.#host.load(model.modelId, join(path, servable.folder), this.#options, signal);
      this.#names.set(model.modelId, model.name);
      this.#health.set(model.modelUri, "SERVING");
      return { modelId: model.modelId, model, info };
    } catch (error) {
      throw fromInference(error);
    }
  }

  /** Frees a model's memory when its running streams have ended; no error when it is not loaded. */
  async unload(modelId: string): Promise<void> {
    if (!this.#names.delete(modelId)) return;
    this.#health.set(`models:/${modelId}`, "NOT_SERVING");
    await this.#host.unload(modelId);
  }

  /** What is in memory, by name and then by id. */
  loaded(): { info: ModelInfo; name: string }[] {
    const all = this.#host.models().map((info) => ({ info, name: this.#names.get(info.key) ?? "" }));
    return all.sort((a, b) => a.name.localeCompare(b.name, "en") || a.info.key.localeCompare(b.info.key, "en"));
  }
}
