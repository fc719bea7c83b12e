// What a request asks for, with the model's own defaults where it is silent. The bounds of what the decoder takes are the
// decoder's own; here stands what it does not see. It knows no tokens.

import { optionViolations } from "../decoder/options.ts";
import type { SequenceOptions } from "../decoder/sequence.ts";
import { InferenceError, type Violation } from "./errors.ts";
import type { GenerateOptions, GenerateRequest, GenerationDefaults, ModelInfo, ResolvedOptions } from "./types.ts";

const mostAnswers = 8;
const mostStops = 16;
const longestStop = 256; // characters

/** `maxTokens` is left open: it depends on the prompt. @throws InferenceError INVALID_OPTION with every violation */
export function resolveOptions(
  request: GenerateRequest,
  info: Pick<ModelInfo, "defaults" | "vocabSize">,
): Omit<ResolvedOptions, "maxTokens"> {
  const { options } = request;
  const { stop = [], n = 1, seed, maxTokens } = options;
  const resolved = resolve(options, info.defaults);
  const found: Violation[] = [...optionViolations({ ...resolved, maxTokens }, info)];
  const must = (holds: boolean, field: string, description: string) => {
    if (!holds) found.push({ field, description });
  };
  must(!("messages" in request) || request.messages.length > 0, "messages", "must not be empty.");
  must(
    Number.isInteger(n) && n >= 1 && n <= mostAnswers,
    "n",
    `must be an integer from 1 to ${mostAnswers}; found ${n}.`,
  );
  must(seed === undefined || (seed >= 0n && seed < 2n ** 64n), "seed", `must be from 0 to 2^64 - 1; found ${seed}.`);
  must(stop.length <= mostStops, "stop", `may hold ${mostStops} strings; found ${stop.length}.`);
  stop.forEach((text, i) => {
    const fits = text.length >= 1 && text.length <= longestStop;
    must(fits, `stop[${i}]`, `must have 1 to ${longestStop} characters; found ${text.length}.`);
  });
  if (found.length > 0) throw invalidOptions(found);
  return resolved;
}

/** What of them the decoder takes. An absent `maxTokens` is as many as there is room for. */
export function sequenceOptions(
  { n: _n, stop: _stop, maxTokens: _resolved, ...options }: Omit<ResolvedOptions, "maxTokens"> & { maxTokens?: number },
  seed: bigint,
  maxTokens: number | undefined,
): Omit<SequenceOptions, "maxTokens"> & { readonly maxTokens?: number } {
  return { ...options, seed, ...(maxTokens !== undefined && { maxTokens }) };
}

/** Tokens that an answer may have where the request is silent; undefined when the prompt leaves none, which the engine refuses. */
export function answerRoom({ contextLength, defaults }: ModelInfo, promptTokens: number): number | undefined {
  const total = Math.min(contextLength, defaults.maxLength ?? contextLength);
  if (total > promptTokens) return total - promptTokens;
  return contextLength > promptTokens ? contextLength - promptTokens : undefined;
}

export function invalidOptions(violations: readonly Violation[]): InferenceError {
  const list = violations.map(({ field, description }) => `${field} ${description}`).join(" ");
  return new InferenceError("INVALID_OPTION", `The request cannot be answered: ${list}`, { violations });
}

function resolve(options: GenerateOptions, defaults: GenerationDefaults): Omit<ResolvedOptions, "maxTokens"> {
  const { logprobs } = options;
  return {
    temperature: options.temperature ?? defaults.temperature,
    topK: options.topK ?? defaults.topK,
    topP: options.topP ?? defaults.topP,
    minP: options.minP ?? 0,
    repetitionPenalty: options.repetitionPenalty ?? defaults.repetitionPenalty,
    presencePenalty: options.presencePenalty ?? 0,
    frequencyPenalty: options.frequencyPenalty ?? 0,
    logitBias: options.logitBias ?? new Map(),
    stop: [...(options.stop ?? [])],
    stopTokenIds: [...(options.stopTokenIds ?? [])],
    minTokens: options.minTokens ?? 0,
    ignoreEos: options.ignoreEos ?? false,
    n: options.n ?? 1,
    ...(logprobs !== undefined && { logprobs }),
  };
}
