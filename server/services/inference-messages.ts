// The inference side's plain values as messages of the wire.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { GenerationOptionsSchema, LoadedModelSchema } from "@modelwire/proto";
import type { GenerateOptions, ModelInfo } from "../inference/host.ts";

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

export function loadedModel(info: ModelInfo, name: string): MessageInitShape<typeof LoadedModelSchema> {
  const { key: modelId, contextLength, vocabSize, maxSequences, loadMs, defaults, warnings } = info;
  return {
    modelId,
    name,
    contextLength,
    vocabSize,
    maxSequences,
    warnings,
    loadTime: durationOf(loadMs),
    defaults: optionsInForce(defaults),
  };
}
