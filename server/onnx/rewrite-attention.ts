// Which attention becomes modelwire.PagedAttention. All of a graph's attention does or none: keys and values lie in blocks
// for every layer or for no layer. A GroupQueryAttention is known when every input and attribute of it is.

import {
  attributeOf,
  elementType,
  floatAttribute,
  floatOf,
  intAttribute,
  intOf,
  makeNode,
  type NodeProto,
  nameOf,
  operatorOf,
  valueType,
} from "./graph-proto.ts";
import { dimsOf } from "./graph-proto-tensors.ts";
import { comesFrom, isWidth, type RotarySwitch } from "./rewrite-lengths.ts";
import { type GraphView, NotKnown } from "./rewrite-view.ts";

const groupQueryAttention = "com.microsoft.GroupQueryAttention";

/** A GroupQueryAttention of a known form. */
export interface Attention {
  readonly node: NodeProto;
  readonly layer: number;
  readonly heads: number;
  /** One value, packed, or query, key and value. */
  readonly inputs: readonly string[];
  /** Tables [positions, rotated / 2] of cosines and sines. */
  readonly rotary: { readonly cos: string; readonly sin: string; readonly positions: number } | null;
}

/** What an attribute that we do not have may be, for the node to do what it does without. */
const neutral: Readonly<Record<string, (node: NodeProto) => boolean>> = {
  smooth_softmax: (node) => intOf(node, "smooth_softmax", 0) !== 1,
  qk_output: (node) => intOf(node, "qk_output", 0) === 0,
  causal: (node) => intOf(node, "causal", 1) === 1,
  // A cache that may drop what lies before the window gives what one that keeps everything gives.
  sliding_window_cache: (node) =>
    intOf(node, "sliding_window_cache", 0) === 0 || intOf(node, "local_window_size", -1) > 0,
  k_quant_type: (node) => isNone(node, "k_quant_type"),
  v_quant_type: (node) => isNone(node, "v_quant_type"),
  kv_cache_bit_width: (node) => intOf(node, "kv_cache_bit_width", 0) === 0,
  qk_norm_epsilon: () => true, // there are no weights of such a norm, or the node is refused for them
};
const ours = [
  ...["num_heads", "kv_num_heads", "scale", "softcap"],
  ...["do_rotary", "rotary_interleaved", "local_window_size"],
];
/** Heads are of a multiple of this, and so is half of what is rotated of them. */
const headStep = 8;
const mostHeadSize = 256;
/** Inputs from the tenth on, that we do not have. */
const otherInputs = ["attention_bias", "head_sink", "k_scale", "v_scale", "q_norm_weight", "k_norm_weight"];

/** Every attention of the graph by its node, one for each layer, or why one of them is not known. */
export function attentionOf(
  view: GraphView,
  switches: readonly RotarySwitch[],
): ReadonlyMap<NodeProto, Attention> | NotKnown {
  const { layers } = view.config.decoder;
  const found = new Map<NodeProto, Attention>();
  const taken = new Map<number, NodeProto>();
  for (const node of view.nodes) {
    if (!/attention/i.test(node.opType)) continue;
    if (operatorOf(node) !== groupQueryAttention)
      return new NotKnown("is an attention of a kind that is not known.", node);
    const attention = knownAttention(view, node, switches);
    if (typeof attention === "string") return new NotKnown(`${attention}.`, node);
    if (taken.has(attention.layer)) return new NotKnown(`is a second attention of layer ${attention.layer}.`, node);
    taken.set(attention.layer, node);
    found.set(node, attention);
  }
  if (found.size !== layers)
    return new NotKnown(`The graph has ${found.size} GroupQueryAttention for ${layers} layers of genai_config.json.`);
  const heads = new Set([...found.values()].map((attention) => attention.heads));
  if (heads.size > 1) return new NotKnown(`The layers have different numbers of heads: ${[...heads].join(", ")}.`);
  return found;
}

/** Everything about the node itself, or what of it is not known. */
function knownAttention(view: GraphView, node: NodeProto, switches: readonly RotarySwitch[]): Attention | string {
  const { kvHeads, headSize } = view.config.decoder;
  const [query = "", key = "", value = ""] = node.input;
  const input = (index: number) => node.input[index] ?? "";
  for (const { name } of node.attribute) {
    if (ours.includes(name)) continue;
    if (neutral[name] === undefined) return `has the attribute ${name}, which is not known`;
    if (!neutral[name](node)) return `has its ${name} set, which is not done here`;
  }
  const given = otherInputs.filter((_, i) => input(10 + i) !== "");
  if (given.length > 0) return `takes ${given.join(" and ")}, which is not done here`;
  if (node.input.slice(10 + otherInputs.length).some((name) => name !== "")) return "has more inputs than are known";
  if ((key === "") !== (value === "")) return "has only one of key and value";

  const heads = intOf(node, "num_heads", 0);
  if (heads < 1 || intOf(node, "kv_num_heads", 0) !== kvHeads || heads % kvHeads !== 0)
    return `has ${heads} heads over ${intOf(node, "kv_num_heads", 0)}, where genai_config.json says ${kvHeads}`;
  if (headSize % headStep !== 0 || headSize > mostHeadSize)
    return `has heads of ${headSize}; multiples of ${headStep} up to ${mostHeadSize} are known`;
  const window = intOf(node, "local_window_size", -1);
  if (window === 0 || window < -1) return `has the local_window_size ${window}`;
  const softcap = floatOf(node, "softcap", 0);
  if (!(softcap >= 0 && Number.isFinite(softcap) && Number.isFinite(floatOf(node, "scale", 0))))
    return "has a scale or softcap that is no positive number";

  const layer = layerOf(view, node);
  if (typeof layer === "string") return layer;
  if (!isWidth(view, input(5), -1))
    return "has a seqlens_k that is not worked out from attention_mask in the known way";
  if (!isWidth(view, input(6), 0))
    return "has a total_sequence_length that is not worked out from attention_mask in the known way";
  const { positionIds } = view.config.decoder.inputs;
  if (input(9) !== "" && !comesFrom(view, input(9), positionIds))
    return `has position_ids that are not the graph's own ${positionIds}`;
  const rotary = rotaryOf(view, node, headSize, switches);
  if (typeof rotary === "string") return rotary;
  return { node, layer, heads, inputs: key === "" ? [query] : [query, key, value], rotary };
}

/** The layer whose keys and values, by the names in genai_config.json, go in and come out. */
function layerOf(view: GraphView, node: NodeProto): number | string {
  const { layers, kvHeads, headSize, inputs, outputs } = view.config.decoder;
  const [pastKey = "", pastValue = ""] = [node.input[3], node.input[4]];
  const [, presentKey = "", presentValue = "", ...more] = node.output;
  if (more.some((name) => name !== "")) return "gives its scores";
  for (let layer = 0; layer < layers; layer++) {
    const named = (template: string) => template.replace("%d", `${layer}`);
    if (named(inputs.pastKeys) !== pastKey) continue;
    if (named(inputs.pastValues) !== pastValue) return `takes the values of another layer than the keys of ${layer}`;
    if (named(outputs.presentKeys) !== presentKey || named(outputs.presentValues) !== presentValue)
      return `gives keys and values of another layer than ${layer}`;
    for (const name of [pastKey, pastValue]) {
      const past = view.inputs.get(name);
      if (!past) return `takes ${JSON.stringify(name)}, which is no input of the graph`;
      if (valueType(past) !== elementType.float) return "is not in float32";
      const sizes = past.type?.tensorType?.shape?.dim.map((dim) => (dim.dimValue > 0n ? Number(dim.dimValue) : null));
      for (const [axis, expected] of [[1, kvHeads] as const, [3, headSize] as const])
        if ((sizes?.[axis] ?? expected) !== expected)
          return `keeps [${sizes}] keys, where genai_config.json says ${kvHeads} heads of ${headSize}`;
    }
    for (const name of [presentKey, presentValue])
      if (!view.outputs.has(name)) return `gives ${JSON.stringify(name)}, which is no output of the graph`;
    return layer;
  }
  return `takes its keys from ${JSON.stringify(pastKey)}, which genai_config.json does not name`;
}

function rotaryOf(
  view: GraphView,
  node: NodeProto,
  headSize: number,
  switches: readonly RotarySwitch[],
): Attention["rotary"] | string {
  if (intOf(node, "do_rotary", 0) === 0) return null;
  const [cos = "", sin = ""] = [node.input[7], node.input[8]];
  const switched = switches.find(({ tables }) => tables.has(cos) && tables.has(sin));
  const tables = [cos, sin].map((name) => switched?.tables.get(name) ?? view.constant(name));
  const [cosDims = [], sinDims = []] = tables.map((tensor) => (tensor ? dimsOf(tensor) : []));
  if (tables.some((tensor) => tensor?.dataType !== elementType.float))
    return "has a rotary table that is not a constant of float32";
  const [positions = 0, half = 0] = cosDims;
  if (cosDims.length !== 2 || `${cosDims}` !== `${sinDims}` || half < 1 || half % headStep !== 0 || half > headSize / 2)
    return `has rotary tables of [${cosDims}] and [${sinDims}] for heads of ${headSize}`;
  return { cos, sin, positions: Math.min(positions, switched?.limit ?? Number.POSITIVE_INFINITY) };
}

function isNone(node: NodeProto, name: string): boolean {
  const text = attributeOf(node, name)?.s;
  return text === undefined || Buffer.from(text).toString() === "NONE";
}

/** The node of ours in the place of an attention. @param meta the input that says where keys and values lie */
export function pagedAttention(attention: Attention, view: GraphView, meta: string): NodeProto {
  const { node, layer, heads, inputs, rotary } = attention;
  const { kvHeads, headSize } = view.config.decoder;
  const [query = "", key = "", value = ""] = inputs;
  return makeNode({
    domain: "modelwire",
    operator: "PagedAttention",
    name: nameOf(node),
    inputs: [query, key, value, rotary?.cos ?? "", rotary?.sin ?? "", meta],
    outputs: [node.output[0]!],
    attributes: [
      intAttribute("num_heads", heads),
      intAttribute("kv_num_heads", kvHeads),
      intAttribute("head_size", headSize),
      intAttribute("layer", layer),
      intAttribute("do_rotary", rotary ? 1 : 0),
      intAttribute("rotary_interleaved", intOf(node, "rotary_interleaved", 0)),
      intAttribute("local_window_size", intOf(node, "local_window_size", -1)),
      floatAttribute("scale", floatOf(node, "scale", 0)),
      floatAttribute("softcap", floatOf(node, "softcap", 0)),
    ],
  });
}

/** What an attention of ours is, for people. */
export function describeAttention({ node, heads, rotary }: Attention, view: GraphView): string {
  const window = intOf(node, "local_window_size", -1);
  const parts = [`${heads} heads over ${view.config.decoder.kvHeads}`];
  if (rotary) parts.push("rotary");
  if (window > 0) parts.push(`window of ${window}`);
  if (floatOf(node, "softcap", 0) > 0) parts.push("softcap");
  return `attention over paged keys and values: ${parts.join(", ")}`;
}
