// The inference side's plain values as messages of the wire.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type ChatMessage, type GenerationOptionsSchema, type LoadedModelSchema, ModelEngine } from "@modelwire/proto";
import type { GenerateOptions } from "../inference/host.ts";
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
  };
}

/** A message as the worker thread takes it: without protobuf-es's own properties. */
export function plainMessage({ role, content, name }: ChatMessage) {
  return { role, content, ...(name !== undefined && { name }) };
}
