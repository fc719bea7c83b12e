// A server for the command line to talk to: models in memory, and answers that say what was asked.
import { once } from "node:events";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import type {
  GenerationOptions,
  StreamChatRequest,
  StreamLoadModelRequest,
  StreamPredictRequest,
} from "@modelwire/proto";
import {
  CacheType,
  ChatService,
  FinishReason,
  invalidFields,
  ModelService,
  NodePlace,
  PackedWeightsSource,
  PredictionService,
  RunnerKind,
  ServingService,
} from "@modelwire/proto";
import { FakeModels } from "../client/fake-models.ts";
import type { TestContext } from "../client/test-server.ts";
import { startTestServer } from "../client/test-server.ts";

const runner = {
  kind: RunnerKind.NATIVE,
  reason: "Attention and 2 products are of a known form.",
  kernels: "avx2",
  cacheType: CacheType.FLOAT16,
  cacheBytesPerToken: 3072n,
  packedWeights: PackedWeightsSource.CACHE,
  packedWeightsBytes: 4_000_000n,
};

export async function startFakeServer() {
  const server = await startTestServer();
  const models = new FakeModels();
  const loaded = new Map<string, string>();
  const requests: StreamChatRequest[] = [];
  server.add(ModelService, models.handlers);
  server.add(ServingService, {
    async *streamLoadModel({ model }: StreamLoadModelRequest) {
      const { modelId, header } = models.find(model);
      for (const bytesDone of [1_000_000n, 4_000_000n])
        yield { event: { case: "packing" as const, value: { bytesDone, bytesTotal: 4_000_000n } } };
      loaded.set(modelId, header.name);
      const facts = { contextLength: 2048, maxSequences: 8, loadTime: { nanos: 40_000_000 }, runner };
      yield { event: { case: "model" as const, value: { modelId, name: header.name, ...facts } } };
    },
    inspectModel: async ({ model }) => {
      models.find(model);
      const operator = "com.microsoft.MatMulNBits";
      return {
        runner,
        nodes: [
          { operator, place: NodePlace.MODELWIRE, reason: "int4 product, block 32", names: ["/qkv", "/o\u001b[31m"] },
          { operator: "Gather", place: NodePlace.ONNXRUNTIME, reason: "a look-up", names: ["/embed"] },
        ],
      };
    },
    unloadModel: async ({ model }) => {
      loaded.delete(models.find(model).modelId);
      return {};
    },
    listLoadedModels: async () => ({
      models: [...loaded].map(([modelId, name]) => ({
        ...{ modelId, name, maxSequences: 8, cacheTokens: 16_384n, memoryBytes: 3n << 30n, running: 2, waiting: 3 },
        lastUsedTime: timestampNow(),
        notReproducibleBecause: "a batch of two gives other bits",
      })),
    }),
  });
  server.add(ChatService, {
    async *streamChat(request: StreamChatRequest, { signal }: TestContext) {
      requests.push(request);
      models.find(request.model);
      const last = request.messages.at(-1)?.content ?? "";
      if (last === "bad") {
        throw invalidFields([
          { field: "messages[0].role", description: "is empty" },
          { field: "options.temperature", description: "is below 0" },
        ]);
      }
      for (const text of [`${request.messages.length}: `, last, "\u001b[31m!"]) {
        yield { event: { case: "delta" as const, value: { content: text } } };
      }
      if (request.tools.length > 0) {
        const called = { index: 0, id: "call_1", name: request.tools[0]?.name ?? "", argumentsJson: "{}" };
        yield { event: { case: "delta" as const, value: { toolCalls: [called] } } };
      }
      if (request.options?.logprobs) {
        const token = { tokenId: 5, text: "hi", utf8: Buffer.from("hi"), logprob: -0.25 };
        const logprobs = [{ ...token, top: [token] }];
        yield { event: { case: "delta" as const, value: { tokenIds: [5], logprobs } } };
      }
      // An answer that never ends by itself.
      if (last === "forever" && !signal.aborted) await once(signal, "abort");
      if (signal.aborted) return;
      yield { event: { case: "done" as const, value: ending(request.options) } };
    },
  });
  server.add(PredictionService, {
    async *streamPredict(_: StreamPredictRequest, { signal }: TestContext) {
      yield { event: { case: "delta" as const, value: { text: "so far\u001b[31m" } } };
      if (!signal.aborted) await once(signal, "abort");
    },
  });
  return {
    address: server.address,
    models,
    requests,
    async [Symbol.asyncDispose]() {
      await server.close();
    },
  };
}

function ending(options: GenerationOptions | undefined) {
  return {
    choices: [{ finishReason: FinishReason.STOP }],
    usage: { promptTokens: 5, completionTokens: 1, totalTokens: 6, cachedPromptTokens: 4 },
    timings: { timeToFirstToken: { nanos: 12_000_000 }, tokensPerSecond: 80 },
    options: { seed: options?.seed ?? 9n },
  };
}
