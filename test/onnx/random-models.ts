// Makes small decoders with random weights in the form that onnxruntime-genai's builder writes, for tests that need many
// geometries. The same options give the same bytes. Quantised weights are balanced around their zero point: were they
// not, all logits would lie along one vector and equal answers would prove little.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
} from "../../server/onnx/gen/onnx_pb.ts";
import {
  type AttributeProto,
  changed,
  elementType,
  encodeModel,
  floatAttribute,
  type GraphProto,
  intAttribute,
  type ModelProto,
  makeNode,
  makeOperatorSet,
  makeTensor,
  makeValue,
  type NodeProto,
  type TensorProto,
  tensorAttribute,
  type ValueInfoProto,
} from "../../server/onnx/graph-proto.ts";

export interface RandomModelOptions {
  readonly seed?: number;
  readonly layers?: number;
  readonly heads?: number;
  /** Of keys and values; divides `heads`. */
  readonly kvHeads?: number;
  readonly headSize?: number;
  readonly hidden?: number;
  readonly inner?: number;
  readonly vocab?: number;
  /** Rows of the rotary table, and context_length. */
  readonly context?: number;
  /** "float": products of float32 weights. */
  readonly bits?: 4 | 8 | "float";
  readonly block?: 16 | 32 | 64 | 128;
  readonly zeroPoints?: boolean;
  /** 4: activations in int8; 0 and 1: in float32. */
  readonly accuracyLevel?: 0 | 1 | 4;
  /** Whether query, key and value come from one product. */
  readonly packed?: boolean;
  /** Of the attention; -1 is none. */
  readonly window?: number;
  /** Windows of single layers in place of `window`, by layer. */
  readonly windows?: readonly number[];
  readonly softcap?: number;
  /** Of the attention; 0 is 1 / sqrt(headSize). */
  readonly scale?: number;
  /** Dimensions of a head that are rotated, a multiple of 16; 0 is none. */
  readonly rotated?: number;
  readonly interleaved?: boolean;
  /** Of the products: as nodes behind them, inside of MatMulNBits, or none. */
  readonly biases?: "none" | "added" | "inside";
  /** Norms of the heads of query and key, which must not be packed. */
  readonly headNorms?: boolean;
  /** Whether large tensors lie in model.onnx.data. */
  readonly external?: boolean;
  readonly index?: "int32" | "int64";
  /** Whether the graph takes position_ids: by the attention, or by a RotaryEmbedding before it, which must not be packed. */
  readonly positions?: "none" | "attention" | "rotation";
  /** How the graph picks the last token before lm_head, if it does. */
  readonly pruned?: "no" | "gather" | "unsqueeze" | "slice";
  /** Positions of a short rotary table; behind it the graph switches to another, as those of LongRoPE models do. */
  readonly shortRotary?: number;
  /** What the embedding of a token is filled with, by token: NaN and infinities for tests of broken rows. */
  readonly embeddings?: ReadonlyMap<number, number>;
}

export interface RandomModel {
  readonly model: ModelProto;
  /** What lies in model.onnx.data; null when everything is in the model. */
  readonly data: Uint8Array | null;
  /** Of genai_config.json. */
  readonly config: { readonly model: object; readonly search: object };
}

const microsoft = "com.microsoft";

/** Writes a folder that can be opened. @returns its path */
export function writeRandomModel(folder: string, options: RandomModelOptions = {}): string {
  const { model, data, config } = randomModel(options);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "model.onnx"), encodeModel(model));
  if (data) writeFileSync(join(folder, "model.onnx.data"), data);
  writeFileSync(join(folder, "genai_config.json"), JSON.stringify(config, null, 2));
  const rope_scaling = { type: "longrope" };
  if (options.shortRotary !== undefined)
    writeFileSync(
      join(folder, "config.json"),
      JSON.stringify({ rope_scaling, original_max_position_embeddings: options.shortRotary }),
    );
  return folder;
}

export function randomModel(options: RandomModelOptions = {}): RandomModel {
  return new Builder(options).build();
}

class Builder {
  readonly #o: Required<Omit<RandomModelOptions, "shortRotary">> & { readonly shortRotary: number | undefined };
  readonly #random: () => number;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  readonly #data: Uint8Array[] = [];
  #dataBytes = 0;

  constructor(options: RandomModelOptions) {
    const { headSize = 16, heads = 4 } = options;
    this.#o = {
      ...{ seed: 1, layers: 2, heads, kvHeads: heads, headSize, hidden: 64, inner: 96, vocab: 160, context: 256 },
      ...{ bits: 4, block: 32, zeroPoints: false, accuracyLevel: 4, packed: true, biases: "none", headNorms: false },
      ...{ window: -1, windows: [], softcap: 0, scale: 0, rotated: headSize, interleaved: false },
      ...{ external: false, index: "int64", positions: "none", pruned: "no", shortRotary: undefined },
      ...{ embeddings: new Map() },
      ...options,
    };
    this.#random = randomNumbers(this.#o.seed);
  }

  build(): RandomModel {
    const o = this.#o;
    const index = elementType[o.index];
    this.#inputs.push(makeValue("input_ids", index, ["batch_size", "sequence_length"]));
    this.#inputs.push(makeValue("attention_mask", index, ["batch_size", "total_sequence_length"]));
    if (o.positions !== "none") this.#inputs.push(makeValue("position_ids", index, ["batch_size", "sequence_length"]));
    const rows = o.pruned === "no" ? "sequence_length" : 1;
    this.#outputs.push(makeValue("logits", elementType.float, ["batch_size", rows, o.vocab]));
    this.#lengths();
    if (o.rotated > 0) this.#rotaryTables();
    if (o.positions !== "none")
      this.#add("Cast", ["position_ids"], ["positions"], [intAttribute("to", elementType.int64)]);

    const embedding = Float32Array.from({ length: o.vocab * o.hidden }, () => this.#normal());
    for (const [token, value] of o.embeddings) embedding.fill(value, token * o.hidden, (token + 1) * o.hidden);
    this.#add("Gather", [this.#floats("embedding", [o.vocab, o.hidden], embedding), "input_ids"], ["x"]);
    this.#add("SimplifiedLayerNormalization", ["x", this.#norm("norm")], ["n"], normAttributes(true));
    let [normed, residual] = ["n", "x"];
    for (let layer = 0; layer < o.layers; layer++) {
      const last = layer === o.layers - 1;
      [normed, residual] = this.#layer(`layer${layer}`, layer, normed, residual, last);
    }
    const picked = this.#pick(normed);
    this.#product("lm_head", picked, "logits", o.hidden, o.vocab, 4);
    return { model: this.#model(), data: o.external ? concatenated(this.#data) : null, config: this.#config() };
  }

  #layer(at: string, layer: number, normed: string, residual: string, last: boolean): [string, string] {
    const { hidden, inner, heads, headSize } = this.#o;
    this.#attention(at, layer, normed);
    this.#product(`${at}.o`, `${at}.attention`, `${at}.o`, heads * headSize, hidden, 1.5);
    const skip = `${microsoft}.SkipSimplifiedLayerNormalization`;
    const [n1, r1, n2, r2] = [`${at}.n1`, `${at}.r1`, `${at}.n2`, `${at}.r2`];
    this.#add(skip, [residual, `${at}.o`, this.#norm(`${at}.norm1`)], [n1, "", "", r1], normAttributes(false));
    this.#product(`${at}.gate`, n1, `${at}.gate`, hidden, inner);
    this.#product(`${at}.up`, n1, `${at}.up`, hidden, inner);
    this.#add("Sigmoid", [`${at}.gate`], [`${at}.sigmoid`]);
    this.#add("Mul", [`${at}.gate`, `${at}.sigmoid`], [`${at}.silu`]);
    this.#add("Mul", [`${at}.silu`, `${at}.up`], [`${at}.gated`]);
    this.#product(`${at}.down`, `${at}.gated`, `${at}.down`, inner, hidden);
    const outputs = last ? [n2] : [n2, "", "", r2];
    this.#add(skip, [r1, `${at}.down`, this.#norm(`${at}.norm2`)], outputs, normAttributes(false));
    return [n2, r2];
  }

  #attention(at: string, layer: number, input: string): void {
    const o = this.#o;
    const [q, kv] = [o.heads * o.headSize, o.kvHeads * o.headSize];
    let inputs: string[];
    if (o.packed) {
      this.#product(`${at}.qkv`, input, `${at}.qkv`, o.hidden, q + 2 * kv, 1.5);
      inputs = [`${at}.qkv`, "", ""];
    } else {
      inputs = ["q", "k", "v"].map((part) => {
        const name = `${at}.${part}`;
        const width = part === "q" ? q : kv;
        this.#product(name, input, name, o.hidden, width, 1.5);
        if (part === "v") return name;
        const normed = o.headNorms ? this.#headNorm(name, width) : name;
        return o.positions === "rotation" && o.rotated > 0
          ? this.#rotation(normed, part === "q" ? o.heads : o.kvHeads)
          : normed;
      });
    }
    const [pastKey, pastValue, presentKey, presentValue] = ["past_key_values", "present"].flatMap((kind) =>
      ["key", "value"].map((part) => `${kind}.${layer}.${part}`),
    ) as [string, string, string, string];
    for (const name of [pastKey, pastValue])
      this.#inputs.push(
        makeValue(name, elementType.float, ["batch_size", o.kvHeads, "past_sequence_length", o.headSize]),
      );
    for (const name of [presentKey, presentValue])
      this.#outputs.push(makeValue(name, elementType.float, ["batch_size", o.kvHeads, "cache_length", o.headSize]));
    const inside = o.rotated > 0 && o.positions !== "rotation";
    inputs.push(pastKey, pastValue, "seqlens_k", "total_sequence_length", ...(inside ? ["cos", "sin"] : ["", ""]));
    if (o.positions === "attention") inputs.push("positions");
    this.#add(
      `${microsoft}.GroupQueryAttention`,
      inputs,
      [`${at}.attention`, presentKey, presentValue],
      [
        intAttribute("num_heads", o.heads),
        intAttribute("kv_num_heads", o.kvHeads),
        floatAttribute("scale", o.scale),
        intAttribute("local_window_size", o.windows[layer] ?? o.window),
        floatAttribute("softcap", o.softcap),
        intAttribute("do_rotary", inside ? 1 : 0),
        intAttribute("rotary_interleaved", o.interleaved ? 1 : 0),
      ],
    );
  }

  /** Each head of [1, T, heads × size] as a row of its own, normalised, and back. */
  #headNorm(name: string, width: number): string {
    const { headSize } = this.#o;
    this.#add("Reshape", [name, this.#ints(`${name}.heads`, [0, -1, headSize])], [`${name}.split`]);
    const weight = this.#norm(`${name}.norm`, headSize);
    this.#add("SimplifiedLayerNormalization", [`${name}.split`, weight], [`${name}.normed`], normAttributes(true));
    this.#add("Reshape", [`${name}.normed`, this.#ints(`${name}.joined`, [0, -1, width])], [`${name}.back`]);
    return `${name}.back`;
  }

  #rotation(name: string, heads: number): string {
    const partial = this.#o.rotated < this.#o.headSize;
    this.#add(
      `${microsoft}.RotaryEmbedding`,
      [name, "positions", "cos", "sin"],
      [`${name}.rotated`],
      [
        intAttribute("interleaved", this.#o.interleaved ? 1 : 0),
        ...(partial ? [intAttribute("num_heads", heads), intAttribute("rotary_embedding_dim", this.#o.rotated)] : []),
      ],
    );
    return `${name}.rotated`;
  }

  /** seqlens_k and total_sequence_length, worked out from the mask. */
  #lengths(): void {
    const one = this.#ints("one", [1]);
    const same = makeTensor(
      "one_as_mask",
      elementType[this.#o.index],
      [1],
      bytesOf(this.#o.index === "int64" ? BigInt64Array.of(1n) : Int32Array.of(1)),
    );
    this.#initializers.push(same);
    const toInt32 = [intAttribute("to", elementType.int32)];
    this.#add("ReduceSum", ["attention_mask", one], ["mask_sum"], [intAttribute("keepdims", 0)]);
    this.#add("Sub", ["mask_sum", "one_as_mask"], ["mask_last"]);
    this.#add("Cast", ["mask_last"], ["seqlens_k"], toInt32);
    this.#add("Shape", ["attention_mask"], ["mask_shape"]);
    this.#constant("axis", makeTensor("axis", elementType.int64, [], bytesOf(BigInt64Array.of(1n))));
    this.#add("Gather", ["mask_shape", "axis"], ["mask_width"], [intAttribute("axis", 0)]);
    this.#add("Cast", ["mask_width"], ["total_sequence_length"], toInt32);
  }

  #rotaryTables(): void {
    const { rotated, context, shortRotary } = this.#o;
    const table = (name: string, of: (angle: number) => number, rows: number, stretch: number) => {
      const half = rotated / 2;
      const angle = (i: number) => (Math.floor(i / half) * stretch) / 10_000 ** ((i % half) / half);
      return makeTensor(
        name,
        elementType.float,
        [rows, half],
        bytesOf(Float32Array.from({ length: rows * half }, (_, i) => of(angle(i)))),
      );
    };
    if (shortRotary === undefined) {
      this.#store(table("cos", Math.cos, context, 1));
      this.#store(table("sin", Math.sin, context, 1));
      return;
    }
    const branch = (kind: string, rows: number, stretch: number) =>
      named({
        node: (["cos", "sin"] as const).map((name) => {
          const value = table(`${name}_${kind}`, Math[name], rows, stretch);
          const attributes = [tensorAttribute("value", value)];
          return makeNode({ operator: "Constant", name: value.name, inputs: [], outputs: [value.name], attributes });
        }),
        output: ["cos", "sin"].map((name) => makeValue(`${name}_${kind}`, elementType.float, [rows, rotated / 2])),
      });
    const graphAttribute = (name: string, g: GraphProto): AttributeProto =>
      create(AttributeProtoSchema, { name, g, type: 5 });
    this.#add("Greater", ["mask_width", this.#ints("short_rotary", shortRotary)], ["is_long"]);
    this.#add(
      "If",
      ["is_long"],
      ["cos", "sin"],
      [
        graphAttribute("then_branch", branch("large", context, 0.25)),
        graphAttribute("else_branch", branch("small", shortRotary, 1)),
      ],
    );
  }

  #pick(value: string): string {
    const axis = [intAttribute("axis", 1)];
    switch (this.#o.pruned) {
      case "no":
        return value;
      case "gather":
        this.#add("Gather", [value, this.#ints("last", [-1])], ["picked"], axis);
        break;
      case "unsqueeze":
        this.#add("Gather", [value, this.#ints("last", -1)], ["picked_row"], axis);
        this.#add("Unsqueeze", ["picked_row", this.#ints("token_axis", [1])], ["picked"]);
        break;
      case "slice": {
        const inputs = [[-1], [Number.MAX_SAFE_INTEGER], [1]].map((list, i) => this.#ints(`slice${i}`, list));
        this.#add("Slice", [value, ...inputs], ["picked"]);
      }
    }
    return "picked";
  }

  /** A product of random weights [columns, depth], perhaps with a bias. */
  #product(name: string, input: string, output: string, depth: number, columns: number, gain = 1): void {
    const { bits, biases } = this.#o;
    const bias = biases === "none" ? "" : `${name}.bias`;
    if (bias)
      this.#floats(
        bias,
        [columns],
        Float32Array.from({ length: columns }, () => 0.2 * this.#normal()),
      );
    const added = bias !== "" && (biases === "added" || bits === "float");
    const product = added ? `${output}.product` : output;
    if (bits === "float") {
      const weights = Float32Array.from({ length: depth * columns }, () => (gain * this.#normal()) / Math.sqrt(depth));
      this.#add("MatMul", [input, this.#floats(`${name}.weight`, [depth, columns], weights)], [product]);
    } else this.#quantised(name, bits, { input, output: product, depth, columns, gain, bias: added ? "" : bias });
    if (added) this.#add("Add", [product, bias], [output]);
  }

  #quantised(
    name: string,
    bits: 4 | 8,
    p: { input: string; output: string; depth: number; columns: number; gain: number; bias: string },
  ): void {
    const { block, zeroPoints, accuracyLevel } = this.#o;
    const { depth, columns } = p;
    const blocks = Math.ceil(depth / block);
    const middle = bits === 4 ? 8 : 128;
    const reach = bits === 4 ? 5 : 110;
    const zeros = new Uint8Array(columns * blocks).fill(middle);
    if (zeroPoints) for (let i = 0; i < zeros.length; i++) zeros[i]! += Math.floor(this.#random() * 5) - 2;
    const codes = new Uint8Array((columns * blocks * block * bits) / 8);
    for (let i = 0; i < columns * blocks * block; i++) {
      const padding = i % (blocks * block) >= depth;
      const code = zeros[Math.floor(i / block)]! + (padding ? 0 : Math.round((2 * this.#random() - 1) * reach));
      if (bits === 8) codes[i] = code;
      else codes[i >> 1]! |= code << (4 * (i & 1));
    }
    const spread = (p.gain * Math.sqrt(3)) / (reach * Math.sqrt(depth));
    const scales = Float32Array.from({ length: columns * blocks }, () => spread * (0.5 + this.#random()));
    const inputs = [p.input, `${name}.codes`, `${name}.scales`];
    this.#store(makeTensor(`${name}.codes`, elementType.uint8, [columns, blocks, (block * bits) / 8], codes));
    this.#floats(`${name}.scales`, [columns, blocks], scales);
    if (zeroPoints) {
      const width = Math.ceil((blocks * bits) / 8);
      const packed = new Uint8Array(columns * width);
      zeros.forEach((zero, i) => {
        const [column, at] = [Math.floor(i / blocks), i % blocks];
        if (bits === 8) packed[i] = zero;
        else packed[column * width + (at >> 1)]! |= zero << (4 * (at & 1));
      });
      this.#store(makeTensor(`${name}.zeros`, elementType.uint8, [columns, width], packed));
      inputs.push(`${name}.zeros`);
    }
    if (p.bias) inputs.push(...(zeroPoints ? [] : [""]), "", p.bias);
    this.#add(
      `${microsoft}.MatMulNBits`,
      inputs,
      [p.output],
      [
        intAttribute("K", depth),
        intAttribute("N", columns),
        intAttribute("bits", bits),
        intAttribute("block_size", block),
        intAttribute("accuracy_level", accuracyLevel),
      ],
    );
  }

  #norm(name: string, width = this.#o.hidden): string {
    return this.#floats(
      name,
      [width],
      Float32Array.from({ length: width }, () => 0.5 + this.#random()),
    );
  }

  #floats(name: string, dims: readonly number[], values: Float32Array): string {
    return this.#store(makeTensor(name, elementType.float, dims, bytesOf(values)));
  }

  /** A small constant, a list or a single number, as an initializer in the model. */
  #ints(name: string, values: readonly number[] | number): string {
    const list = typeof values === "number" ? [values] : values;
    const dims = typeof values === "number" ? [] : [list.length];
    this.#initializers.push(makeTensor(name, elementType.int64, dims, bytesOf(BigInt64Array.from(list, BigInt))));
    return name;
  }

  #constant(output: string, value: TensorProto): void {
    this.#add("Constant", [], [output], [tensorAttribute("value", value)]);
  }

  /** An initializer, in model.onnx.data where that is asked for. */
  #store(tensor: TensorProto): string {
    if (!this.#o.external) {
      this.#initializers.push(tensor);
      return tensor.name;
    }
    const { rawData } = tensor;
    const padding = (64 - (this.#dataBytes % 64)) % 64;
    const offset = this.#dataBytes + padding;
    this.#data.push(new Uint8Array(padding), rawData);
    this.#dataBytes = offset + rawData.length;
    const entry = (key: string, value: string | number) =>
      create(StringStringEntryProtoSchema, { key, value: `${value}` });
    const externalData = [
      entry("location", "model.onnx.data"),
      entry("offset", offset),
      entry("length", rawData.length),
    ];
    this.#initializers.push(changed(tensor, { rawData: undefined, externalData, dataLocation: 1 }));
    return tensor.name;
  }

  #add(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: readonly AttributeProto[] = [],
  ): void {
    const [, domain, type = operator] = /^(.*)\.([^.]*)$/.exec(operator) ?? [];
    const name = `${outputs[0]}/${type}`;
    this.#nodes.push(makeNode({ ...(domain ? { domain } : {}), operator: type, name, inputs, outputs, attributes }));
  }

  #model(): ModelProto {
    const model = create(ModelProtoSchema, {
      graph: named({ node: this.#nodes, initializer: this.#initializers, input: this.#inputs, output: this.#outputs }),
      opsetImport: [makeOperatorSet("", 21), makeOperatorSet(microsoft, 1)],
    });
    model.$unknown = [{ no: 1, wireType: WireType.Varint, data: Uint8Array.of(10) }]; // ir_version
    return model;
  }

  #config(): RandomModel["config"] {
    const o = this.#o;
    const cache = { past_key_names: "past_key_values.%d.key", past_value_names: "past_key_values.%d.value" };
    return {
      model: {
        ...{ type: "random", vocab_size: o.vocab, context_length: o.context, bos_token_id: 1, pad_token_id: 0 },
        eos_token_id: [2],
        decoder: {
          ...{ filename: "model.onnx", head_size: o.headSize, hidden_size: o.hidden, num_hidden_layers: o.layers },
          ...{ num_attention_heads: o.heads, num_key_value_heads: o.kvHeads, session_options: {} },
          inputs: { input_ids: "input_ids", attention_mask: "attention_mask", position_ids: "position_ids", ...cache },
          outputs: { logits: "logits", present_key_names: "present.%d.key", present_value_names: "present.%d.value" },
        },
      },
      search: { do_sample: false, max_length: o.context },
    };
  }

  /** Of mean 0 and variance 1, roughly normal. */
  #normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.#random();
    return sum;
  }
}

/** A graph with a name, which ONNX Runtime wants and nobody else. */
function named(parts: MessageInitShape<typeof GraphProtoSchema>): GraphProto {
  const graph = create(GraphProtoSchema, parts);
  const name = new BinaryWriter().string("random").finish();
  graph.$unknown = [{ no: 2, wireType: WireType.LengthDelimited, data: name }];
  return graph;
}

function normAttributes(withAxis: boolean): AttributeProto[] {
  const epsilon = floatAttribute("epsilon", 1e-5);
  return withAxis ? [epsilon, intAttribute("axis", -1), intAttribute("stash_type", 1)] : [epsilon];
}

function bytesOf(array: Float32Array | Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** Numbers in [0, 1) that the seed alone decides: a counter, stirred. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
