// Puts the services onto an RPC server. No environment, no signals, no file names: what tests start.
import type { ServerCredentials } from "@grpc/grpc-js";
import {
  ChatService,
  ModelService,
  PredictionService,
  ServingService,
  SignatureService,
  TokenizerService,
} from "@modelwire/proto";
import type { Logger } from "pino";
import type { HostStats, InferenceHost, LoadOptions } from "./inference/host.ts";
import type { MetricsSources } from "./metrics/metrics.ts";
import type { CallWatcher } from "./rpc/call-watcher.ts";
import { RpcServer } from "./rpc/server.ts";
import { chatService } from "./services/chat-service.ts";
import { LastKnown } from "./services/last-known.ts";
import { type LifeOptions, ModelLife } from "./services/model-life.ts";
import { ModelLoader } from "./services/model-loader.ts";
import { modelService } from "./services/model-service.ts";
import { predictionService } from "./services/prediction-service.ts";
import { servingService } from "./services/serving-service.ts";
import { signatureService } from "./services/signature-service.ts";
import { tokenizerService } from "./services/tokenizer-service.ts";
import type { ModelStore } from "./store/model-store.ts";

export interface AppDeps {
  store: ModelStore;
  host: InferenceHost;
  log: Logger;
  load?: LoadOptions;
  /** How much memory models have together, and how long they stay; the cache's tokens are in `load`. */
  life?: Omit<LifeOptions, "cacheTokens">;
  /** Among whose calls computed beginnings of prompts are shared. "shared": among all that give the same salt. */
  prefixScope?: "shared" | "caller";
  /** Most bytes of a logged model. */
  maxModelBytes: number;
  maxMessageBytes?: number;
  maxConcurrentStreams?: number;
  reflection?: boolean;
  /** Who looks on while calls are answered. */
  watchers?: readonly CallWatcher[];
}

export interface App {
  /** Loads models, for good, before others may ask. @throws ApiError for the first that cannot be loaded */
  keep(models: readonly string[]): Promise<void>;
  /** @returns the port. */
  listen(address: string, credentials: ServerCredentials): Promise<number>;
  /** Stops taking calls, lets the running ones finish for at most `graceMs`. @returns how many were cut off. */
  drain(graceMs: number): Promise<number>;
  /** Whom to ask for figures. */
  readonly figures: MetricsSources;
}

/** How long the inference thread has to tell how it is; loading a model keeps it busy. */
const STATS_PATIENCE_MS = 500;
const NOTHING_YET: HostStats = { workerRunning: false, models: [], graphs: [] };

export function buildApp({ store, host, log, load = {}, life = {}, prefixScope, maxModelBytes, ...rpc }: AppDeps): App {
  const server = new RpcServer({ log, ...rpc });
  const { cacheTokens } = load;
  const models = new ModelLife(host, server.health, { ...life, ...(cacheTokens !== undefined && { cacheTokens }) });
  const stats = new LastKnown(() => host.stats(), NOTHING_YET, STATS_PATIENCE_MS);
  const loader = new ModelLoader(store, host, models, stats, load);
  server.add(ModelService, modelService(store, loader, host, maxModelBytes));
  server.add(ServingService, servingService(store, loader));
  server.add(ChatService, chatService(loader, host, { prefixScope }));
  server.add(PredictionService, predictionService(loader, host, { prefixScope }));
  server.add(SignatureService, signatureService(store));
  server.add(TokenizerService, tokenizerService(loader, host));
  return {
    async keep(names) {
      for (const name of names) await loader.keep(name);
    },
    listen: (address, credentials) => server.listen(address, credentials),
    drain: (graceMs) => server.drain(graceMs),
    figures: { host: () => stats.get(), memory: () => models.figures() },
  };
}
