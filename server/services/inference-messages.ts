// The inference side's plain values as messages of the wire.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  CacheType,
  type GenerationOptionsSchema,
  type InspectModelResponseSchema,
  type LoadedModelSchema,
  ModelEngine,
  NodePlace,
  PackedWeightsSource,
  RunnerKind,
  type RunnerSchema,
} from "@modelwire/proto";
import type { GenerateOptions, RunnerInspection, RunnerReport } from "../inference/host.ts";
import type { InMemory } from "./model-loader.ts";

/** Milliseconds → Duration, to the microsecond: protobuf-es takes whole milliseconds only. */
export function durationOf(ms: number) {
  const whole = durationFromMs(Math.floor(ms));
  whole.nanos += Math.round((ms - Math.floor(ms)) * 1000) * 1000;
  if (whole.nanos >= 1_000_000_000) {
    whole.seconds += 1n;
    whole.nanos -= 1_000_000_000;
  }
  return whole;
}

/** Options as an answer tells them. */
export function optionsInForce(o: GenerateOptions): MessageInitShape<typeof GenerationOptionsSchema> {
  const { stop = [], stopTokenIds = [], logitBias = new Map(), logprobs, ...same } = o;
  return {
    ...same,
    stop: [...stop],
    stopTokenIds: [...stopTokenIds],
    logitBias: Object.fromEntries(logitBias),
    ...(logprobs !== undefined && { logprobs: true, topLogprobs: logprobs }),
  };
}

export function loadedModel(model: InMemory): MessageInitShape<typeof LoadedModelSchema> {
  const { name, lastUsedAt, memoryBytes, running, waiting } = model;
  const { key: modelId, loadMs, warnings } = model.info;
  const common = {
    ...{ modelId, name, loadTime: durationOf(loadMs), warnings: [...warnings], running, waiting },
    lastUsedTime: timestampFromDate(lastUsedAt),
    memoryBytes: BigInt(memoryBytes),
  };
  if (model.kind === "onnx") return { ...common, engine: ModelEngine.GRAPH };
  const { contextLength, vocabSize, maxSequences, defaults, reproducible, notReproducibleBecause } = model.info;
  const { temperature, topK, topP, repetitionPenalty } = defaults;
  return {
    ...common,
    engine: ModelEngine.DECODER,
    ...{ contextLength, vocabSize, maxSequences, reproducible, notReproducibleBecause },
    defaults: optionsInForce({ temperature, topK, topP, repetitionPenalty }),
    runner: runnerMessage(model.info.runner),
    cacheTokens: BigInt(model.info.cacheTokens),
  };
}

const cacheTypes = { float32: CacheType.FLOAT32, float16: CacheType.FLOAT16, int8: CacheType.INT8 } as const;
const sources = {
  cache: PackedWeightsSource.CACHE,
  packed: PackedWeightsSource.PACKED,
  memory: PackedWeightsSource.MEMORY,
} as const;
const places = {
  modelwire: NodePlace.MODELWIRE,
  onnxruntime: NodePlace.ONNXRUNTIME,
  removed: NodePlace.REMOVED,
} as const;

export function inspection({ runner, nodes }: RunnerInspection): MessageInitShape<typeof InspectModelResponseSchema> {
  return {
    runner: runnerMessage(runner),
    nodes: nodes.map(({ operator, runsOn, reason, names }) => {
      return { operator, place: places[runsOn], reason, names: [...names] };
    }),
  };
}

function runnerMessage(report: RunnerReport): MessageInitShape<typeof RunnerSchema> {
  const { kind, reason, kernels, cacheType, cacheBytesPerToken, packedWeights, packedWeightsBytes } = report;
  return {
    kind: kind === "native" ? RunnerKind.NATIVE : RunnerKind.STOCK,
    reason,
    kernels,
    cacheType: cacheTypes[cacheType],
    cacheBytesPerToken: BigInt(cacheBytesPerToken),
    ...(packedWeights && { packedWeights: sources[packedWeights] }),
    packedWeightsBytes: BigInt(packedWeightsBytes),
  };
}
