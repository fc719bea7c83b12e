// The tokenizer of a made model: that of the bundled tiny model, with placeholders up to the size of the vocabulary and
// the special tokens behind them, where Phi-3 has its own.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const bundled = new URL("../../models/tiny-phi3/onnx/", import.meta.url);

/** Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json. */
export function writeTokenizer(folder, { vocabulary, context }) {
  const tokenizer = read("tokenizer.json");
  const config = read("tokenizer_config.json");
  const { vocab } = tokenizer.model;
  const ordinary = Object.keys(vocab).length;
  const firstSpecial = vocabulary - 64;
  const moved = (id) => (id < ordinary ? id : id - ordinary + firstSpecial);
  for (let id = ordinary; id < firstSpecial; id += 1) vocab[`▁unused${id}`] = id;
  for (const token of tokenizer.added_tokens) token.id = moved(token.id);
  config.added_tokens_decoder = Object.fromEntries(
    Object.entries(config.added_tokens_decoder).map(([id, token]) => [moved(Number(id)), token]),
  );
  config.model_max_length = context;
  write(folder, "tokenizer.json", tokenizer);
  write(folder, "tokenizer_config.json", config);
  write(folder, "special_tokens_map.json", read("special_tokens_map.json"));
}

function read(name) {
  return JSON.parse(readFileSync(new URL(name, bundled), "utf8"));
}

function write(folder, name, content) {
  writeFileSync(join(folder, name), `${JSON.stringify(content, null, 2)}\n`);
}
