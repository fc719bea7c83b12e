// What a request must fulfil before it is queued. Pure.

import type { ModelSpec } from "../onnx/model-runner.ts";
import type { TokenConstraint } from "./constraint.ts";
import { ContextOverflowError, InvalidRequestError } from "./errors.ts";
import type { SequenceOptions } from "./sequence.ts";

export interface GenerateInput {
  /** The prompt, at least one token. */
  readonly ids: ArrayLike<number>;
  /** `maxTokens` absent: as many as the context has room for. */
  readonly options: Omit<SequenceOptions, "maxTokens"> & { readonly maxTokens?: number };
  /**
   * Sequences with the same value may take over each other's computed beginning; absent: with none. What is taken over can be
   * seen, in time and in what is reported, so those of different callers must not share.
   */
  readonly sharing?: object;
  /** As `sharing`, among all requests, those that have ended included; absent: with none. */
  readonly cacheScope?: string;
  /** On whose behalf: places and steps are shared out fairly between callers. Default "". */
  readonly caller?: string;
  /** Higher goes first; default 0. Who waits rises with time, so that nobody waits for ever. */
  readonly priority?: number;
  /** When it arrived, on the engine's clock; default now. */
  readonly askedAtMs?: number;
  /** When the answer is worth nothing any more, on the engine's clock; absent: never. */
  readonly deadlineMs?: number;
  /** What the answer may be made of. The engine disposes it, also when the request is refused. */
  readonly constraint?: TokenConstraint;
}

/**
 * The prompt, and how many tokens the answer may have.
 * @throws InvalidRequestError with every violation; ContextOverflowError when both do not fit the context
 */
export function checkRequest(
  { ids, options }: GenerateInput,
  spec: ModelSpec,
): { prompt: Int32Array; maxTokens: number } {
  const { vocabSize, contextLength } = spec;
  const found: { field: string; description: string }[] = [];
  const must = (holds: boolean, field: string, description: string) => {
    if (!holds) found.push({ field, description });
  };
  const { temperature, topK, topP, maxTokens } = options;
  must(temperature >= 0 && Number.isFinite(temperature), "temperature", `must be 0 or more; found ${temperature}.`);
  must(Number.isInteger(topK) && topK >= 0, "top_k", `must be an integer of 0 or more; found ${topK}.`);
  must(topP >= 0 && topP <= 1, "top_p", `must be from 0 to 1; found ${topP}.`);
  must(
    maxTokens === undefined || (Number.isInteger(maxTokens) && maxTokens >= 1),
    "max_tokens",
    `must be an integer of 1 or more; found ${maxTokens}.`,
  );
  must(ids.length > 0, "prompt", "has no tokens.");
  const prompt = Int32Array.from(ids);
  const foreign = prompt.find((id) => id < 0 || id >= vocabSize);
  must(foreign === undefined, "prompt", `holds token ${foreign}; the model has ${vocabSize} tokens.`);
  if (found.length > 0) throw new InvalidRequestError(found);
  const room = contextLength - prompt.length;
  if (room < 1 || (maxTokens ?? 1) > room) throw new ContextOverflowError(prompt.length, contextLength, maxTokens);
  return { prompt, maxTokens: maxTokens ?? room };
}
