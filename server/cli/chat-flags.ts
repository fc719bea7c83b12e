// The flags that say how an answer is made, as the client takes them. It must never ask anything.
import { readFile } from "node:fs/promises";
import type { ResponseFormat, Tool, ToolChoice } from "@modelwire/client";
import type { Io } from "./command.ts";
import { UsageError } from "./command.ts";
import type { Sampling } from "./conversation.ts";
import { numberFlag, pairsFlag } from "./flags.ts";
import { jsonOrFile } from "./json-input.ts";

export const SAMPLING_FLAGS = {
  temperature: { type: "string", short: "t" },
  "max-tokens": { type: "string" },
  "min-tokens": { type: "string" },
  "top-p": { type: "string" },
  "top-k": { type: "string" },
  "min-p": { type: "string" },
  "repetition-penalty": { type: "string" },
  "presence-penalty": { type: "string" },
  "frequency-penalty": { type: "string" },
  "logit-bias": { type: "string", multiple: true },
  seed: { type: "string" },
  n: { type: "string" },
  stop: { type: "string", multiple: true },
  "stop-token": { type: "string", multiple: true },
  "ignore-eos": { type: "boolean" },
  logprobs: { type: "string" },
  "json-schema": { type: "string" },
  "json-object": { type: "boolean" },
  regex: { type: "string" },
  grammar: { type: "string" },
  tools: { type: "string" },
  "tool-choice": { type: "string" },
  salt: { type: "string" },
  priority: { type: "string" },
} as const;

export const SAMPLING_HELP = `How tokens are chosen (absent means the model's own default; a number below 0 goes behind =, as in --priority=-1):
  --temperature <number>  0 takes the likeliest token each time
  --max-tokens <n>        most tokens of an answer
  --min-tokens <n>        the answer does not end by itself before so many
  --top-p <number>        sample from the likeliest tokens that reach this probability together
  --top-k <n>             sample from this many of the likeliest tokens
  --min-p <number>        sample only from tokens at least this part as likely as the likeliest
  --repetition-penalty <number>, --presence-penalty <number>, --frequency-penalty <number>
                          make what was said already less likely; 1, 0 and 0 are off
  --logit-bias <id=number>  add to a token's logit, -100 to 100; may be repeated
  --seed <n>              the same question with the same seed gives the same answer
  --n <n>                 so many answers; all of them are shown with --json
  --stop <text>           ends the answer; may be repeated
  --stop-token <id>       ends the answer; may be repeated
  --ignore-eos            the model does not end the answer itself
  --logprobs <n>          tell how likely each token was, and so many of the likeliest
  --salt <text>           share computed beginnings only with calls of the same salt
  --priority <n>          higher goes first, -100 to 100

What the answer is made of:
  --json-schema <json>    JSON that fits this schema; JSON or a file with it
  --json-object           a JSON object
  --regex <expression>    text that this matches as a whole
  --grammar <file>        text of this EBNF grammar, with the rule root
  --tools <json>          functions that the model may ask for, a list as OpenAI has it; JSON or a file with it
  --tool-choice <which>   auto, none, required, or the name of a function`;

type SamplingValues = {
  [Flag in keyof typeof SAMPLING_FLAGS]?: (typeof SAMPLING_FLAGS)[Flag] extends { multiple: true }
    ? string[]
    : (typeof SAMPLING_FLAGS)[Flag] extends { type: "boolean" }
      ? boolean
      : string;
};

/** @throws UsageError for what is no number, files that cannot be read, and forms that exclude each other. */
export async function samplingOf(values: SamplingValues, io: Io): Promise<Sampling> {
  const number = (flag: keyof SamplingValues & string) => numberFlag(flag, values[flag] as string | undefined);
  const bias = pairsFlag("logit-bias", values["logit-bias"]);
  const [responseFormat, tools] = [await formatOf(values, io), await toolsOf(values.tools, io)];
  return {
    temperature: number("temperature"),
    maxTokens: number("max-tokens"),
    minTokens: number("min-tokens"),
    topP: number("top-p"),
    topK: number("top-k"),
    minP: number("min-p"),
    repetitionPenalty: number("repetition-penalty"),
    presencePenalty: number("presence-penalty"),
    frequencyPenalty: number("frequency-penalty"),
    logitBias: new Map(bias.map(([id, add]) => [wholeNumber("logit-bias", id), numberFlag("logit-bias", add) ?? 0])),
    seed: seedOf(values.seed),
    n: number("n"),
    stop: values.stop,
    stopTokenIds: values["stop-token"]?.map((id) => wholeNumber("stop-token", id)),
    ignoreEos: values["ignore-eos"],
    logprobs: number("logprobs"),
    ...{ responseFormat, tools, toolChoice: choiceOf(values["tool-choice"]) },
    cacheSalt: values.salt,
    priority: number("priority"),
  };
}

async function formatOf(values: SamplingValues, io: Io): Promise<ResponseFormat | undefined> {
  const flags = (["json-schema", "json-object", "regex", "grammar"] as const).filter((f) => values[f] !== undefined);
  const [first, second] = flags;
  if (first && second) throw new UsageError(`--${first} and --${second} exclude each other`);
  const { "json-schema": schema, regex, grammar } = values;
  if (schema !== undefined) return { jsonSchema: await jsonOrFile("json-schema", schema, io) };
  if (regex !== undefined) return { regex };
  if (grammar !== undefined) return { grammar: await textOf("grammar", grammar) };
  return values["json-object"] ? { jsonObject: true } : undefined;
}

/** Not from stdin: the question may come from there. */
async function textOf(flag: string, file: string): Promise<string> {
  return await readFile(file, "utf8").catch((error: Error) => {
    throw new UsageError(`--${flag} cannot be read: ${error.message}`);
  });
}

/** Functions by themselves, or each in OpenAI's wrapping. */
async function toolsOf(value: string | undefined, io: Io): Promise<Tool[] | undefined> {
  if (value === undefined) return undefined;
  const list: unknown = readJson(await jsonOrFile("tools", value, io));
  const tools = Array.isArray(list)
    ? list.map((item) => (item as { function?: unknown } | null)?.function ?? item)
    : [];
  if (tools.length > 0 && tools.every(isTool)) return tools;
  throw new UsageError("--tools takes a list of functions, each with a name and parameters, which are a JSON Schema");
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--tools is no JSON: ${(error as Error).message}`);
  }
}

function isTool(value: unknown): value is Tool {
  if (typeof value !== "object" || value === null || !("name" in value) || typeof value.name !== "string") return false;
  const { description, parameters } = value as { description?: unknown; parameters?: unknown };
  const described = description === undefined || typeof description === "string";
  return described && (parameters === undefined || (typeof parameters === "object" && parameters !== null));
}

function choiceOf(value: string | undefined): ToolChoice | undefined {
  if (value === undefined || value === "auto" || value === "none" || value === "required") return value;
  return { name: value };
}

function wholeNumber(flag: string, value: string): number {
  if (!/^\d{1,10}$/.test(value)) throw new UsageError(`--${flag} takes the id of a token, not "${value}"`);
  return Number(value);
}

/** A bigint, since seeds have 64 bits. */
function seedOf(value: string | undefined): bigint | undefined {
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value)) throw new UsageError(`--seed takes a whole number from 0, not "${value}"`);
  return BigInt(value);
}
