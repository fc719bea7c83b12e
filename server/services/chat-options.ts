// How tokens are chosen: checks of generation options, every violation with its field and what would be right, and the way
// from the wire's options to the engine's. It must never know which call they came with.
import type { FieldViolation, GenerationOptions } from "@modelwire/proto";
import type { GenerateOptions } from "../inference/host.ts";

const MAX_STOP = 16;
const MAX_STOP_CHARACTERS = 256;
const MAX_CHOICES = 8;
const MAX_BIASED = 1024;
const MAX_STOP_TOKENS = 64;
const MAX_TOP_LOGPROBS = 20;

/** Options as a request has them, absent ones included. */
export type WantedOptions = Omit<GenerationOptions, "$typeName" | "$unknown">;

/** What is wrong with options. @param prefix of their fields' names. */
export function checkOptions(o: WantedOptions, prefix: string): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const wrong = (field: string, description: string) => problems.push({ field: `${prefix}${field}`, description });
  const check = (field: string, value: number | undefined, fits: (v: number) => boolean, range: string) => {
    if (value !== undefined && !fits(value)) wrong(field, `must be ${range}, got ${value}`);
  };
  const within = (least: number, most: number) => (v: number) => v >= least && v <= most;
  check("temperature", o.temperature, within(0, 100), "from 0 to 100");
  check("max_tokens", o.maxTokens, (v) => v >= 1, "at least 1");
  check("n", o.n, within(1, MAX_CHOICES), `from 1 to ${MAX_CHOICES}`);
  check("top_p", o.topP, (v) => v > 0 && v <= 1, "above 0 and at most 1");
  check("top_k", o.topK, (v) => v >= 0, "0 (off) or more");
  check("min_p", o.minP, within(0, 1), "from 0 (off) to 1");
  check("repetition_penalty", o.repetitionPenalty, (v) => v > 0 && v <= 10, "above 0 and at most 10; 1 is off");
  check("presence_penalty", o.presencePenalty, within(-2, 2), "from -2 to 2; 0 is off");
  check("frequency_penalty", o.frequencyPenalty, within(-2, 2), "from -2 to 2; 0 is off");
  check("min_tokens", o.minTokens, (v) => v >= 0, "0 or more");
  if (o.minTokens !== undefined && o.maxTokens !== undefined && o.maxTokens >= 1 && o.minTokens > o.maxTokens)
    wrong("min_tokens", `must be at most max_tokens, which is ${o.maxTokens}; got ${o.minTokens}`);
  check("top_logprobs", o.topLogprobs, within(0, MAX_TOP_LOGPROBS), `from 0 to ${MAX_TOP_LOGPROBS}`);
  if (o.topLogprobs !== undefined && !o.logprobs) wrong("top_logprobs", "needs logprobs; set it, or leave this out");
  checkBias(o.logitBias, wrong);
  if (o.stop.length > MAX_STOP) wrong("stop", `holds ${o.stop.length} texts, more than ${MAX_STOP}`);
  o.stop.forEach((text, i) => {
    if (text.length < 1 || text.length > MAX_STOP_CHARACTERS)
      wrong(`stop[${i}]`, `must have 1 to ${MAX_STOP_CHARACTERS} characters, got ${text.length}`);
  });
  if (o.stopTokenIds.length > MAX_STOP_TOKENS)
    wrong("stop_token_ids", `holds ${o.stopTokenIds.length} tokens, more than ${MAX_STOP_TOKENS}`);
  o.stopTokenIds.forEach((id, i) => {
    if (!isTokenId(id)) wrong(`stop_token_ids[${i}]`, `must be a token's id, 0 or more, got ${id}`);
  });
  return problems;
}

function checkBias(bias: WantedOptions["logitBias"], wrong: (field: string, description: string) => unknown): void {
  const entries = Object.entries(bias);
  if (entries.length > MAX_BIASED) wrong("logit_bias", `holds ${entries.length} tokens, more than ${MAX_BIASED}`);
  for (const [id, value] of entries.slice(0, MAX_BIASED)) {
    if (!isTokenId(Number(id))) wrong(`logit_bias[${id}]`, "must be for a token's id, which is 0 or more");
    if (!(value >= -100 && value <= 100)) wrong(`logit_bias[${id}]`, `must be from -100 to 100, got ${value}`);
  }
}

function isTokenId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < 2 ** 31;
}

/** Wire → engine, of options that were checked; what is absent stays absent. */
export function toGenerateOptions(o: WantedOptions | undefined): GenerateOptions {
  if (!o) return {};
  const { temperature, maxTokens, n, topP, topK, seed, minP, minTokens, ignoreEos } = o;
  const { repetitionPenalty, presencePenalty, frequencyPenalty, stop, stopTokenIds, logitBias, logprobs } = o;
  const bias = Object.entries(logitBias).map(([id, value]): [number, number] => [Number(id), value]);
  return {
    ...present({ temperature, maxTokens, n, topP, topK, seed, minP, minTokens, ignoreEos }),
    ...present({ repetitionPenalty, presencePenalty, frequencyPenalty }),
    ...(stop.length > 0 && { stop: [...stop] }),
    ...(stopTokenIds.length > 0 && { stopTokenIds: [...stopTokenIds] }),
    ...(bias.length > 0 && { logitBias: new Map(bias) }),
    ...(logprobs && { logprobs: o.topLogprobs ?? 0 }),
  };
}

/** Without what is undefined, so that absent stays absent on the other side of a thread. */
export function present<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
