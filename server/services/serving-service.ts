// ServingService: which models are in memory.
import { invalidFields, type ServiceHandlers, type ServingService } from "@modelwire/proto";
import type { PackingProgress } from "../inference/host.ts";
import type { CallContext } from "../rpc/context.ts";
import type { ModelStore } from "../store/model-store.ts";
import { inspection, loadedModel } from "./inference-messages.ts";
import { Latest } from "./latest.ts";
import type { ModelLoader } from "./model-loader.ts";

export function servingService(
  store: ModelStore,
  loader: ModelLoader,
): ServiceHandlers<typeof ServingService, CallContext> {
  return {
    async loadModel({ model }, { signal }) {
      const loaded = await loader.loadAny(required(model), signal);
      return { model: loadedModel({ ...loaded, name: loaded.model.name }) };
    },
    async *streamLoadModel({ model }, { signal }) {
      // A reader that is behind gets the newest figure, not each.
      const packing = new Latest<PackingProgress>();
      const loading = loader.loadAny(required(model), signal, (progress) => packing.put(progress));
      packing.endWith(loading);
      for await (const { done, total } of packing)
        yield { event: { case: "packing", value: { bytesDone: BigInt(done), bytesTotal: BigInt(total) } } };
      const loaded = await loading;
      yield { event: { case: "model", value: loadedModel({ ...loaded, name: loaded.model.name }) } };
    },
    async inspectModel({ model }) {
      return inspection(await loader.inspect(required(model)));
    },
    async unloadModel({ model }) {
      await loader.unload((await store.get(required(model))).modelId);
      return {};
    },
    async listLoadedModels() {
      return { models: loader.loaded().map(loadedModel) };
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
