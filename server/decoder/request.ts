// What a request must fulfil before it is queued. Pure.

import type { ModelSpec } from "../onnx/model-runner.ts";
import type { TokenConstraint } from "./constraint.ts";
import { CacheTooSmallError, ContextOverflowError, InvalidRequestError } from "./errors.ts";
import { type OptionViolation, optionViolations } from "./options.ts";
import type { SequenceOptions } from "./sequence.ts";

export interface GenerateInput {
  /** The prompt, at least one token. */
  readonly ids: ArrayLike<number>;
  /** `maxTokens` absent: as many as the context has room for. */
  readonly options: Omit<SequenceOptions, "maxTokens"> & { readonly maxTokens?: number };
  /**
   * Sequences with the same value may take over each other's computed beginning, those that have ended included; absent: with
   * none. What is taken over can be seen, in time and in what is reported, so those of different callers must not share.
   */
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
 * @param cacheTokens positions of the whole cache
 * @throws InvalidRequestError with every violation; ContextOverflowError when both do not fit the context; CacheTooSmallError
 *   when they do not fit the cache
 */
export function checkRequest(
  { ids, options, priority, deadlineMs }: GenerateInput,
  spec: ModelSpec,
  cacheTokens: number,
): { prompt: Int32Array; maxTokens: number } {
  const { vocabSize, contextLength } = spec;
  const found: OptionViolation[] = optionViolations(options, spec);
  const must = (holds: boolean, field: string, description: string) => {
    if (!holds) found.push({ field, description });
  };
  must(
    priority === undefined || Number.isSafeInteger(priority),
    "priority",
    `must be a whole number; found ${priority}.`,
  );
  must(!Number.isNaN(deadlineMs), "deadline", "must be a time.");
  must(ids.length > 0, "prompt", "has no tokens.");
  const prompt = Int32Array.from(ids);
  const foreign = prompt.find((id) => id < 0 || id >= vocabSize);
  must(foreign === undefined, "prompt", `holds token ${foreign}; the model has ${vocabSize} tokens.`);
  if (found.length > 0) throw new InvalidRequestError(found);
  const { maxTokens } = options;
  const room = contextLength - prompt.length;
  if (room < 1 || (maxTokens ?? 1) > room) throw new ContextOverflowError(prompt.length, contextLength, maxTokens);
  const cached = cacheTokens - prompt.length;
  if (cached < 1 || (maxTokens ?? 1) > cached) throw new CacheTooSmallError(prompt.length, cacheTokens, maxTokens);
  return { prompt, maxTokens: maxTokens ?? Math.min(room, cached) };
}
