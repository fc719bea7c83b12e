// Tokenizers to constrain answers with: the bundled model's, and made ones of 32,064 tokens, which is Phi-3's number, in
// the two ways in which vocabularies spell bytes.
import { fileURLToPath } from "node:url";
import { Tokenizer } from "../../server/tokenizer/tokenizer.ts";
import { parseTokenizerFile } from "../../server/tokenizer/tokenizer-file.ts";

export interface TestVocabulary {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly vocabSize: number;
  readonly eosIds: readonly number[];
}

export async function bundled(): Promise<TestVocabulary> {
  const tokenizer = await Tokenizer.open(fileURLToPath(new URL("../../models/tiny-phi3/onnx/", import.meta.url)));
  const eosIds = ["</s>", "<|end|>", "<|endoftext|>"].map((token) => tokenizer.addedToken(token)!);
  return { name: "bundled", tokenizer, vocabSize: tokenizer.size, eosIds };
}

const size = 32_064;
const syllables =
  "a e i o u an en in on re st th er ing tion ab co de fi ga he ja ka lo mi no pa qu ro su te vi wo xy zu é ß 你 😀".split(
    " ",
  );
const signs = [
  ...'"""{}[]:,.\\/-+_()<>0123456789 \n\t',
  '":',
  '", "',
  '"}',
  '{"',
  '": "',
  "],",
  "},",
  "\\n",
  '\\"',
  "//",
];

/** Words of syllables, some with signs before, behind or between; none twice. */
function* words(): Generator<string> {
  let seed = 1;
  const below = (limit: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (seed >>> 8) % limit;
  };
  const seen = new Set<string>();
  for (const sign of signs) if (sign.length > 1) yield sign;
  for (;;) {
    let word = below(2) === 0 ? " " : "";
    for (let left = 1 + below(4); left > 0; left--) {
      word += below(12) === 0 ? signs[below(signs.length)] : syllables[below(syllables.length)];
    }
    if (word.length < 2 || seen.has(word)) continue;
    seen.add(word);
    yield word;
  }
}

const letterOf = (byte: number) => {
  const printable = (b: number) => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
  if (printable(byte)) return String.fromCharCode(byte);
  let next = 256;
  for (let b = 0; b < byte; b++) if (!printable(b)) next++;
  return String.fromCharCode(next);
};
const letters = Array.from({ length: 256 }, (_, byte) => letterOf(byte));

const forms = {
  "byte fallback": {
    byte: (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    word: (word: string) => word.replaceAll(" ", "▁"),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    pre_tokenizer: null,
  },
  "byte level": {
    byte: (byte: number) => letters[byte]!,
    word: (word: string) => [...new TextEncoder().encode(word)].map((byte) => letters[byte]).join(""),
    decoder: { type: "ByteLevel" },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
  },
};

/** @param marks further control tokens */
export function made(form: keyof typeof forms, marks: readonly string[] = []): TestVocabulary {
  const { byte, word, decoder, pre_tokenizer } = forms[form];
  const pieces = new Set(["<unk>", "<s>", "</s>", ...marks, ...Array.from({ length: 256 }, (_, i) => byte(i))]);
  for (const next of words()) {
    if (pieces.size === size) break;
    pieces.add(word(next));
  }
  const vocab = Object.fromEntries([...pieces].map((piece, id) => [piece, id]));
  const controls = ["<unk>", "<s>", "</s>", ...marks];
  const { file, specialTokens } = parseTokenizerFile(
    JSON.stringify({
      added_tokens: controls.map((content) => ({ id: vocab[content], content, special: true, normalized: false })),
      decoder,
      pre_tokenizer,
      model: { type: "BPE", vocab, merges: [], byte_fallback: form === "byte fallback", unk_token: "<unk>" },
    }),
    undefined,
  );
  return { name: form, tokenizer: new Tokenizer(file, specialTokens), vocabSize: size, eosIds: [2] };
}
