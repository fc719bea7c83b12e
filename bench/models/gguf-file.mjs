// Makes a llama.cpp model (GGUF 3, Q4_0) of the same geometry with weights of the same distribution: nibbles and scales
// as random-weights.mjs draws them. The embedding is Q4_0 too, as llama.cpp's own quantiser has it.
import { closeSync, openSync, writeSync } from "node:fs";
import { bytesOf, halfScale, randomBytes, randomNibbles, scaleExponent } from "./random-weights.mjs";

const alignment = 32;
const types = { float: 0, q4: 2 };
const block = { values: 32, bytes: 18 };

/** Writes the file. */
export function makeGgufFile(path, { geometry, seed = 1 }) {
  const tensors = decoderTensors(geometry, seed);
  let end = 0;
  for (const tensor of tensors) {
    tensor.offset = end;
    end = aligned(end + tensor.bytes);
  }
  const facts = header(geometry);
  const start = Buffer.concat([
    Buffer.from("GGUF"),
    uint32(3),
    uint64(tensors.length),
    uint64(facts.length),
    ...facts,
    ...tensors.map(({ name, dims, type, offset }) =>
      Buffer.concat([string(name), uint32(dims.length), ...dims.map(uint64), uint32(type), uint64(offset)]),
    ),
  ]);
  const file = openSync(path, "w");
  try {
    writeSync(file, start);
    for (const { offset, chunks } of tensors) {
      let position = aligned(start.length) + offset;
      for (const chunk of chunks()) position += writeSync(file, chunk, 0, chunk.length, position);
    }
  } finally {
    closeSync(file);
  }
}

/** Tensors in the order of the file; the first dim is the one that lies together. */
function decoderTensors({ layers, hidden, intermediate, heads, kvHeads, headSize, vocabulary }, seed) {
  const quantised = (name, n, k) => ({
    name,
    dims: [k, n],
    type: types.q4,
    bytes: ((n * k) / block.values) * block.bytes,
    chunks: () => quantisedBlocks(seed, name, (n * k) / block.values, scaleExponent(k)),
  });
  const norm = (name) => ({
    name,
    dims: [hidden],
    type: types.float,
    bytes: hidden * 4,
    chunks: () => [bytesOf(new Float32Array(hidden).fill(1))],
  });
  const list = [
    quantised("token_embd.weight", vocabulary, hidden),
    norm("output_norm.weight"),
    quantised("output.weight", vocabulary, hidden),
  ];
  for (let i = 0; i < layers; i += 1) {
    list.push(
      norm(`blk.${i}.attn_norm.weight`),
      quantised(`blk.${i}.attn_qkv.weight`, (heads + 2 * kvHeads) * headSize, hidden),
      quantised(`blk.${i}.attn_output.weight`, hidden, heads * headSize),
      norm(`blk.${i}.ffn_norm.weight`),
      quantised(`blk.${i}.ffn_up.weight`, 2 * intermediate, hidden),
      quantised(`blk.${i}.ffn_down.weight`, hidden, intermediate),
    );
  }
  return list;
}

/** Q4_0: a float16 scale and 16 bytes of nibbles per block. */
function* quantisedBlocks(seed, name, count, exponent) {
  const scales = randomBytes(seed, `${name}.scales`, count);
  let scale = Buffer.alloc(0);
  let taken = 0;
  for (const nibbles of randomNibbles(seed, name, count * 16)) {
    const out = Buffer.allocUnsafe((nibbles.length / 16) * block.bytes);
    for (let from = 0, to = 0; from < nibbles.length; from += 16, to += block.bytes) {
      if (taken === scale.length) {
        scale = scales.next().value;
        taken = 0;
      }
      out.writeUInt16LE(halfScale(scale[taken++], exponent), to);
      nibbles.copy(out, to + 2, from, from + 16);
    }
    yield out;
  }
}

function header({ layers, hidden, intermediate, heads, kvHeads, headSize, vocabulary, context, ...rest }) {
  const fixed = ["<unk>", "<s>", "</s>", ...Array.from({ length: 256 }, (_, i) => `<0x${hex(i)}>`)];
  const names = Array.from({ length: vocabulary }, (_, id) => fixed[id] ?? `▁t${id}`);
  const byte = (id) => id > 2 && id < fixed.length;
  return [
    fact("general.architecture", "phi3"),
    fact("general.name", "bench"),
    fact("general.file_type", uint32(2), 4),
    fact("phi3.context_length", uint32(context), 4),
    fact("phi3.rope.scaling.original_context_length", uint32(context), 4),
    fact("phi3.embedding_length", uint32(hidden), 4),
    fact("phi3.feed_forward_length", uint32(intermediate), 4),
    fact("phi3.block_count", uint32(layers), 4),
    fact("phi3.attention.head_count", uint32(heads), 4),
    fact("phi3.attention.head_count_kv", uint32(kvHeads), 4),
    fact("phi3.attention.layer_norm_rms_epsilon", float32(rest.normEpsilon), 6),
    fact("phi3.rope.dimension_count", uint32(headSize), 4),
    fact("phi3.rope.freq_base", float32(rest.rotaryBase), 6),
    fact("tokenizer.ggml.model", "llama"),
    fact("tokenizer.ggml.pre", "default"),
    fact("tokenizer.ggml.tokens", list(8, names.map(string)), 9),
    fact(
      "tokenizer.ggml.scores",
      list(
        6,
        names.map((_, id) => float32(-id)),
      ),
      9,
    ),
    fact(
      "tokenizer.ggml.token_type",
      list(
        5,
        names.map((_, id) => uint32(byte(id) ? 6 : id === 0 ? 2 : id < 3 ? 3 : 1)),
      ),
      9,
    ),
    fact("tokenizer.ggml.bos_token_id", uint32(1), 4),
    fact("tokenizer.ggml.eos_token_id", uint32(2), 4),
    fact("tokenizer.ggml.unknown_token_id", uint32(0), 4),
  ];
}

/** A key with its value; without a type it is a string. */
function fact(key, content, type = 8) {
  return Buffer.concat([string(key), uint32(type), type === 8 ? string(content) : content]);
}

function list(type, items) {
  return Buffer.concat([uint32(type), uint64(items.length), ...items]);
}

function string(text) {
  const content = Buffer.from(text);
  return Buffer.concat([uint64(content.length), content]);
}

function uint32(number) {
  return bytesOf(Uint32Array.of(number));
}

function uint64(number) {
  return bytesOf(BigUint64Array.of(BigInt(number)));
}

function float32(number) {
  return bytesOf(Float32Array.of(number));
}

function hex(byte) {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}

function aligned(offset) {
  return Math.ceil(offset / alignment) * alignment;
}
