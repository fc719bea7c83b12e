// Forms that are not known, one by one: the graph stays as it is, and the reason says which node and what about it.

import { describe, expect, test } from "vitest";
import {
  attributeOf,
  elementType,
  type GraphProto,
  intAttribute,
  intsAttribute,
  type ModelProto,
  makeNode,
  makeTensor,
  makeValue,
  type NodeProto,
} from "../../server/onnx/graph-proto.ts";
import type { RandomModelOptions } from "./random-models.ts";
import { insertBehind, nodeOf, oneLayer, rewrite } from "./rewritten.ts";

const attention = "com.microsoft.GroupQueryAttention";
const product = "com.microsoft.MatMulNBits";

/** Changes the first node of an operator. */
const onNode = (operator: string, change: (node: NodeProto, graph: GraphProto) => void) => (graph: GraphProto) =>
  change(nodeOf(graph, operator), graph);
const onAttention = (change: (node: NodeProto, graph: GraphProto) => void) => onNode(attention, change);
/** Puts one node of one input behind a value. */
const behind =
  (value: string, operator: string, more: string[] = [], attributes = [] as NodeProto["attribute"]) =>
  (graph: GraphProto) =>
    insertBehind(graph, value, "new", [
      { operator, name: "new", inputs: [value, ...more], outputs: ["new"], attributes },
    ]);
const ints = (name: string, values: number[]) =>
  makeTensor(name, elementType.int64, [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
const withInts = (name: string, values: number[], change: (graph: GraphProto) => void) => (graph: GraphProto) => {
  graph.initializer.push(ints(name, values));
  change(graph);
};

function input(index: number, name: string) {
  return onAttention((node) => {
    while (node.input.length <= index) node.input.push("");
    node.input[index] = name;
  });
}

describe.each<[string, (graph: GraphProto, model: ModelProto) => void, string, RandomModelOptions?]>([
  ["an attention_bias", input(10, "one"), "takes attention_bias, which is not done here."],
  ["a head_sink", input(11, "one"), "takes head_sink, which is not done here."],
  ["scales of a quantised cache", input(12, "one"), "takes k_scale, which is not done here."],
  ["norms inside of the attention", input(14, "one"), "takes q_norm_weight, which is not done here."],
  ["an input nobody knows", input(16, "one"), "has more inputs than are known."],
  ["a key without a value", input(1, "layer0.qkv"), "has only one of key and value."],
  ["position_ids of its own", input(9, "one"), "has position_ids that are not the graph's own position_ids."],
  [
    "another seqlens_k",
    input(5, "total_sequence_length"),
    "has a seqlens_k that is not worked out from attention_mask in the known way.",
  ],
  [
    "another total_sequence_length",
    input(6, "seqlens_k"),
    "has a total_sequence_length that is not worked out from attention_mask in the known way.",
  ],
  [
    "a smooth softmax",
    onAttention((node) => node.attribute.push(intAttribute("smooth_softmax", 1))),
    "has its smooth_softmax set, which is not done here.",
  ],
  [
    "a bidirectional mask",
    onAttention((node) => node.attribute.push(intAttribute("causal", 0))),
    "has its causal set, which is not done here.",
  ],
  [
    "a cache of the window's size, but no window",
    onAttention((node) => node.attribute.push(intAttribute("sliding_window_cache", 1))),
    "has its sliding_window_cache set, which is not done here.",
  ],
  [
    "an attribute nobody knows",
    onAttention((node) => node.attribute.push(intAttribute("sparse", 1))),
    "has the attribute sparse, which is not known.",
  ],
  ["scores as an output", onAttention((node) => node.output.push("scores")), "gives its scores."],
  [
    "another number of heads",
    onAttention((node) => {
      attributeOf(node, "kv_num_heads")!.i = 2n;
    }),
    "has 4 heads over 2, where genai_config.json says 4.",
  ],
  [
    "a window of nothing",
    onAttention((node) => {
      attributeOf(node, "local_window_size")!.i = 0n;
    }),
    "has the local_window_size 0.",
  ],
  [
    "a past that genai_config.json does not name",
    onAttention((node) => {
      node.input[3] = "input_ids";
    }),
    'takes its keys from "input_ids", which genai_config.json does not name.',
  ],
  [
    "keys and values of two layers",
    onAttention((node) => {
      node.input[4] = "past_key_values.1.value";
    }),
    "takes the values of another layer than the keys of 0.",
    { layers: 2 },
  ],
  [
    "a present of another name",
    onAttention((node) => {
      node.output[1] = "elsewhere";
    }),
    "gives keys and values of another layer than 0.",
  ],
  [
    "a cache in float16",
    ({ input: inputs }) => {
      inputs.find(({ name }) => name === "past_key_values.0.key")!.type!.tensorType!.elemType = elementType.float16;
    },
    "is not in float32.",
  ],
  [
    "a cache of another size",
    ({ input: inputs }) => {
      inputs.find(({ name }) => name === "past_key_values.0.key")!.type!.tensorType!.shape!.dim[3]!.dimValue = 32n;
    },
    "keeps [,4,,32] keys, where genai_config.json says 4 heads of 16.",
  ],
  [
    "rotary tables that are computed",
    (graph) => {
      graph.initializer = graph.initializer.filter(({ name }) => name !== "cos");
      graph.input.push(makeValue("cos", elementType.float, [256, 8]));
    },
    "has a rotary table that is not a constant of float32.",
  ],
  [
    "rotary tables of another width",
    (graph) => {
      graph.initializer.find(({ name }) => name === "sin")!.dims = [256n, 4n];
    },
    "has rotary tables of [256,8] and [256,4] for heads of 16.",
  ],
  [
    "a projection of another width",
    onAttention((node) => {
      node.input[1] = node.input[2] = "layer0.qkv";
    }),
    "takes 192 numbers of each token, where 64 are expected.",
  ],
  [
    "another kind of attention",
    onAttention((node) => {
      node.opType = "MultiHeadAttention";
    }),
    "is an attention of a kind that is not known.",
  ],
])("an attention with %s", (_, change, what, options = {}) => {
  test("keeps the whole graph as it is, and the reason says so", () => {
    const result = rewrite({ ...oneLayer, ...options }, change);
    expect(result.graph).toBeNull();
    const at = result.placements.find(({ reason }) => reason !== "the whole graph stays as it is")!;
    expect(result).toMatchObject({ reason: `${at.operator} ${JSON.stringify(at.name)} ${what}` });
    expect(at.operator).toMatch(/Attention$/);
    expect(result.placements.every(({ runsOn }) => runsOn === "onnxruntime")).toBe(true);
  });
});

describe.each<[string, (graph: GraphProto, model: ModelProto) => void, string, RandomModelOptions?]>([
  [
    "needs the mask elsewhere",
    behind("n", "Add", ["attention_mask"]),
    'Add "new" needs the attention mask beside the attention.',
  ],
  [
    "needs the cache elsewhere",
    behind("n", "Add", ["past_key_values.0.key"]),
    'Add "new" needs the input "past_key_values.0.key".',
  ],
  [
    "needs what the cache becomes",
    behind("layer0.n1", "Add", ["present.0.key"]),
    'Add "new" needs "present.0.key", which is made later or by the cache.',
  ],
  ["needs what nothing makes", behind("n", "Add", ["nowhere"]), 'Add "new" needs "nowhere", which nothing makes.'],
  [
    "sums over tokens",
    withInts("axes", [1], behind("n", "ReduceMean", ["axes"])),
    'ReduceMean "new" sums up over tokens.',
  ],
  ["adds up tokens", behind("n", "CumSum", ["one"]), 'CumSum "new" is not known to treat every token by itself.'],
  [
    "weighs tokens against each other",
    behind("n", "Softmax", [], [intAttribute("axis", 1)]),
    'Softmax "new" works across tokens.',
  ],
  [
    "moves the tokens' axis",
    behind("n", "Transpose", [], [intsAttribute("perm", [0, 2, 1])]),
    'Transpose "new" moves the axis of the tokens.',
  ],
  [
    "takes the first token",
    withInts("axes", [1], withInts("from", [0], behind("n", "Slice", ["from", "one", "axes"]))),
    'Slice "new" picks tokens in a way that is not known.',
  ],
  [
    "multiplies tokens with each other",
    behind("n", "MatMul", ["n"]),
    'MatMul "new" multiplies tokens with what is no constant matrix.',
  ],
  [
    "adds something else to each token of a prompt of five",
    (graph) => {
      graph.initializer.push(makeTensor("five", elementType.float, [5, 1], new Uint8Array(20)));
      behind("n", "Add", ["five"])(graph);
    },
    'Add "new" joins tokens with a constant that has an axis of tokens.',
  ],
  [
    "multiplies a constant with tokens",
    (graph) =>
      insertBehind(graph, "n", "new", [{ operator: "MatMul", name: "new", inputs: ["norm", "n"], outputs: ["new"] }]),
    'MatMul "new" has a constant where tokens are expected.',
  ],
  [
    "tells how many tokens there are",
    (graph) =>
      insertBehind(graph, "n", "new", [
        { operator: "Shape", name: "s", inputs: ["n"], outputs: ["s"] },
        { operator: "Reshape", name: "new", inputs: ["n", "s"], outputs: ["new"] },
      ]),
    'Shape "s" is not known to treat every token by itself.',
  ],
  [
    "merges tokens",
    withInts("shape", [1, -1, 48], behind("n", "Reshape", ["shape"])),
    'Reshape "new" reshapes tokens in a way that is not known.',
  ],
  [
    "adds the last token to all",
    (graph) => {
      graph.initializer.push(ints("minus", [-1]));
      insertBehind(graph, "n", "new", [
        {
          operator: "Gather",
          name: "g",
          inputs: ["n", "minus"],
          outputs: ["g"],
          attributes: [intAttribute("axis", 1)],
        },
        { operator: "Add", name: "new", inputs: ["n", "g"], outputs: ["new"] },
      ]);
      nodeOf(graph, "Gather");
      const add = graph.node.find(({ name }) => name === "new")!;
      add.input[0] = "n";
      graph.node.find(({ name }) => name === "g")!.input[0] = "n";
    },
    'Add "new" joins the last token with all of them.',
  ],
  [
    "draws random numbers",
    behind("n", "RandomNormalLike"),
    'RandomNormalLike "new" is not known to treat every token by itself.',
  ],
  [
    "uses a function of its own",
    (graph) => {
      insertBehind(graph, "n", "new", [
        { domain: "own", operator: "Mix", name: "new", inputs: ["n"], outputs: ["new"] },
      ]);
    },
    'own.Mix "new" is not known to treat every token by itself.',
  ],
  [
    "gives logits in float16",
    ({ output }) => {
      output[0]!.type!.tensorType!.elemType = elementType.float16;
    },
    "logits is not in float32.",
  ],
  [
    "gives another number of logits",
    onNode(product, (_, { node }) => {
      attributeOf(node.at(-1)!, "N")!.i = 128n;
    }),
    "The graph gives 128 logits, where genai_config.json says 160.",
  ],
  [
    "takes ids in float",
    ({ input: inputs }) => {
      inputs[0]!.type!.tensorType!.elemType = elementType.float;
    },
    "input_ids is not in int64 or int32.",
  ],
  [
    "has fewer layers than its configuration",
    (graph) => {
      graph.node = graph.node.filter(({ name }) => !name.startsWith("layer1.attention"));
    },
    "The graph has 1 GroupQueryAttention for 2 layers of genai_config.json.",
    { layers: 2 },
  ],
  [
    "has a layer twice",
    (graph) => {
      const [first, second] = graph.node.filter(({ opType }) => opType === "GroupQueryAttention");
      second!.input = [...first!.input];
      second!.output = [second!.output[0]!, "present.0.key", "present.0.value"];
      first!.output = ["layer0.attention", "", ""];
    },
    'com.microsoft.GroupQueryAttention "layer0.attention/GroupQueryAttention" gives keys and values of another layer than 0.',
    { layers: 2 },
  ],
  [
    "comes in no order of computation",
    ({ node }) => {
      node.push(
        ...node.splice(
          node.findIndex(({ name }) => name === "x/Gather"),
          1,
        ),
      );
    },
    'SimplifiedLayerNormalization "n/SimplifiedLayerNormalization" needs "x", which is made later or by the cache.',
  ],
  [
    "is of an old version of ONNX",
    (_, { opsetImport }) => {
      opsetImport[0]!.version = 12n;
    },
    "The graph uses version 12 of ONNX's operators; 13 or later is known.",
  ],
])("a graph that %s", (_, change, reason, options = {}) => {
  test("stays as it is, and the reason says so", () => {
    const result = rewrite({ ...oneLayer, ...options }, change);
    expect(result.graph ? "rewritten" : result.reason).toBe(reason);
  });
});

describe.each<[string, (node: NodeProto, graph: GraphProto) => void, string, RandomModelOptions?]>([
  ["groups of its own", (node) => node.input.push("", "one"), "has inputs that are not known"],
  [
    "an attribute nobody knows",
    (node) => node.attribute.push(intAttribute("sparse", 1)),
    "has the attribute sparse, which is not known",
  ],
  [
    "weights packed already",
    (node) => node.attribute.push(intAttribute("weight_prepacked", 1)),
    "its weights are packed for another processor",
  ],
  [
    "2 bits",
    (node) => {
      attributeOf(node, "bits")!.i = 2n;
    },
    "has weights of 2 bits",
  ],
  [
    "blocks of 256",
    (node) => {
      attributeOf(node, "block_size")!.i = 256n;
    },
    "has blocks of 256",
  ],
  ["8 bits and zero points", () => {}, "has weights of 8 bits with zero points", { bits: 8, zeroPoints: true }],
  [
    "weights of another size",
    (node) => {
      attributeOf(node, "K")!.i = 96n;
    },
    "its weights, scales are not constant, or not of the type and size that K, N and block_size call for",
  ],
  [
    "scales in float16",
    (_, { initializer }) => {
      initializer.find(({ name }) => name === "layer0.qkv.scales")!.dataType = elementType.float16;
    },
    "its scales are not constant, or not of the type and size that K, N and block_size call for",
  ],
  [
    "zero points in float",
    (_, { initializer }) => {
      initializer.find(({ name }) => name === "layer0.qkv.zeros")!.dataType = elementType.float;
    },
    "its zero points are not constant, or not of the type and size that K, N and block_size call for",
    { zeroPoints: true },
  ],
  [
    "a bias that is computed",
    (node, graph) => {
      graph.node.unshift(makeNode({ operator: "Neg", name: "b", inputs: ["layer0.qkv.bias"], outputs: ["b"] }));
      node.input[5] = "b";
    },
    "its bias is not constant, or not [N] of float32",
    { biases: "inside" },
  ],
])("a product with %s", (_, change, reason, options = {}) => {
  test("stays ONNX Runtime's while the others become ours, and says why", () => {
    const result = rewrite({ ...oneLayer, ...options }, onNode(product, change));
    const found = result.placements.find(({ operator }) => operator === product)!;
    expect(found).toMatchObject({ runsOn: "onnxruntime", reason: `stays: ${reason}` });
    expect(result.graph!.weights.length).toBe(options.bits === 8 ? 0 : 5);
  });
});
