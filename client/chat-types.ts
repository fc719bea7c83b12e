// A conversation in the words of a TypeScript program: what is asked, and what an answer tells. Types only; the ways from and
// to the wire are in chat-request and chat-result.
import type { FromSchema } from "./json-schema.ts";
import type { Tool, ToolCallData, ToolChoice } from "./tools.ts";

/** One message of a conversation. */
export interface ChatTurn {
  /** What else the model's chat template knows is allowed too. */
  role: "system" | "user" | "assistant" | "tool" | (string & {});
  content: string;
  /** Name of the participant; most chat templates ignore it. */
  name?: string;
  /** The calls that an assistant's message makes. */
  toolCalls?: readonly ToolCallData[];
  /** Of a message with the role "tool": the id of the call whose result it is. */
  toolCallId?: string;
}

/** What an answer is made of. */
export type ResponseFormat =
  /** JSON that fits a JSON Schema, given as an object or as its text. An object that is written in place types the answer. */
  | { readonly jsonSchema: object | string }
  /** A JSON object, whatever is in it. */
  | { readonly jsonObject: true }
  /** Text that this regular expression matches as a whole. */
  | { readonly regex: string }
  /** Text of a grammar in extended Backus-Naur form, with the rule "root". */
  | { readonly grammar: string };

/** What `json()` of an answer in this format gives. */
export type JsonOf<Format> = Format extends { readonly jsonSchema: infer Schema }
  ? FromSchema<Schema>
  : Format extends { readonly jsonObject: true }
    ? { [key: string]: unknown }
    : unknown;

/** What to ask. An option that is absent means the model's own default; zero means zero. */
export interface ChatInput<
  Format extends ResponseFormat | undefined = ResponseFormat | undefined,
  Tools extends readonly Tool[] = readonly Tool[],
> {
  /** Model id, models:/ URI, or a name, which means the newest READY model of that name. */
  model: string;
  /** The conversation so far; a plain string is one message of the user. */
  messages: string | readonly ChatTurn[];
  /** Divides the logits before sampling, from 0 to 100. 0 takes the likeliest token. */
  temperature?: number;
  /** Most new tokens per choice. Absent means what is left of the context. */
  maxTokens?: number;
  /** Texts that end the answer; they are not part of it. At most 16. */
  stop?: string | readonly string[];
  /** How many answers, made side by side. 1 when absent, at most 8. */
  n?: number;
  /** Sample from the smallest set of tokens whose probabilities reach this sum. */
  topP?: number;
  /** Sample from this many of the likeliest tokens; 0 turns it off. */
  topK?: number;
  /** Sample only from tokens at least this part as likely as the likeliest, from 0 to 1; 0 turns it off. */
  minP?: number;
  /** Whole, from 0 to 2^64 - 1. Absent means that the server draws one; {@link ChatResult.seed} says which. */
  seed?: number | bigint;
  /** Makes tokens of prompt and answer less likely; above 0, at most 10; 1 turns it off. */
  repetitionPenalty?: number;
  /** Taken once from the logits of tokens that stand in the answer, from -2 to 2. */
  presencePenalty?: number;
  /** Taken from the logits of tokens that stand in the answer, as often as they do, from -2 to 2. */
  frequencyPenalty?: number;
  /** Added to the logits of token ids, from -100 to 100; at most 1,024 tokens. */
  logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /** Tokens that end the answer besides the model's own; at most 64. */
  stopTokenIds?: readonly number[];
  /** The answer does not end by itself before so many tokens. */
  minTokens?: number;
  /** The model's own ending tokens do not end the answer. */
  ignoreEos?: boolean;
  /** Tell how likely each token was, before any option; a number tells so many of the likeliest as well, at most 20. */
  logprobs?: boolean | number;
  /** What the answer is made of; absent means free text. Not together with tools. */
  responseFormat?: Format;
  /** Functions that the model may ask for, through its own chat template. At most 128. */
  tools?: Tools;
  /** Whether it does; "auto" when absent. */
  toolChoice?: ToolChoice<NoInfer<Tools[number]["name"]>>;
  /** Computed beginnings of prompts are shared among calls with the same salt, and only those. */
  cacheSalt?: string;
  /** Higher goes first, from -100 to 100; 0 when absent. */
  priority?: number;
}

/** Token counts, of all choices together. */
export interface TokenUsage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** Prompt tokens that did not have to be computed again. */
  cachedPromptTokens: number;
}

/** Where the time of an answer went, as the server saw it, in milliseconds, and in how many steps. */
export interface ChatTimings {
  queueMs: number;
  timeToFirstTokenMs: number;
  totalMs: number;
  tokensPerSecond: number;
  /** Steps of the model that gave at least one token, of all choices. */
  steps: number;
  /** Tokens that were guessed from the text so far, and those of them that were right. The answer is the same without. */
  draftedTokens: number;
  acceptedTokens: number;
}

/** Why an answer ended: by itself or on a stop text, because tokens ran out, or to wait for results of tools. */
export type FinishReasonName = "stop" | "length" | "tool_calls" | "unspecified";

/** A token and how likely it was. */
export interface TokenLogprob {
  tokenId: number;
  /** By itself; U+FFFD stands for bytes that are no whole character. */
  text: string;
  utf8: Uint8Array;
  /** The natural logarithm of its probability. */
  logprob: number;
  /** The likeliest tokens at this place, the likeliest first; empty where none were asked for, and theirs is empty. */
  top: TokenLogprob[];
}
