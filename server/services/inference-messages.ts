// The inference side's plain values as messages of the wire.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  CacheType,
  type ChatMessage,
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

export function optionsInForce(o: GenerateOptions): MessageInitShape<typeof GenerationOptionsSchema> {
  const { temperature, topP, topK, maxTokens, stop = [], n, seed } = o;
  return {
    stop: [...stop],
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(topK !== undefined && { topK }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(n !== undefined && { n }),
    ...(seed !== undefined && { seed }),
  };
}

export function loadedModel({ kind, info, name }: InMemory): MessageInitShape<typeof LoadedModelSchema> {
  const { key: modelId, loadMs, warnings } = info;
  const common = { modelId, name, loadTime: durationOf(loadMs), warnings: [...warnings] };
  if (kind === "onnx") return { ...common, engine: ModelEngine.GRAPH };
  const { contextLength, vocabSize, maxSequences, defaults } = info;
  return {
    ...common,
    engine: ModelEngine.DECODER,
    contextLength,
    vocabSize,
    maxSequences,
    defaults: optionsInForce(defaults),
    runner: runnerMessage(info.runner),
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

/** A message as the worker thread takes it: without protobuf-es's own properties. */
export function plainMessage({ role, content, name }: ChatMessage) {
  return { role, content, ...(name !== undefined && { name }) };
}
