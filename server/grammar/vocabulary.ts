// The tokens of a model as what a grammar needs of them: bytes, in the order in which a walk through them is short, and
// sets of tokens as bits. It knows no grammar.

import { VocabularyError } from "./errors.ts";
import { plainLength } from "./plain-text.ts";
import { type TokenTrie, type TrieToken, tokenTrie } from "./token-trie.ts";

/** What is needed of a tokenizer. */
export interface TokenSource {
  /** One more than the largest id. */
  readonly size: number;
  /** Null where the bytes of a token depend on the tokens around it. */
  bytes(id: number): Uint8Array | null;
  /** Never part of a text. */
  isHidden(id: number): boolean;
  decode(ids: readonly number[]): string;
}

export interface VocabularyOptions {
  /** Logits that a model gives. */
  readonly vocabSize: number;
  readonly eosIds: readonly number[];
  /** Hidden tokens that calls of tools are written with. */
  readonly marks?: readonly number[];
}

export class Vocabulary {
  readonly vocabSize: number;
  readonly eosIds: readonly number[];
  /** 32-bit words of a set of tokens. */
  readonly words: number;
  /** Tokens that are made of plain characters alone. */
  readonly plain: TokenTrie;
  readonly others: TokenTrie;
  readonly marks: TokenTrie;
  /** A bit for each plain token, and the characters of the longest. */
  readonly plainBits: Uint32Array;
  readonly longestPlain: number;
  /** A blank at the beginning of an answer is not shown. */
  readonly dropsFirstBlank: boolean;
  readonly #bytes: ReadonlyMap<number, Uint8Array>;

  /** @throws VocabularyError */
  constructor(source: TokenSource, { vocabSize, eosIds, marks = [] }: VocabularyOptions) {
    this.vocabSize = vocabSize;
    this.eosIds = eosIds.filter((id) => id < vocabSize);
    this.words = Math.ceil(vocabSize / 32);
    const tokens: TrieToken[] = [];
    for (let id = 0; id < Math.min(vocabSize, source.size); id++) {
      if (source.isHidden(id) || eosIds.includes(id)) continue;
      const bytes = source.bytes(id);
      if (bytes === null) {
        throw new VocabularyError("The text of the model's tokens depends on the tokens beside them.");
      }
      if (bytes.length > 0) tokens.push({ id, bytes });
    }
    const single = new Set(tokens.filter(({ bytes }) => bytes.length === 1).map(({ bytes }) => bytes[0]!));
    if (single.size < 256) {
      throw new VocabularyError(
        `The vocabulary has tokens for ${single.size} of the 256 bytes, so some text cannot be written.`,
      );
    }
    const marked = marks
      .filter((id) => id < vocabSize && source.isHidden(id) && !eosIds.includes(id))
      .map((id) => ({ id, bytes: source.bytes(id)! }));
    this.#bytes = new Map([...tokens, ...marked].map(({ id, bytes }) => [id, bytes]));
    this.dropsFirstBlank = dropsFirstBlank(source, tokens);
    const lengths = tokens.map(({ bytes }) => plainLength(bytes));
    this.plain = tokenTrie(tokens.filter((_, i) => lengths[i] !== undefined));
    this.others = tokenTrie(tokens.filter((_, i) => lengths[i] === undefined));
    this.marks = tokenTrie(marked);
    this.longestPlain = lengths.reduce<number>((most, length = 0) => Math.max(most, length), 0);
    this.plainBits = new Uint32Array(this.words);
    for (const id of this.plain.ids) this.plainBits[id >>> 5]! |= 1 << (id & 31);
  }

  /** Undefined for a token that is no text. */
  bytes(id: number): Uint8Array | undefined {
    return this.#bytes.get(id);
  }
}

/** Whether tokens are the bytes that they are said to be, and whether a blank at the very beginning is dropped. */
function dropsFirstBlank(source: TokenSource, tokens: readonly TrieToken[]): boolean {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const readable = tokens.filter(({ bytes }) => !decoder.decode(bytes).includes("\ufffd"));
  const anchor = readable.find(({ bytes }) => bytes.length === 1 && bytes[0]! > 0x60 && bytes[0]! < 0x7b)!;
  const before = decoder.decode(anchor.bytes);
  const step = Math.max(1, Math.floor(readable.length / 200));
  for (let i = 0; i < readable.length; i += step) {
    const { id, bytes } = readable[i]!;
    const shown = source.decode([anchor.id, id]);
    if (shown !== before + decoder.decode(bytes)) {
      throw new VocabularyError(`Token ${id} is shown as ${JSON.stringify(shown.slice(1))}, not as it is spelled.`);
    }
  }
  const blank = readable.find(({ bytes }) => bytes.length > 1 && bytes[0] === 0x20 && bytes[1] !== 0x20);
  return blank !== undefined && !source.decode([blank.id]).startsWith(" ");
}
