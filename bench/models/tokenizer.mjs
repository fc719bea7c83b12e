// The tokenizer of a made model: each token is one character, and each character one token. So a text says exactly which
// tokens a service computes, and the text of an answer sent back has the very tokens of the answer. The characters are
// those from U+3400 on, which are letters of several scripts, none of them white space.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const first = 0x3400;
/** What the messages say, one after the other, and nothing between them. */
const template = "{% for message in messages %}{{ message.content }}{% endfor %}";

/** Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json. */
export function writeTokenizer(folder, { vocabulary, context }) {
  const vocab = Object.fromEntries(Array.from({ length: vocabulary }, (_, id) => [textOf([id]), id]));
  write(folder, "tokenizer.json", {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: { type: "BPE", unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges: [] },
  });
  write(folder, "tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: context,
    clean_up_tokenization_spaces: false,
    chat_template: template,
  });
  write(folder, "special_tokens_map.json", {});
}

/** The text that has these token ids. */
export function textOf(ids) {
  return Array.from(ids, (id) => String.fromCharCode(first + id)).join("");
}

function write(folder, name, content) {
  writeFileSync(join(folder, name), `${JSON.stringify(content, null, 2)}\n`);
}
