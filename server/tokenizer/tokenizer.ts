// Text to token ids and back, from a model folder's tokenizer.json. Control tokens are found in the text of a chat
// template only: the same characters in somebody's message stay characters. It knows no messages and no model.
//
// Normalising, pre-tokenizing, merging and decoding are @huggingface/tokenizers'. Finding added tokens is ours, because
// that package finds them in any text, and would clean up spaces on decoding unless told not to.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Tokenizer as Pipeline } from "@huggingface/tokenizers";
import { type AddedToken, isControl, TokenFinder } from "./added-tokens.ts";
import { TextTooLongError } from "./errors.ts";
import { type PieceForm, pieceBytes, pieceForm } from "./token-bytes.ts";
import { parseTokenizerFile, type TokenizerFile } from "./tokenizer-file.ts";
import type { WordCuts } from "./word-cuts.ts";

/** Longest text, in UTF-16 units. Encoding takes time in proportion: up to 10 s per million units without a break in them. */
const maxTextLength = 1_000_000;

/** Special tokens by name, from tokenizer_config.json: bos_token, eos_token, unk_token, pad_token … */
export type SpecialTokenNames = Readonly<Record<string, string>>;

export interface EncodeOptions {
  readonly controls?: boolean;
  readonly mark?: string;
  readonly maxTokens?: number;
}

export class Tokenizer {
  readonly specialTokens: SpecialTokenNames;
  readonly #pipeline: Pipeline;
  readonly #cuts: WordCuts | null;
  readonly #vocabulary: readonly (string | undefined)[];
  readonly #ids: ReadonlyMap<string, number>;
  readonly #unknownId: number | undefined;
  readonly #added: ReadonlyMap<number, AddedToken>;
  /** Every token that is looked for in raw text. */
  readonly #raw: TokenFinder;
  /** Of those, the ones that a user's text may hold. */
  readonly #rawPlain: TokenFinder;
  readonly #normalized: TokenFinder;
  readonly #control: TokenFinder;
  /** UTF-16 units. */
  readonly #longestToken: number;
  readonly #form: PieceForm | null;

  /** @throws TokenizerFileError */
  constructor(file: TokenizerFile, specialTokens: SpecialTokenNames) {
    this.specialTokens = specialTokens;
    this.#pipeline = file.pipeline;
    this.#cuts = file.cuts;
    this.#vocabulary = file.pipeline.model!.vocab;
    this.#ids = file.pipeline.model!.tokens_to_ids;
    this.#unknownId = file.pipeline.model!.unk_token_id;
    this.#form = pieceForm(file.pipeline.decoder?.config ?? null);
    this.#longestToken = this.#vocabulary.reduce((longest, token) => Math.max(longest, token?.length ?? 0), 1);
    const named = new Set(Object.values(specialTokens));
    const added = file.addedTokens.map((token) => ({ ...token, control: isControl(token, named) }));
    this.#added = new Map(added.map((token) => [token.id, token]));
    const raw = added.filter((token) => token.control || !token.normalized);
    this.#raw = new TokenFinder(raw);
    this.#rawPlain = new TokenFinder(raw.filter((token) => !token.control));
    this.#control = new TokenFinder(raw.filter((token) => token.control));
    const normalize = this.#pipeline.normalizer;
    this.#normalized = new TokenFinder(
      added
        .filter((token) => !token.control && token.normalized)
        .map((token) => ({ ...token, content: normalize ? normalize.normalize(token.content) : token.content })),
    );
  }

  /** Reads tokenizer.json and, if there is one, tokenizer_config.json. @throws TokenizerFileError with every violation */
  static async open(folder: string): Promise<Tokenizer> {
    const read = (name: string) => readFile(join(folder, name), "utf8").catch(() => undefined);
    const { file, specialTokens } = parseTokenizerFile(
      await read("tokenizer.json"),
      await read("tokenizer_config.json"),
    );
    return new Tokenizer(file, specialTokens);
  }

  /**
   * Ids of a text without anything added to it. By default every character counts as text; `controls` finds control
   * tokens in it, as a template's own text needs; `mark` is a character to leave out (see `shield`); `maxTokens` refuses
   * a text that must have more tokens, without encoding it.
   * @throws TextTooLongError
   */
  encode(text: string, { controls = false, mark, maxTokens = maxTextLength }: EncodeOptions = {}): number[] {
    const limit = Math.min(maxTextLength, maxTokens * this.#longestToken);
    if (text.length > limit) throw new TextTooLongError(text.length, limit);
    const parts = (controls ? this.#raw : this.#rawPlain).split(text);
    return parts.flatMap((part, index) => {
      if (typeof part !== "string") return [part.id];
      const plain = mark === undefined ? part : part.replaceAll(mark, "");
      return this.#encodeSection(plain, index);
    });
  }

  /** Text that no control token is found in, whatever stands around it; `mark` must not occur in it. */
  shield(text: string, mark: string): string {
    return this.#control.shield(text, mark);
  }

  /** The text of ids as it is: no clean-up, control tokens spelled out, ids without a token left out. */
  decode(ids: readonly number[]): string {
    const tokens = ids.flatMap((id) => this.#added.get(id)?.content ?? this.#vocabulary[id] ?? []);
    if (tokens.length === 0) return "";
    return this.#pipeline.decoder ? this.#pipeline.decoder.decode(tokens) : tokens.join(" ");
  }

  /** A token that answers do not show: a control token, or an id without a token. */
  isHidden(id: number): boolean {
    const added = this.#added.get(id);
    return added ? added.control : this.#vocabulary[id] === undefined;
  }

  /** One more than the largest id. */
  get size(): number {
    return Math.max(this.#vocabulary.length, ...[...this.#added.keys()].map((id) => id + 1));
  }

  /** The token as the vocabulary spells it. */
  token(id: number): string | undefined {
    return this.#added.get(id)?.content ?? this.#vocabulary[id];
  }

  /**
   * The bytes that a token adds to a text, a control token those of its own spelling; none for an id without a token.
   * Null where they depend on the tokens around it.
   */
  bytes(id: number): Uint8Array | null {
    const added = this.#added.get(id);
    if (added) return new TextEncoder().encode(added.content);
    const piece = this.#vocabulary[id];
    if (piece === undefined) return new Uint8Array();
    return this.#form === null ? null : pieceBytes(piece, this.#form);
  }

  /** The id of an added token, such as a mark that opens a call of a tool. */
  addedToken(content: string): number | undefined {
    for (const [id, token] of this.#added) if (token.content === content) return id;
    return undefined;
  }

  /** A section between tokens found in raw text: normalised, split once more, merged. */
  #encodeSection(text: string, index: number): number[] {
    if (text === "") return [];
    const { normalizer } = this.#pipeline;
    const normal = normalizer ? normalizer.normalize(text) : text;
    const ids = this.#normalized.split(normal).flatMap((part) => {
      if (typeof part !== "string") return [part.id];
      return part === "" ? [] : this.#merge(part, index);
    });
    const isControl = (id: number) => id !== this.#unknownId && this.#added.get(id)?.control === true;
    if (!ids.some(isControl)) return ids;
    // Some vocabularies list control tokens as words: cut the text inside each, so that it is no longer one word.
    const cuts: number[] = [];
    for (let i = 0; i < text.length; i++) if (this.#control.at(text, i)) cuts.push(i + 1);
    if (cuts.length === 0) return ids.filter((id) => !isControl(id));
    return [0, ...cuts].flatMap((start, i) => this.#encodeSection(text.slice(start, cuts[i]), index));
  }

  #merge(text: string, index: number): number[] {
    const { pre_tokenizer, model } = this.#pipeline;
    const words = pre_tokenizer ? pre_tokenizer.pre_tokenize(text, { section_index: index }) : [text];
    const tokens = model!._call(this.#cuts ? words.flatMap((word: string) => this.#cuts!.split(word)) : words);
    return tokens.flatMap((token: string) => this.#ids.get(token) ?? this.#unknownId ?? []);
  }
}
