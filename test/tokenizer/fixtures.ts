// Tokenizers to try things on, and the reference for what ordinary text encodes to.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Tokenizer as Reference } from "@huggingface/tokenizers";
import { Tokenizer } from "../../server/tokenizer/tokenizer.ts";
import { parseTokenizerFile } from "../../server/tokenizer/tokenizer-file.ts";

export interface Subject {
  readonly name: string;
  readonly ours: Tokenizer;
  /** Ids of a whole text, control tokens in it found. */
  readonly reference: (text: string) => number[];
  /** Text of ids, control tokens left out. */
  readonly decode: (ids: number[]) => string;
  readonly vocabulary: number;
}

function subject(name: string, json: string, config: string): Subject {
  const { file, specialTokens } = parseTokenizerFile(json, config);
  const reference = new Reference(JSON.parse(json), JSON.parse(config));
  const ours = new Tokenizer(file, specialTokens);
  return {
    name,
    ours,
    reference: (text) => (text === "" ? [] : reference.encode(text, { add_special_tokens: false }).ids),
    decode: (ids) =>
      ids.length === 0 ? "" : reference.decode(ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
    vocabulary: ours.size,
  };
}

const fromFolder = (name: string, relative: string) => {
  const read = (file: string) => readFileSync(fileURLToPath(new URL(`${relative}/${file}`, import.meta.url)), "utf8");
  return subject(name, read("tokenizer.json"), read("tokenizer_config.json"));
};

/** Byte-level BPE in the form of GPT-2 and Qwen: a splitting pre-tokenizer, <|im_start|> and <|im_end|>, and a plain added word. */
export function byteLevelFile(change: (file: Record<string, unknown>) => void = () => {}): string {
  const characters = byteCharacters();
  const merges = ["h e", "l l", "he ll", "hell o", "\u0120 t", "\u0120t he", "i n", "\u0120 hello", "e r"];
  const vocab = [...characters, ...merges.map((merge) => merge.replace(" ", ""))];
  const first = vocab.length;
  const added = (id: number, content: string, special: boolean, normalized = false) => ({
    id,
    content,
    special,
    normalized,
    single_word: false,
    lstrip: false,
    rstrip: false,
  });
  const file: Record<string, unknown> = {
    version: "1.0",
    added_tokens: [
      added(first, "<|im_start|>", true),
      added(first + 1, "<|im_end|>", true),
      added(first + 2, "modelwire", false, true),
    ],
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true },
    model: {
      type: "BPE",
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(vocab.map((token, id) => [token, id])),
      merges,
    },
  };
  change(file);
  return JSON.stringify(file);
}

/** The 256 characters that GPT-2 shows bytes as. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(shown ? byte : next++);
  });
}

export const subjects: readonly Subject[] = [
  fromFolder("tiny-phi3", "../../models/tiny-phi3/onnx"),
  fromFolder("fixture", "../fixtures/onnx/tiny-fp32"),
  subject("byte-level", byteLevelFile(), JSON.stringify({ eos_token: "<|im_end|>" })),
];
