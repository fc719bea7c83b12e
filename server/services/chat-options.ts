// Checks of a chat request: all violations at once, each with its field and what would be right.
import { type ChatMessage, type FieldViolation, type GenerationOptions, invalidFields } from "@modelwire/proto";
import type { GenerateOptions } from "../inference/host.ts";

const MAX_MESSAGES = 1024;
const MAX_STOP = 16;
const MAX_STOP_CHARACTERS = 256;
const MAX_CHOICES = 8;

interface AnyChatRequest {
  model: string;
  messages: ChatMessage[];
  options?: GenerationOptions | undefined;
}

type CheckedOptions = Pick<GenerationOptions, "temperature" | "maxTokens" | "n" | "topP" | "topK" | "stop">;

/** @throws ApiError INVALID_FIELD. */
export function checkChat({ model, messages, options }: AnyChatRequest): void {
  const problems: FieldViolation[] = [];
  if (model === "")
    problems.push({ field: "model", description: 'is missing: give a model id ("m-…"), a models:/ URI or a name' });
  problems.push(...checkMessages(messages, "messages"));
  if (options) problems.push(...checkOptions(options, "options."));
  if (problems.length > 0) throw invalidFields(problems);
}

/** What is wrong with a conversation. @param field where it stands in the request. */
export function checkMessages(messages: readonly { role: string }[], field: string): FieldViolation[] {
  const problems: FieldViolation[] = [];
  if (messages.length === 0) problems.push({ field, description: "needs at least one message" });
  if (messages.length > MAX_MESSAGES)
    problems.push({ field, description: `holds ${messages.length} messages, more than ${MAX_MESSAGES}` });
  messages.forEach(({ role }, i) => {
    if (!/^[\w.-]{1,64}$/.test(role))
      problems.push({
        field: `${field}[${i}].role`,
        description: 'must be a word such as "system", "user" or "assistant"',
      });
  });
  return problems;
}

/** What is wrong with options. @param prefix of their fields' names. */
export function checkOptions(o: CheckedOptions, prefix: string): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const check = (field: string, value: number | undefined, fits: (v: number) => boolean, range: string) => {
    if (value !== undefined && !fits(value))
      problems.push({ field: `${prefix}${field}`, description: `must be ${range}, got ${value}` });
  };
  check("temperature", o.temperature, (v) => v >= 0 && v <= 100, "from 0 to 100");
  check("max_tokens", o.maxTokens, (v) => v >= 1, "at least 1");
  check("n", o.n, (v) => v >= 1 && v <= MAX_CHOICES, `from 1 to ${MAX_CHOICES}`);
  check("top_p", o.topP, (v) => v > 0 && v <= 1, "above 0 and at most 1");
  check("top_k", o.topK, (v) => v >= 0, "0 (off) or more");
  if (o.stop.length > MAX_STOP)
    problems.push({ field: `${prefix}stop`, description: `holds ${o.stop.length} texts, more than ${MAX_STOP}` });
  o.stop.forEach((text, i) => {
    if (text.length < 1 || text.length > MAX_STOP_CHARACTERS)
      problems.push({
        field: `${prefix}stop[${i}]`,
        description: `must have 1 to ${MAX_STOP_CHARACTERS} characters, got ${text.length}`,
      });
  });
  return problems;
}

/** Wire → engine; what is absent stays absent. */
export function toGenerateOptions(o: GenerationOptions | undefined): GenerateOptions {
  if (!o) return {};
  const { temperature, maxTokens, stop, n, topP, topK, seed } = o;
  return {
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(stop.length > 0 && { stop }),
    ...(n !== undefined && { n }),
    ...(topP !== undefined && { topP }),
    ...(topK !== undefined && { topK }),
    ...(seed !== undefined && { seed }),
  };
}
