// ServingService: which models are in memory.
import { ApiError, invalidFields, type ServiceHandlers, type ServingService } from "@modelwire/proto";
import type { PackingProgress } from "../inference/host.ts";
import type { CallContext } from "../rpc/context.ts";
import type { ModelStore } from "../store/model-store.ts";
import { inspection, loadedModel } from "./inference-messages.ts";
import { Latest } from "./latest.ts";
import type { Loaded, ModelLoader } from "./model-loader.ts";

export function servingService(
  store: ModelStore,
  loader: ModelLoader,
): ServiceHandlers<typeof ServingService, CallContext> {
  /** It is in use by the call that had it loaded, so it is there. */
  async function told({ modelId }: Loaded) {
    const model = await loader.inMemory(modelId);
    if (!model) throw new ApiError("WORKER_DIED", `model ${modelId} was lost as soon as it was loaded; load it again`);
    return loadedModel(model);
  }

  return {
    async loadModel({ model }, { signal }) {
      return { model: await told(await loader.loadAny(required(model), signal)) };
    },
    async *streamLoadModel({ model }, { signal }) {
      // A reader that is behind gets the newest figure, not each.
      const packing = new Latest<PackingProgress>();
      const loading = loader.loadAny(required(model), signal, (progress) => packing.put(progress));
      packing.endWith(loading);
      for await (const { done, total } of packing)
        yield { event: { case: "packing", value: { bytesDone: BigInt(done), bytesTotal: BigInt(total) } } };
      yield { event: { case: "model", value: await told(await loading) } };
    },
    async inspectModel({ model }) {
      return inspection(await loader.inspect(required(model)));
    },
    async unloadModel({ model }) {
      await loader.unload((await store.get(required(model))).modelId);
      return {};
    },
    async listLoadedModels() {
      return { models: (await loader.loaded()).map(loadedModel) };
    },
  };
}

/** @throws ApiError INVALID_FIELD when no model is named. */
export function required(model: string): string {
  if (model === "")
    throw invalidFields([
      { field: "model", description: 'is missing: give a model id ("m-…"), a models:/ URI or a name' },
    ]);
  return model;
}
