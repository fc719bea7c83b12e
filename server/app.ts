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
import type { InferenceHost, LoadOptions } from "./inference/host.ts";
import { RpcServer } from "./rpc/server.ts";
import { chatService } from "./services/chat-service.ts";
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
  /** Among whose calls computed beginnings of prompts are shared. "shared": among all that give the same salt. */
  prefixScope?: "shared" | "caller";
  /** Most bytes of a logged model. */
  maxModelBytes: number;
  maxMessageBytes?: number;
  maxConcurrentStreams?: number;
  reflection?: boolean;
}

export interface App {
  /** @returns the port. */
  listen(address: string, credentials: ServerCredentials): Promise<number>;
  /** Stops taking calls, lets the running ones finish for at most `graceMs`. @returns how many were cut off. */
  drain(graceMs: number): Promise<number>;
}

export function buildApp({ store, host, log, load, prefixScope, maxModelBytes, ...rpc }: AppDeps): App {
  const server = new RpcServer({ log, ...rpc });
  const loader = new ModelLoader(store, host, server.health, load);
  server.add(ModelService, modelService(store, loader, host, maxModelBytes));
  server.add(ServingService, servingService(store, loader));
  server.add(ChatService, chatService(loader, host, { prefixScope }));
  server.add(PredictionService, predictionService(loader, host, { prefixScope }));
  server.add(SignatureService, signatureService(store));
  server.add(TokenizerService, tokenizerService(loader, host));
  return {
    listen: (address, credentials) => server.listen(address, credentials),
    drain: (graceMs) => server.drain(graceMs),
  };
}
