// Reads tokenizer.json (Hugging Face's tokenizers library) and tokenizer_config.json into a pipeline and the list of
// added tokens, with precise errors where a file is broken. It encodes nothing.

import { AddedToken as LibraryToken, Tokenizer as Pipeline } from "@huggingface/tokenizers";
import { TokenizerFileError } from "./errors.ts";
import { WordCuts } from "./word-cuts.ts";

export interface TokenizerFile {
  /** Built without added tokens: it takes all text as text. */
  readonly pipeline: Pipeline;
  /** Where a word may be cut before merging; null where that could change the result. */
  readonly cuts: WordCuts | null;
  readonly addedTokens: readonly {
    readonly id: number;
    readonly content: string;
    readonly lstrip: boolean;
    readonly rstrip: boolean;
    readonly normalized: boolean;
    readonly special: boolean;
  }[];
}

const stages = ["normalizer", "pre_tokenizer", "post_processor", "decoder"] as const;

/**
 * @param tokenizerJson text of tokenizer.json, undefined when there is none
 * @param configJson text of tokenizer_config.json, undefined when there is none
 * @throws TokenizerFileError
 */
export function parseTokenizerFile(
  tokenizerJson: string | undefined,
  configJson: string | undefined,
): { file: TokenizerFile; specialTokens: Record<string, string> } {
  if (tokenizerJson === undefined) {
    throw new TokenizerFileError("tokenizer.json", [
      {
        field: "",
        description:
          "is missing. Save the tokenizer with Hugging Face's tokenizers library (a SentencePiece tokenizer.model alone is not read).",
      },
    ]);
  }
  const tokenizer = parseObject("tokenizer.json", tokenizerJson);
  const config = configJson === undefined ? {} : parseObject("tokenizer_config.json", configJson);

  const problems: { field: string; description: string }[] = [];
  const model = tokenizer.model;
  if (!isRecord(model)) problems.push({ field: "model", description: "must be an object." });
  else problems.push(...modelProblems(model));
  const added = readAddedTokens(tokenizer.added_tokens, problems);
  for (const stage of stages) {
    const value = tokenizer[stage] ?? null;
    if (value !== null && !(isRecord(value) && typeof value.type === "string")) {
      problems.push({ field: stage, description: "must be null or an object with a type." });
    }
  }
  if (problems.length > 0) throw new TokenizerFileError("tokenizer.json", problems);
  const pipeline = buildPipeline(tokenizer, config, added);
  const cuts = isRecord(model) ? wordCuts(model) : null;
  return { file: { pipeline, cuts, addedTokens: added }, specialTokens: specialTokens(config) };
}

function buildPipeline(
  tokenizer: Record<string, unknown>,
  config: Record<string, unknown>,
  added: TokenizerFile["addedTokens"],
): Pipeline {
  const complete = Object.fromEntries(stages.map((stage) => [stage, tokenizer[stage] ?? null]));
  try {
    const pipeline = new Pipeline({ ...tokenizer, ...complete, added_tokens: [] }, config);
    if (!pipeline.model) throw new Error(`no model of type ${String((tokenizer.model as { type?: unknown }).type)}`);
    // Byte-level decoders must not take added tokens for bytes.
    if (pipeline.decoder) pipeline.decoder.added_tokens = added.map((token) => new LibraryToken(token));
    return pipeline;
  } catch (error) {
    throw new TokenizerFileError("tokenizer.json", [
      { field: "", description: `describes a tokenizer that cannot be built: ${(error as Error).message}.` },
    ]);
  }
}

/** Only for plain byte-pair models: a suffix, or looking whole words up first, makes a part differ from its word. */
function wordCuts(model: Record<string, unknown>): WordCuts | null {
  const { merges, vocab, ignore_merges, end_of_word_suffix, continuing_subword_suffix } = model;
  if (!Array.isArray(merges) || !isRecord(vocab)) return null;
  if (ignore_merges || end_of_word_suffix || continuing_subword_suffix) return null;
  const merged = merges.map((merge: string | string[]) =>
    typeof merge === "string" ? merge.replace(" ", "") : merge.join(""),
  );
  return new WordCuts([...Object.keys(vocab), ...merged]);
}

function modelProblems(model: Record<string, unknown>): { field: string; description: string }[] {
  const { type, vocab, merges } = model;
  const found: { field: string; description: string }[] = [];
  const known = ["BPE", "WordPiece", "Unigram"];
  if (type !== undefined && !known.includes(String(type))) {
    found.push({ field: "model.type", description: `is ${JSON.stringify(type)}; ${known.join(", ")} can be read.` });
  }
  if (type === "Unigram" ? !Array.isArray(vocab) : !isRecord(vocab)) {
    found.push({
      field: "model.vocab",
      description: `must be ${type === "Unigram" ? "a list of [token, score]" : "an object of token to id"}.`,
    });
  } else if (isRecord(vocab)) {
    const bad = Object.entries(vocab).find(([, id]) => !Number.isInteger(id) || (id as number) < 0);
    if (bad)
      found.push({
        field: "model.vocab",
        description: `gives ${JSON.stringify(bad[0])} the id ${JSON.stringify(bad[1])}; ids are integers of 0 or more.`,
      });
  }
  if (type === "BPE" || (type === undefined && merges !== undefined)) {
    if (!Array.isArray(merges)) found.push({ field: "model.merges", description: "must be a list." });
    else {
      const at = merges.findIndex(
        (merge) => !(typeof merge === "string" ? merge.includes(" ") : Array.isArray(merge) && merge.length === 2),
      );
      if (at >= 0)
        found.push({
          field: `model.merges[${at}]`,
          description: `must be a pair of tokens; found ${JSON.stringify(merges[at])}.`,
        });
    }
  }
  return found;
}

function readAddedTokens(
  value: unknown,
  problems: { field: string; description: string }[],
): TokenizerFile["addedTokens"] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) {
    problems.push({ field: "added_tokens", description: "must be a list." });
    return [];
  }
  return value.flatMap((token: unknown, index) => {
    if (
      isRecord(token) &&
      typeof token.content === "string" &&
      Number.isInteger(token.id) &&
      (token.id as number) >= 0
    ) {
      const flag = (key: string) => token[key] === true;
      return [
        {
          id: token.id as number,
          content: token.content,
          lstrip: flag("lstrip"),
          rstrip: flag("rstrip"),
          normalized: flag("normalized"),
          special: flag("special"),
        },
      ];
    }
    problems.push({ field: `added_tokens[${index}]`, description: "must have a content and an id of 0 or more." });
    return [];
  });
}

/** `*_token` entries, each a string or an object with `content`. */
function specialTokens(config: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, value]) => {
      if (!key.endsWith("_token")) return [];
      const content = isRecord(value) ? value.content : value;
      return typeof content === "string" ? [[key, content]] : [];
    }),
  );
}

function parseObject(file: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new TokenizerFileError(file, [{ field: "", description: `is not JSON: ${(error as Error).message}.` }]);
  }
  if (isRecord(value)) return value;
  throw new TokenizerFileError(file, [{ field: "", description: "must hold a JSON object." }]);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
