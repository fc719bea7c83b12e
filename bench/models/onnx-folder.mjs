// Makes an onnxruntime-genai CPU folder with random weights: the graph that genai's model builder writes for a Phi-3
// (same nodes, same names), int4 weights in blocks of 32 with accuracy level 4, external data at multiples of 4 KiB,
// a float32 embedding, tables for the rotation of a whole context. Never holds more of a tensor than a chunk.
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { products } from "./geometry.mjs";
import { attribute, externalTensor, model, node, tensor, types, value } from "./onnx-model.mjs";
import { bytesOf, randomBytes, randomFloats, randomNibbles, randomScales, scaleExponent } from "./random-weights.mjs";
import { writeTokenizer } from "./tokenizer.mjs";

const block = 32;
const microsoft = { domain: "com.microsoft" };

/** Writes the folder. `scales` is "bf16" (as in a quantised bf16 checkpoint) or "f32". */
export function makeOnnxFolder(folder, { geometry, seed = 1, scales = "bf16" }) {
  mkdirSync(folder, { recursive: true });
  const data = new ExternalData(join(folder, "model.onnx.data"), "model.onnx.data");
  let graph;
  try {
    graph = decoderGraph(geometry, new Weights(data, seed, scales));
  } finally {
    data.close();
  }
  writeFileSync(join(folder, "model.onnx"), model(graph));
  writeFileSync(join(folder, "genai_config.json"), `${JSON.stringify(genaiConfig(geometry), null, 2)}\n`);
  writeTokenizer(folder, geometry);
}

/** The file that tensors are appended to, each at a multiple of 4 KiB. */
class ExternalData {
  initializers = [];
  #location;
  #file;
  #end = 0;

  constructor(path, location) {
    this.#location = location;
    this.#file = openSync(path, "w");
  }

  append(name, type, dims, chunks) {
    const offset = Math.ceil(this.#end / 4096) * 4096;
    this.#end = offset;
    for (const chunk of chunks) this.#end += writeSync(this.#file, chunk, 0, chunk.length, this.#end);
    this.initializers.push(externalTensor(name, type, dims, this.#location, offset, this.#end - offset));
    return name;
  }

  close() {
    closeSync(this.#file);
  }
}

/** The tensors of a decoder, by kind. */
class Weights {
  constructor(data, seed, scaleType) {
    this.data = data;
    this.seed = seed;
    this.scaleType = scaleType;
  }

  /** Values of mean square 1. Smaller ones, as real models have, are drowned by random layers: rows would come out alike. */
  embedding(name, rows, columns) {
    return this.data.append(
      name,
      types.float,
      [rows, columns],
      randomFloats(this.seed, name, rows * columns, Math.sqrt(3)),
    );
  }

  /** Factors of a norm, 0.75 to 1.25. */
  norm(name, size) {
    const [bytes] = randomBytes(this.seed, name, size);
    const factors = Float32Array.from(bytes, (byte) => 0.75 + byte / 510);
    return this.data.append(name, types.float, [size], [bytesOf(factors)]);
  }

  /** Cosines or sines of every position and pair. */
  rotary(name, { context, headSize, rotaryBase }, of) {
    const pairs = headSize / 2;
    const angle = (i) => Math.floor(i / pairs) / rotaryBase ** ((i % pairs) / pairs);
    const table = Float32Array.from({ length: context * pairs }, (_, i) => of(angle(i)));
    return this.data.append(name, types.float, [context, pairs], [bytesOf(table)]);
  }

  /** Weights and scales of a product. */
  quantised(name, n, k) {
    const blocks = k / block;
    const weight = `${name}.weight_Q4`;
    const scales = `${name}.weight_scales`;
    const nibbles = randomNibbles(this.seed, weight, (n * k) / 2);
    this.data.append(weight, types.uint8, [n, blocks, block / 2], nibbles);
    const factors = randomScales(this.seed, scales, n * blocks, scaleExponent(k), this.scaleType);
    this.data.append(scales, types.float, [n, blocks], factors);
    return [weight, scales];
  }
}

function decoderGraph(geometry, weights) {
  const { layers, hidden, kvHeads, headSize, vocabulary, normEpsilon } = geometry;
  const { layer: shapes, head } = products(geometry);
  const epsilon = attribute.float("epsilon", normEpsilon);
  const lengths = sequenceLengths();
  const nodes = [...lengths.nodes];
  const add = (operator, inputs, outputs, attributes, options) => {
    nodes.push(node(operator, inputs, outputs, attributes, options));
    return outputs[0];
  };
  const product = (path, weight, { n, k }, input, output = `${path}/output_0`) =>
    add(
      "MatMulNBits",
      [input, ...weights.quantised(weight, n, k)],
      [output],
      Object.entries({ K: k, N: n, accuracy_level: 4, bits: 4, block_size: block }).map(([name, value]) =>
        attribute.int(name, value),
      ),
      { ...microsoft, name: path },
    );
  const cos = weights.rotary("cos_cache", geometry, Math.cos);
  const sin = weights.rotary("sin_cache", geometry, Math.sin);
  const embedding = weights.embedding("model.embed_tokens.weight", vocabulary, hidden);
  let residual = add("Gather", [embedding, "input_ids"], ["/model/embed_tokens/Gather/output_0"], [], {
    name: "/model/embed_tokens/Gather",
  });
  let normed = add(
    "SimplifiedLayerNormalization",
    [residual, weights.norm("model.layers.0.input_layernorm.weight", hidden)],
    ["/model/layers.0/input_layernorm/output_0"],
    [epsilon, attribute.int("axis", -1), attribute.int("stash_type", 1)],
    { name: "/model/layers.0/input_layernorm/LayerNorm" },
  );
  /** Adds to the residual and norms the sum. The last one's sum is not wanted. */
  const skipNorm = (path, weight, addend, last = false) => {
    const outputs = [`${path}/output_0`, ...(last ? [] : ["", "", `${path}/output_3`])];
    const inputs = [residual, addend, weights.norm(weight, hidden)];
    normed = add("SkipSimplifiedLayerNormalization", inputs, outputs, [epsilon], {
      ...microsoft,
      name: `${path}/SkipLayerNorm`,
    });
    residual = outputs.at(-1);
  };
  for (let i = 0; i < layers; i += 1) {
    const path = `/model/layers.${i}`;
    const weight = `model.layers.${i}`;
    const [qkv, o, gate, up, down] = shapes;
    const packed = product(`${path}/attn/qkv_proj/MatMul_Q4`, `${weight}.attn.qkv_proj.MatMul`, qkv, normed);
    const past = [`past_key_values.${i}.key`, `past_key_values.${i}.value`];
    const attended = add(
      "GroupQueryAttention",
      [packed, "", "", ...past, lengths.past, lengths.total, cos, sin, "", "", ""],
      [`${path}/attn/GroupQueryAttention/output_0`, `present.${i}.key`, `present.${i}.value`],
      attentionAttributes(geometry),
      { ...microsoft, name: `${path}/attn/GroupQueryAttention` },
    );
    const projected = product(`${path}/attn/o_proj/MatMul_Q4`, `${weight}.attn.o_proj.MatMul`, o, attended);
    skipNorm(`${path}/post_attention_layernorm`, `${weight}.post_attention_layernorm.weight`, projected);
    const gated = product(`${path}/mlp/gate_proj/MatMul_Q4`, `${weight}.mlp.gate_proj.MatMul`, gate, normed);
    const raised = product(`${path}/mlp/up_proj/MatMul_Q4`, `${weight}.mlp.up_proj.MatMul`, up, normed);
    const mlp = (name, operator, inputs) =>
      add(operator, inputs, [`${path}/mlp/${name}/output_0`], [], { name: `${path}/mlp/${name}` });
    const sigmoid = mlp("act_fn/Sigmoid", "Sigmoid", [gated]);
    const silu = mlp("act_fn/Mul", "Mul", [gated, sigmoid]);
    const inner = mlp("Mul", "Mul", [silu, raised]);
    const lowered = product(`${path}/mlp/down_proj/MatMul_Q4`, `${weight}.mlp.down_proj.MatMul`, down, inner);
    const last = i === layers - 1;
    const next = last ? "final_norm_layernorm" : "input_layernorm";
    skipNorm(`/model/layers.${i + 1}/${next}`, `model.layers.${i + 1}.${next}.weight`, lowered, last);
  }
  product("/lm_head/MatMul_Q4", "lm_head.MatMul", head, normed, "logits");

  const caches = (name, length) =>
    Array.from({ length: layers }, (_, i) => [`${name}.${i}.key`, `${name}.${i}.value`])
      .flat()
      .map((cache) => value(cache, types.float, ["batch_size", kvHeads, length, headSize]));
  return {
    nodes,
    initializers: weights.data.initializers,
    inputs: [
      value("input_ids", types.int64, ["batch_size", "sequence_length"]),
      value("attention_mask", types.int64, ["batch_size", "total_sequence_length"]),
      ...caches("past_key_values", "past_sequence_length"),
    ],
    outputs: [
      value("logits", types.float, ["batch_size", "sequence_length", vocabulary]),
      ...caches("present", "total_sequence_length"),
    ],
    operatorSets: { "": 21, "com.microsoft": 1 },
  };
}

/** The nodes that make GroupQueryAttention's two lengths of the mask. */
function sequenceLengths() {
  const path = "/model/attn_mask_reformat/attn_mask_subgraph";
  const constant = (name, dims) => {
    const one = bytesOf(BigInt64Array.of(1n));
    return node("Constant", [], [name], [attribute.tensor("value", tensor(name, types.int64, dims, one))]);
  };
  const int32 = [attribute.int("to", types.int32)];
  const step = (name, operator, inputs, attributes = []) =>
    node(operator, inputs, [`${path}/${name}/output_0`], attributes, { name: `${path}/${name}` });
  return {
    nodes: [
      constant("/model/constants/INT64/[1]", [1]),
      constant("/model/constants/INT64/1", []),
      step("ReduceSum", "ReduceSum", ["attention_mask", "/model/constants/INT64/[1]"], [attribute.int("keepdims", 0)]),
      step("Sub", "Sub", [`${path}/ReduceSum/output_0`, "/model/constants/INT64/[1]"]),
      step("Sub/Cast", "Cast", [`${path}/Sub/output_0`], int32),
      step("Shape", "Shape", ["attention_mask"]),
      step("Gather", "Gather", [`${path}/Shape/output_0`, "/model/constants/INT64/1"], [attribute.int("axis", 0)]),
      step("Gather/Cast", "Cast", [`${path}/Gather/output_0`], int32),
    ],
    past: `${path}/Sub/Cast/output_0`,
    total: `${path}/Gather/Cast/output_0`,
  };
}

/** Of GroupQueryAttention with the rotation inside. */
export function attentionAttributes({ heads, kvHeads, headSize }) {
  return [
    attribute.int("num_heads", heads),
    attribute.int("kv_num_heads", kvHeads),
    attribute.float("scale", 1 / Math.sqrt(headSize)),
    attribute.int("local_window_size", -1),
    attribute.float("softcap", 0),
    attribute.int("do_rotary", 1),
    attribute.int("rotary_interleaved", 0),
  ];
}

function genaiConfig({ layers, hidden, heads, kvHeads, headSize, vocabulary, context }) {
  return {
    model: {
      bos_token_id: 1,
      context_length: context,
      decoder: {
        session_options: { log_id: "onnxruntime-genai", provider_options: [] },
        filename: "model.onnx",
        head_size: headSize,
        hidden_size: hidden,
        inputs: {
          input_ids: "input_ids",
          attention_mask: "attention_mask",
          past_key_names: "past_key_values.%d.key",
          past_value_names: "past_key_values.%d.value",
        },
        outputs: {
          logits: "logits",
          present_key_names: "present.%d.key",
          present_value_names: "present.%d.value",
        },
        num_attention_heads: heads,
        num_hidden_layers: layers,
        num_key_value_heads: kvHeads,
      },
      eos_token_id: [vocabulary - 64, vocabulary - 63, vocabulary - 57],
      pad_token_id: vocabulary - 64,
      type: "phi3",
      vocab_size: vocabulary,
    },
    search: { do_sample: false, max_length: context, min_length: 0, past_present_share_buffer: true, top_k: 1 },
  };
}
