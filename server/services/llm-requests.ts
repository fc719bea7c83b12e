// From what a signature let through to what the decoder is asked: one request per row. It knows the names of columns and
// options that MLflow and OpenAI use, and must never know how an answer is made.
import { type FieldViolation, invalidFields } from "@modelwire/proto";
import type { ChatMessage, GenerateOptions } from "../inference/host.ts";
import { type Data, type DataMap, NdArray, Table } from "../mlmodel/data/data.ts";
import { scoringOutput } from "../mlmodel/enforce/scoring-output.ts";
import { checkMessages } from "./chat-messages.ts";
import { checkOptions, present, toGenerateOptions, type WantedOptions } from "./chat-options.ts";

/** A row's question: a conversation, or a text to go on with as it stands. */
export type LlmRequest = { readonly options: GenerateOptions } & (
  | { readonly messages: readonly ChatMessage[] }
  | { readonly prompt: string }
);

export interface LlmRequests {
  readonly requests: readonly LlmRequest[];
  /** Names of columns and parameters that the signature knows and the decoder has no use for. */
  readonly unused: readonly string[];
}

/** Most rows of one prediction: each is a sequence of its own in the decoder. */
const MAX_ROWS = 64;

/** Columns and parameters that are numbers, by their name in MLflow and OpenAI. */
const NUMBERS = {
  temperature: "temperature",
  top_p: "topP",
  min_p: "minP",
  repetition_penalty: "repetitionPenalty",
  presence_penalty: "presencePenalty",
  frequency_penalty: "frequencyPenalty",
} as const;

const WHOLE_NUMBERS = { max_tokens: "maxTokens", n: "n", top_k: "topK", min_tokens: "minTokens" } as const;

/** All others that mean something. `stream` is one too: which call was made says what it would say. */
const OTHER_OPTIONS = ["stop", "seed", "logit_bias", "stop_token_ids", "ignore_eos", "stream"];

/** What would change the answer and has no place in this one, and the values that ask for nothing. */
const ONLY_IN_CHAT: Readonly<Record<string, (value: Data) => boolean>> = {
  tools: (value) => Array.isArray(value) && value.length === 0,
  tool_choice: (value) => value === "none" || value === "auto",
  response_format: (value) => value instanceof Map && value.get("type") === "text",
  logprobs: (value) => value === false,
  top_logprobs: (value) => Number(value) === 0,
};

/**
 * @param data as enforced: a table, a dict, a text, or a list of texts or dicts.
 * @param params as enforced; what a row says goes before them.
 * @throws ApiError INVALID_FIELD with every violation.
 */
export function llmRequests(data: Data, params: DataMap | undefined): LlmRequests {
  const problems: FieldViolation[] = [];
  const unused = new Set<string>();
  const rows = rowsOf(data);
  if (rows === undefined || rows.length === 0 || rows.length > MAX_ROWS)
    throw invalidFields([
      {
        field: "input",
        description: `must be a text, an object with messages or prompt, or 1 to ${MAX_ROWS} rows of such${rows ? `; got ${rows.length} rows` : ""}`,
      },
    ]);
  const requests = rows.map((row, i) => {
    const place = rows.length > 1 ? `input[${i}].` : "input.";
    return requestOf(row, params, place, problems, unused);
  });
  if (problems.length > 0) throw invalidFields(problems);
  return { requests: requests as LlmRequest[], unused: [...unused] };
}

/** Undefined for what is neither text nor rows. */
function rowsOf(data: Data): DataMap[] | undefined {
  if (typeof data === "string") return [new Map([["prompt", data]])];
  if (data instanceof Map) return [data];
  const items = data instanceof Table || data instanceof NdArray ? scoringOutput(data) : data;
  if (!Array.isArray(items)) return undefined;
  const list = items as readonly Data[];
  // A bare list of messages is one conversation, as in Python.
  if (list.length > 0 && list.every((item) => item instanceof Map && item.has("role")))
    return [new Map([["messages", list]])];
  const rows = list.map((item) => (typeof item === "string" ? new Map<string, Data>([["prompt", item]]) : item));
  return rows.every((row): row is DataMap => row instanceof Map) ? rows : undefined;
}

function requestOf(
  row: DataMap,
  params: DataMap | undefined,
  place: string,
  problems: FieldViolation[],
  unused: Set<string>,
): LlmRequest | undefined {
  const given = new Map([...(params ?? []), ...row].filter(([, value]) => !isMissing(value)));
  const options = optionsOf(given, place, problems);
  const [promptName, prompt] = given.has("messages") ? [] : promptOf(given);
  for (const name of given.keys()) if (name !== "messages" && name !== promptName && !isOption(name)) unused.add(name);
  const messages = given.get("messages");
  if (messages !== undefined && given.has("prompt")) {
    problems.push({ field: `${place}prompt`, description: "does not go together with messages; give one of them" });
  } else if (messages !== undefined) {
    const read = messagesOf(messages, `${place}messages`, problems);
    return { messages: read, options };
  } else if (prompt !== undefined) {
    return { prompt, options };
  } else {
    problems.push({ field: `${place}messages`, description: "is missing: give messages, or a prompt" });
  }
  return undefined;
}

/** The text to go on with: `prompt`, or the only text there is, whatever its column is called. */
function promptOf(given: DataMap): [string, string] | [] {
  const named = given.get("prompt");
  if (typeof named === "string") return ["prompt", named];
  const texts = [...given].filter(
    (entry): entry is [string, string] => typeof entry[1] === "string" && !isOption(entry[0]),
  );
  return texts.length === 1 && texts[0] ? texts[0] : [];
}

function messagesOf(value: Data, place: string, problems: FieldViolation[]): ChatMessage[] {
  const list = Array.isArray(value) ? (value as readonly Data[]) : [];
  const messages = list.map((item, i) => {
    const message = item instanceof Map ? item : new Map<string, Data>();
    const [role, content, name] = ["role", "content", "name"].map((key) => message.get(key) ?? "");
    const calls = message.get("tool_calls");
    if (typeof content !== "string") problems.push({ field: `${place}[${i}].content`, description: "must be text" });
    if (Array.isArray(calls) && calls.length > 0)
      problems.push({
        field: `${place}[${i}].tool_calls`,
        description: "cannot be answered by a prediction; leave it out, or ask with ChatService",
      });
    return { role: String(role), content: String(content), ...(name && { name: String(name) }) };
  });
  problems.push(...checkMessages(messages, place));
  return messages;
}

function optionsOf(given: DataMap, place: string, problems: FieldViolation[]): GenerateOptions {
  const wrong = (name: string, description: string) => problems.push({ field: `${place}${name}`, description });
  for (const [name, asksNothing] of Object.entries(ONLY_IN_CHAT)) {
    const value = given.get(name);
    if (value !== undefined && !asksNothing(value))
      wrong(name, "cannot be had from a prediction; leave it out, or ask with ChatService");
  }
  const number = (name: string, whole: boolean): number | undefined => {
    const value = given.get(name);
    if (value === undefined) return undefined;
    const is = numberOf(value);
    if (is === undefined || (whole && !Number.isInteger(is))) wrong(name, `must be a${whole ? " whole" : ""} number`);
    return is;
  };
  const numbers = (names: Readonly<Record<string, string>>, whole: boolean) =>
    Object.fromEntries(Object.entries(names).map(([name, option]) => [option, number(name, whole)]));
  const seed = given.get("seed");
  if (seed !== undefined && !(typeof seed === "bigint" && seed >= 0n && seed < 1n << 64n))
    wrong("seed", "must be a whole number from 0 to 2^64 - 1");
  const ignoreEos = given.get("ignore_eos");
  if (ignoreEos !== undefined && typeof ignoreEos !== "boolean") wrong("ignore_eos", "must be true or false");
  const wanted = {
    ...numbers(NUMBERS, false),
    ...numbers(WHOLE_NUMBERS, true),
    stop: stopOf(given.get("stop"), place, problems),
    stopTokenIds: tokenIdsOf(given.get("stop_token_ids"), wrong),
    logitBias: biasOf(given.get("logit_bias"), wrong),
    ...present({ seed, ignoreEos }),
  } as unknown as WantedOptions;
  problems.push(...checkOptions(wanted, place));
  return toGenerateOptions(wanted);
}

/** Undefined for what is none. */
function numberOf(value: Data): number | undefined {
  const is = typeof value === "bigint" || typeof value === "number" ? Number(value) : Number.NaN;
  return Number.isNaN(is) ? undefined : is;
}

type Report = (name: string, description: string) => unknown;

function tokenIdsOf(value: Data | undefined, wrong: Report): number[] {
  if (value === undefined) return [];
  const ids = Array.isArray(value) ? (value as readonly Data[]).map(numberOf) : [undefined];
  if (ids.every((id) => id !== undefined)) return ids;
  wrong("stop_token_ids", "must be a list of whole numbers");
  return [];
}

/** As OpenAI has it: a number for each id, which is a text where it is a key of JSON. */
function biasOf(value: Data | undefined, wrong: Report): Record<string, number> {
  if (value === undefined) return {};
  const entries = value instanceof Map ? [...value].map(([id, bias]) => [id, numberOf(bias)] as const) : undefined;
  if (entries?.every(([id, bias]) => /^\d+$/.test(id) && bias !== undefined))
    return Object.fromEntries(entries) as Record<string, number>;
  wrong("logit_bias", "must be an object with a number for each token's id");
  return {};
}

function stopOf(value: Data | undefined, place: string, problems: FieldViolation[]): string[] {
  if (value === undefined) return [];
  const list = typeof value === "string" ? [value] : value;
  if (Array.isArray(list) && list.every((item) => typeof item === "string")) return list;
  problems.push({ field: `${place}stop`, description: "must be a text or a list of texts" });
  return [];
}

function isOption(name: string): boolean {
  return (
    [NUMBERS, WHOLE_NUMBERS, ONLY_IN_CHAT].some((names) => Object.hasOwn(names, name)) || OTHER_OPTIONS.includes(name)
  );
}

/** What MLflow puts where a row has nothing. */
function isMissing(value: Data): boolean {
  return value === null || (typeof value === "number" && Number.isNaN(value));
}
