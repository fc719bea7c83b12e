// Within which bounds the options of a request lie. Pure; every violation, under the names of the wire. It never knows
// the prompt or how much room there is.

import type { ModelSpec } from "../onnx/model-runner.ts";
import type { SequenceOptions } from "./sequence.ts";

export interface OptionViolation {
  readonly field: string;
  readonly description: string;
}

/** Entries of `logitBias`, `stopTokenIds`, and tokens listed per place by `logprobs`. */
export const limits = { logitBias: 1024, stopTokenIds: 64, topLogprobs: 20 } as const;

type CheckedOptions = Omit<SequenceOptions, "maxTokens" | "seed"> & { readonly maxTokens?: number | undefined };

/** Absent options are fine. */
export function optionViolations(
  options: CheckedOptions,
  { vocabSize }: Pick<ModelSpec, "vocabSize">,
): OptionViolation[] {
  const { temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty } = options;
  const { maxTokens, minTokens, logprobs } = options;
  const found: OptionViolation[] = [];
  const must = (holds: boolean, field: string, description: string) => {
    if (!holds) found.push({ field, description });
  };
  const range = (field: string, value: number | undefined, least: number, most: number) =>
    must(
      value === undefined || (value >= least && value <= most),
      field,
      `must be from ${least} to ${most}; found ${value}.`,
    );
  const count = (field: string, value: number | undefined, least: number) =>
    must(
      value === undefined || (Number.isSafeInteger(value) && value >= least),
      field,
      `must be an integer of ${least} or more; found ${value}.`,
    );

  must(temperature >= 0 && Number.isFinite(temperature), "temperature", `must be 0 or more; found ${temperature}.`);
  count("top_k", topK, 0);
  range("top_p", topP, 0, 1);
  range("min_p", minP, 0, 1);
  must(
    repetitionPenalty === undefined || (repetitionPenalty > 0 && repetitionPenalty <= 10),
    "repetition_penalty",
    `must be above 0 and at most 10; found ${repetitionPenalty}.`,
  );
  range("presence_penalty", presencePenalty, -2, 2);
  range("frequency_penalty", frequencyPenalty, -2, 2);
  count("max_tokens", maxTokens, 1);
  count("min_tokens", minTokens, 0);
  must(
    minTokens === undefined || maxTokens === undefined || !(minTokens > maxTokens),
    "min_tokens",
    `must be at most max_tokens, which is ${maxTokens}; found ${minTokens}.`,
  );
  must(
    logprobs === undefined || (Number.isInteger(logprobs) && logprobs >= 0 && logprobs <= limits.topLogprobs),
    "top_logprobs",
    `must be an integer from 0 to ${limits.topLogprobs}; found ${logprobs}.`,
  );
  checkTokens("stop_token_ids", options.stopTokenIds ?? [], limits.stopTokenIds, vocabSize, must);
  const bias = options.logitBias ?? new Map<number, number>();
  checkTokens("logit_bias", [...bias.keys()], limits.logitBias, vocabSize, must);
  const outside = [...bias.values()].filter((value) => !(value >= -100 && value <= 100));
  must(outside.length === 0, "logit_bias", `must have values from -100 to 100; found ${some(outside)}.`);
  return found;
}

function checkTokens(
  field: string,
  ids: readonly number[],
  most: number,
  vocabSize: number,
  must: (holds: boolean, field: string, description: string) => void,
): void {
  must(ids.length <= most, field, `must name at most ${most} tokens; found ${ids.length}.`);
  const foreign = ids.filter((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
  must(foreign.length === 0, field, `names token ${some(foreign)}; the model has ${vocabSize} tokens.`);
}

/** The first few: a description travels in a trailer, which has little room. */
function some(values: readonly number[]): string {
  const rest = values.length - 3;
  return values.slice(0, 3).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
