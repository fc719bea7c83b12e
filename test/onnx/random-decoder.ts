// The decoder of random-models.ts: the nodes that onnxruntime-genai's builder writes, with random weights.

import { create } from "@bufbuild/protobuf";
import { AttributeProtoSchema } from "../../server/onnx/gen/onnx_pb.ts";
import {
  type AttributeProto,
  elementType,
  floatAttribute,
  type GraphProto,
  intAttribute,
  intsAttribute,
  type ModelProto,
  makeNode,
  makeTensor,
  makeValue,
  tensorAttribute,
} from "../../server/onnx/graph-proto.ts";
import { bytesOf, namedGraph, RandomGraph } from "./random-graph.ts";
import type { CompleteOptions } from "./random-models.ts";
import { normal, quantisedWeights, randomNumbers } from "./random-weights.ts";

const microsoft = "com.microsoft";

export class RandomDecoder {
  readonly #o: CompleteOptions;
  readonly #random: () => number;
  readonly #graph: RandomGraph;

  constructor(options: CompleteOptions) {
    this.#o = options;
    this.#random = randomNumbers(this.#o.seed);
    this.#graph = new RandomGraph(this.#o);
  }

  /** The model, and what lies in a file beside it; null when nothing does. */
  build(): { model: ModelProto; data: Uint8Array | null } {
    const o = this.#o;
    const index = elementType[o.index];
    this.#graph.inputs.push(makeValue("input_ids", index, ["batch_size", "sequence_length"]));
    this.#graph.inputs.push(makeValue("attention_mask", index, ["batch_size", "total_sequence_length"]));
    if (o.positions !== "none")
      this.#graph.inputs.push(makeValue("position_ids", index, ["batch_size", "sequence_length"]));
    const rows = o.pruned === "no" ? "sequence_length" : 1;
    this.#graph.outputs.push(makeValue("logits", elementType.float, ["batch_size", rows, o.vocab]));
    this.#lengths();
    if (o.rotated > 0) this.#rotaryTables();
    if (o.positions !== "none")
      this.#graph.add("Cast", ["position_ids"], ["positions"], [intAttribute("to", elementType.int64)]);

    this.#embedding();
    this.#graph.add("SimplifiedLayerNormalization", ["x", this.#norm("norm")], ["n"], normAttributes(true));
    let [normed, residual] = ["n", "x"];
    for (let layer = 0; layer < o.layers; layer++) {
      const last = layer === o.layers - 1;
      [normed, residual] = this.#layer(`layer${layer}`, layer, normed, residual, last);
    }
    const picked = this.#pick(normed);
    this.#product("lm_head", picked, "logits", o.hidden, o.vocab, 4);
    return { model: this.#graph.model(), data: this.#graph.data };
  }

  #embedding(): void {
    const { tied, bits, block, hidden, vocab, embeddings, zeroPoints } = this.#o;
    if (!tied) {
      const values = Float32Array.from({ length: vocab * hidden }, () => normal(this.#random));
      for (const [token, value] of embeddings) values.fill(value, token * hidden, (token + 1) * hidden);
      this.#graph.add("Gather", [this.#graph.floats("embedding", [vocab, hidden], values), "input_ids"], ["x"]);
    } else if (bits === "float") {
      this.#graph.add("Transpose", ["lm_head.weight"], ["embedding"], [intsAttribute("perm", [1, 0])]);
      this.#graph.add("Gather", ["embedding", "input_ids"], ["x"]);
    } else {
      this.#graph.add(
        "Reshape",
        ["lm_head.codes", this.#graph.ints("code_rows", [vocab, (hidden * bits) / 8])],
        ["embedding"],
      );
      const inputs = ["embedding", "input_ids", "lm_head.scales", ...(zeroPoints ? ["lm_head.zeros"] : [])];
      this.#graph.add(
        `${microsoft}.GatherBlockQuantized`,
        inputs,
        ["x"],
        [
          ...[intAttribute("bits", bits), intAttribute("block_size", block)],
          ...[intAttribute("gather_axis", 0), intAttribute("quantize_axis", 1)],
        ],
      );
    }
  }

  #layer(at: string, layer: number, normed: string, residual: string, last: boolean): [string, string] {
    const { hidden, inner, heads, headSize } = this.#o;
    this.#attention(at, layer, normed);
    this.#product(`${at}.o`, `${at}.attention`, `${at}.o`, heads * headSize, hidden, 1.5);
    const skip = `${microsoft}.SkipSimplifiedLayerNormalization`;
    const [n1, r1, n2, r2] = [`${at}.n1`, `${at}.r1`, `${at}.n2`, `${at}.r2`];
    this.#graph.add(skip, [residual, `${at}.o`, this.#norm(`${at}.norm1`)], [n1, "", "", r1], normAttributes(false));
    this.#product(`${at}.gate`, n1, `${at}.gate`, hidden, inner);
    this.#product(`${at}.up`, n1, `${at}.up`, hidden, inner);
    this.#graph.add("Sigmoid", [`${at}.gate`], [`${at}.sigmoid`]);
    this.#graph.add("Mul", [`${at}.gate`, `${at}.sigmoid`], [`${at}.silu`]);
    this.#graph.add("Mul", [`${at}.silu`, `${at}.up`], [`${at}.gated`]);
    this.#product(`${at}.down`, `${at}.gated`, `${at}.down`, inner, hidden);
    const outputs = last ? [n2] : [n2, "", "", r2];
    this.#graph.add(skip, [r1, `${at}.down`, this.#norm(`${at}.norm2`)], outputs, normAttributes(false));
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
      this.#graph.inputs.push(
        makeValue(name, elementType.float, ["batch_size", o.kvHeads, "past_sequence_length", o.headSize]),
      );
    for (const name of [presentKey, presentValue])
      this.#graph.outputs.push(
        makeValue(name, elementType.float, ["batch_size", o.kvHeads, "cache_length", o.headSize]),
      );
    const inside = o.rotated > 0 && o.positions !== "rotation";
    inputs.push(pastKey, pastValue, "seqlens_k", "total_sequence_length", ...(inside ? ["cos", "sin"] : ["", ""]));
    if (o.positions === "attention") inputs.push("positions");
    this.#graph.add(
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
    this.#graph.add("Reshape", [name, this.#graph.ints(`${name}.heads`, [0, -1, headSize])], [`${name}.split`]);
    const weight = this.#norm(`${name}.norm`, headSize);
    this.#graph.add(
      "SimplifiedLayerNormalization",
      [`${name}.split`, weight],
      [`${name}.normed`],
      normAttributes(true),
    );
    this.#graph.add(
      "Reshape",
      [`${name}.normed`, this.#graph.ints(`${name}.joined`, [0, -1, width])],
      [`${name}.back`],
    );
    return `${name}.back`;
  }

  #rotation(name: string, heads: number): string {
    const partial = this.#o.rotated < this.#o.headSize;
    this.#graph.add(
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
    const one = this.#graph.ints("one", [1]);
    const toInt32 = [intAttribute("to", elementType.int32)];
    this.#graph.add("ReduceSum", ["attention_mask", one], ["mask_sum"], [intAttribute("keepdims", 0)]);
    this.#graph.add("Sub", ["mask_sum", this.#graph.ints("one_as_mask", [1], this.#o.index)], ["mask_last"]);
    this.#graph.add("Cast", ["mask_last"], ["seqlens_k"], toInt32);
    this.#graph.add("Shape", ["attention_mask"], ["mask_shape"]);
    const axis = makeTensor("axis", elementType.int64, [], bytesOf(BigInt64Array.of(1n)));
    this.#graph.add("Constant", [], ["axis"], [tensorAttribute("value", axis)]);
    this.#graph.add("Gather", ["mask_shape", "axis"], ["mask_width"], [intAttribute("axis", 0)]);
    this.#graph.add("Cast", ["mask_width"], ["total_sequence_length"], toInt32);
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
      this.#graph.store(table("cos", Math.cos, context, 1));
      this.#graph.store(table("sin", Math.sin, context, 1));
      return;
    }
    const branch = (kind: string, rows: number, stretch: number) =>
      namedGraph({
        node: (["cos", "sin"] as const).map((name) => {
          const value = table(`${name}_${kind}`, Math[name], rows, stretch);
          const attributes = [tensorAttribute("value", value)];
          return makeNode({ operator: "Constant", name: value.name, inputs: [], outputs: [value.name], attributes });
        }),
        output: ["cos", "sin"].map((name) => makeValue(`${name}_${kind}`, elementType.float, [rows, rotated / 2])),
      });
    const graphAttribute = (name: string, g: GraphProto): AttributeProto =>
      create(AttributeProtoSchema, { name, g, type: 5 });
    this.#graph.add("Greater", ["mask_width", this.#graph.ints("short_rotary", shortRotary)], ["is_long"]);
    this.#graph.add(
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
        this.#graph.add("Gather", [value, this.#graph.ints("last", [-1])], ["picked"], axis);
        break;
      case "unsqueeze":
        this.#graph.add("Gather", [value, this.#graph.ints("last", -1)], ["picked_row"], axis);
        this.#graph.add("Unsqueeze", ["picked_row", this.#graph.ints("token_axis", [1])], ["picked"]);
        break;
      case "slice": {
        const inputs = [[-1], [Number.MAX_SAFE_INTEGER], [1]].map((list, i) => this.#graph.ints(`slice${i}`, list));
        this.#graph.add("Slice", [value, ...inputs], ["picked"]);
      }
    }
    return "picked";
  }

  /** A product of random weights [columns, depth], perhaps with a bias. */
  #product(name: string, input: string, output: string, depth: number, columns: number, gain = 1): void {
    const { bits, biases } = this.#o;
    const bias = biases === "none" ? "" : `${name}.bias`;
    if (bias)
      this.#graph.floats(
        bias,
        [columns],
        Float32Array.from({ length: columns }, () => 0.2 * normal(this.#random)),
      );
    const added = bias !== "" && (biases === "added" || bits === "float");
    const product = added ? `${output}.product` : output;
    if (bits === "float") {
      const weights = Float32Array.from(
        { length: depth * columns },
        () => (gain * normal(this.#random)) / Math.sqrt(depth),
      );
      this.#graph.add("MatMul", [input, this.#graph.floats(`${name}.weight`, [depth, columns], weights)], [product]);
    } else this.#quantised(name, bits, { input, output: product, depth, columns, gain, bias: added ? "" : bias });
    if (added) this.#graph.add("Add", [product, bias], [output]);
  }

  #quantised(
    name: string,
    bits: 4 | 8,
    p: { input: string; output: string; depth: number; columns: number; gain: number; bias: string },
  ): void {
    const { block, zeroPoints, accuracyLevel } = this.#o;
    const { depth, columns } = p;
    const weights = quantisedWeights(this.#random, { ...p, bits, block, zeroPoints });
    const blocks = Math.ceil(depth / block);
    const inputs = [p.input, `${name}.codes`, `${name}.scales`];
    this.#graph.store(
      makeTensor(`${name}.codes`, elementType.uint8, [columns, blocks, (block * bits) / 8], weights.codes),
    );
    this.#graph.floats(`${name}.scales`, [columns, blocks], weights.scales);
    if (weights.zeros) {
      const dims = [columns, Math.ceil((blocks * bits) / 8)];
      this.#graph.store(makeTensor(`${name}.zeros`, elementType.uint8, dims, weights.zeros));
      inputs.push(`${name}.zeros`);
    }
    if (p.bias) inputs.push(...(zeroPoints ? [] : [""]), "", p.bias);
    this.#graph.add(
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
    return this.#graph.floats(
      name,
      [width],
      Float32Array.from({ length: width }, () => 0.5 + this.#random()),
    );
  }
}

function normAttributes(withAxis: boolean): AttributeProto[] {
  const epsilon = floatAttribute("epsilon", 1e-5);
  return withAxis ? [epsilon, intAttribute("axis", -1), intAttribute("stash_type", 1)] : [epsilon];
}
