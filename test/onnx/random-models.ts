// Makes small decoders with random weights in the form that onnxruntime-genai's builder writes, for tests that need many
// geometries. The same options give the same bytes. Quantised weights are balanced around their zero point: were they
// not, all logits would lie along one vector and equal answers would prove little.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeModel, type ModelProto } from "../../server/onnx/graph-proto.ts";
import { RandomDecoder } from "./random-decoder.ts";

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
  /** Whether the embedding is looked up in the weights of lm_head. */
  readonly tied?: boolean;
  /** What the embedding of a token is filled with, by token: NaN and infinities for tests of broken rows. Not where it is tied. */
  readonly embeddings?: ReadonlyMap<number, number>;
}

export interface RandomModel {
  readonly model: ModelProto;
  /** What lies in model.onnx.data; null when everything is in the model. */
  readonly data: Uint8Array | null;
  /** Of genai_config.json. */
  readonly config: { readonly model: object; readonly search: object };
}

/** The options with nothing left open. */
export type CompleteOptions = Required<Omit<RandomModelOptions, "shortRotary">> &
  Pick<RandomModelOptions, "shortRotary">;

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

/** A model in memory. */
export function randomModel(options: RandomModelOptions = {}): RandomModel {
  const complete = completed(options);
  return { ...new RandomDecoder(complete).build(), config: configOf(complete) };
}

function completed(options: RandomModelOptions): CompleteOptions {
  const { headSize = 16, heads = 4 } = options;
  return {
    ...{ seed: 1, layers: 2, heads, kvHeads: heads, headSize, hidden: 64, inner: 96, vocab: 160, context: 256 },
    ...{ bits: 4, block: 32, zeroPoints: false, accuracyLevel: 4, packed: true, biases: "none", headNorms: false },
    ...{ window: -1, windows: [], softcap: 0, scale: 0, rotated: headSize, interleaved: false },
    ...{ external: false, index: "int64", positions: "none", pruned: "no", shortRotary: undefined },
    ...{ tied: false, embeddings: new Map() },
    ...options,
  };
}

function configOf(o: CompleteOptions): RandomModel["config"] {
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
