// Which decoders are rewritten, and into what: the fixtures, the bundled model, and random models of every form that is
// known. What is not known is in rewrite-unknown.test.ts, the wanted rows in rewrite-rows.test.ts.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AttributeProtoSchema } from "../../server/onnx/gen/onnx_pb.ts";
import { parseGenaiConfig } from "../../server/onnx/genai-config.ts";
import {
  attributeOf,
  decodeModel,
  floatOf,
  intAttribute,
  intOf,
  type NodeProto,
  operatorOf,
} from "../../server/onnx/graph-proto.ts";
import { type Rewrite, rewriteGraph } from "../../server/onnx/rewrite.ts";
import type { RandomModelOptions } from "./random-models.ts";
import { loadedGraph, nativeGraph, nodeOf, oneLayer, rewrite } from "./rewritten.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

function ofFolder(folder: string): Rewrite {
  const { config } = parseGenaiConfig(readFileSync(`${root}${folder}/genai_config.json`, "utf8"));
  return rewriteGraph(readFileSync(`${root}${folder}/${config.decoder.fileName}`), config);
}

/** How many nodes of an operator run where. */
function counts({ placements }: Rewrite): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { operator, runsOn } of placements) {
    const key = `${operator.replace("com.microsoft.", "")} ${runsOn}`;
    sums[key] = (sums[key] ?? 0) + 1;
  }
  return sums;
}

/** What matters of an operator of ours. */
function attributes(node: NodeProto): Record<string, number> {
  return Object.fromEntries(
    node.attribute.map(({ name, type }) => [name, type === 1 ? floatOf(node, name, 0) : intOf(node, name, 0)]),
  );
}

test("every product and every attention of the bundled model becomes ours, its weights stay in its file", () => {
  const result = ofFolder("models/tiny-phi3/onnx");
  expect(counts(result)).toMatchObject({ "MatMulNBits modelwire": 21, "GroupQueryAttention modelwire": 4 });
  const graph = result.graph!;
  expect(graph).toMatchObject({ layers: 4, heads: 4, kvHeads: 4, headSize: 48, maxPositions: 2048 });
  expect(graph.inputs).toMatchObject({ ids: { name: "input_ids", type: "int64" }, positions: null });
  expect(graph.weights).toHaveLength(21);
  expect(graph.weights[0]).toEqual({
    ...{ name: "model.layers.0.attn.qkv_proj.MatMul.weight_Q4.packed", columns: 576, depth: 192, bits: 4, block: 32 },
    weights: { file: "model.onnx.data", offset: 2071296, length: 55296 },
    scales: { file: "model.onnx.data", offset: 2126592, length: 13824 },
    zeroPoints: null,
  });
  const loaded = loadedGraph(graph);
  expect(loaded.input.map(({ name }) => name)).toEqual(["input_ids", "modelwire.rows", "modelwire.meta"]);
  expect(loaded.output.map(({ name }) => name)).toEqual(["logits"]);
  expect(loaded.initializer.filter(({ name }) => /weight_(Q4|scales)$/.test(name))).toEqual([]);
});

test("a model in float32 keeps its products and has its attention replaced", () => {
  for (const folder of ["test/fixtures/tiny-phi3-fp32", "test/fixtures/onnx/tiny-fp32"]) {
    const result = ofFolder(folder);
    expect(result.graph?.weights).toEqual([]);
    const found = counts(result);
    expect(found["MatMul modelwire"]).toBeUndefined();
    expect(found["GroupQueryAttention modelwire"]).toBe(result.graph!.layers);
  }
});

test("a model in float16 stays as it is, and the reason names the node", () => {
  const result = ofFolder("test/fixtures/onnx/tiny-fp16");
  const reason = 'com.microsoft.GroupQueryAttention "layer0.attn/GroupQueryAttention" is not in float32.';
  expect(result).toMatchObject({ graph: null, reason });
  const [odd, ...others] = result.placements.filter(({ operator }) => operator === "com.microsoft.GroupQueryAttention");
  expect(odd).toMatchObject({ runsOn: "onnxruntime", reason: "is not in float32." });
  expect(others).toMatchObject([{ runsOn: "onnxruntime", reason: "the whole graph stays as it is" }]);
});

test("a graph that gives the last token's logits gives those of any token once it is rewritten", () => {
  const result = ofFolder("test/fixtures/onnx/tiny-int4");
  expect(result.graph?.inputs.ids).toEqual({ name: "input_ids", type: "int32" });
  expect(result.placements.filter(({ name }) => name === "pruned/Gather")).toEqual([
    {
      ...{ name: "pruned/Gather", operator: "Gather", runsOn: "removed" },
      reason: "picks the last token; the wanted rows are picked earlier",
    },
  ]);
});

test("an attention of ours has the attributes of the one it replaces", () => {
  const options: RandomModelOptions = { ...oneLayer, heads: 6, kvHeads: 2, headSize: 32, rotated: 16 };
  const graph = nativeGraph({ ...options, window: 9, softcap: 30, scale: 0.25, interleaved: true });
  const attention = nodeOf(loadedGraph(graph), "modelwire.PagedAttention");
  expect(attributes(attention)).toEqual({
    ...{ num_heads: 6, kv_num_heads: 2, head_size: 32, layer: 0, do_rotary: 1, rotary_interleaved: 1 },
    ...{ local_window_size: 9, scale: 0.25, softcap: 30 },
  });
  expect(attention.input).toEqual(["layer0.qkv", "", "", "cos", "sin", "modelwire.meta"]);
  const apart = loadedGraph(nativeGraph({ ...oneLayer, packed: false, rotated: 0 }));
  const { input } = nodeOf(apart, "modelwire.PagedAttention");
  expect(input).toEqual(["layer0.q", "layer0.k", "layer0.v", "", "", "modelwire.meta"]);
  expect(attributes(nodeOf(apart, "modelwire.PagedAttention"))).toMatchObject({ do_rotary: 0, scale: 0 });
});

test("attributes that say what is done anyway are known", () => {
  const graph = nativeGraph({ ...oneLayer, window: 9 }, ({ node }) => {
    const { attribute } = node.find(({ opType }) => opType === "GroupQueryAttention")!;
    const ints = { smooth_softmax: 0, qk_output: 0, causal: 1, sliding_window_cache: 1, kv_cache_bit_width: 0 };
    for (const [name, value] of Object.entries(ints)) attribute.push(intAttribute(name, value));
    for (const name of ["k_quant_type", "v_quant_type"])
      attribute.push(create(AttributeProtoSchema, { name, s: Buffer.from("NONE"), type: 3 }));
  });
  expect(intOf(nodeOf(loadedGraph(graph), "modelwire.PagedAttention"), "local_window_size", 0)).toBe(9);
});

test("every layer has its own number, whatever order the layers come in", () => {
  const windows = [5, -1, 7];
  const nodes = loadedGraph(nativeGraph({ layers: 3, windows })).node;
  const found = nodes.filter((node) => operatorOf(node) === "modelwire.PagedAttention");
  expect(found.map((node) => [intOf(node, "layer", -1), intOf(node, "local_window_size", 0)])).toEqual([
    [0, 5],
    [1, -1],
    [2, 7],
  ]);
});

test.each<[string, RandomModelOptions, object]>([
  ["4 bits, symmetric", {}, { bits: 4, block_size: 32, zero_points: 0 }],
  ["4 bits with zero points, block 16", { zeroPoints: true, block: 16 }, { block_size: 16, zero_points: 1 }],
  ["4 bits, a block longer than the depth", { block: 128, hidden: 64 }, { K: 64, block_size: 128 }],
  ["8 bits", { bits: 8, block: 64 }, { bits: 8, block_size: 64 }],
])("a product becomes ours: %s", (_, options, expected) => {
  const graph = nativeGraph({ ...oneLayer, ...options });
  const scaleTypes = new Map(graph.weights.map(({ name }, i) => [name, i % 3]));
  const nodes = decodeModel(graph.encode(scaleTypes), "rewritten").graph!.node;
  const products = nodes.filter((node) => operatorOf(node) === "modelwire.MatMulInt4");
  expect(products).toHaveLength(6);
  expect(attributes(products[0]!)).toMatchObject({ K: 64, N: 192, ...expected });
  for (const node of products) expect(intOf(node, "scale_type", -1)).toBe(scaleTypes.get(node.input[1]!));
  expect(graph.weights[0]!.zeroPoints === null).toBe(!options.zeroPoints);
});

test("a bias inside of a product goes with it; one behind it stays a node", () => {
  const inside = nodeOf(loadedGraph(nativeGraph({ ...oneLayer, biases: "inside" })), "modelwire.MatMulInt4");
  expect(inside.input).toEqual(["n", "layer0.qkv.codes.packed", "layer0.qkv.bias"]);
  const added = loadedGraph(nativeGraph({ ...oneLayer, biases: "added" }));
  expect(nodeOf(added, "modelwire.MatMulInt4").input).toHaveLength(2);
  expect(nodeOf(added, "Add").input).toEqual(["layer0.qkv.product", "layer0.qkv.bias"]);
});

test("weights that two products share are packed once; what else needs the originals keeps them", () => {
  const graph = nativeGraph(oneLayer, ({ node }) => {
    const up = node.find(({ name }) => name === "layer0.up/MatMulNBits")!;
    up.input.splice(1, 2, "layer0.gate.codes", "layer0.gate.scales");
  });
  expect(graph.weights.map(({ name }) => name)).toEqual(
    ["layer0.qkv", "layer0.o", "layer0.gate", "layer0.down", "lm_head"].map((name) => `${name}.codes.packed`),
  );
  const shared = loadedGraph(
    nativeGraph(oneLayer, ({ node }) => {
      const up = node.find(({ name }) => name === "layer0.up/MatMulNBits")!;
      up.input.splice(1, 2, "layer0.gate.codes", "layer0.gate.scales");
      attributeOf(up, "accuracy_level")!.i = 1n;
    }),
  ).initializer.map(({ name }) => name);
  expect(shared).toContain("layer0.gate.codes");
  expect(shared).toContain("layer0.gate.codes.packed");
});

test("products that compute in float32 stay, with the reason, and the attention is replaced all the same", () => {
  for (const accuracyLevel of [0, 1] as const) {
    const result = rewrite({ ...oneLayer, accuracyLevel });
    expect(result.graph?.weights).toEqual([]);
    const reasons = new Set(result.placements.filter((p) => p.operator.endsWith("NBits")).map(({ reason }) => reason));
    const reason = `stays: computes in float32, as its accuracy_level ${accuracyLevel} asks`;
    expect([...reasons]).toEqual([reason, `${reason}, for the wanted rows only`]);
    expect(nodeOf(loadedGraph(result.graph!), "com.microsoft.MatMulNBits").input).toEqual([
      ...["n", "layer0.qkv.codes", "layer0.qkv.scales"],
    ]);
  }
});

test("external tensors are named with file, offset and length; those inside of the model with their bytes", () => {
  const outside = nativeGraph({ ...oneLayer, external: true }).weights[0]!;
  expect(outside.weights).toMatchObject({ file: "model.onnx.data", length: 192 * 32 });
  const inside = nativeGraph(oneLayer).weights[0]!;
  expect(inside.scales).toMatchObject({ bytes: expect.any(Uint8Array) });
});

test("the graph asks for positions only where something besides the attention needs them", () => {
  expect(nativeGraph({ positions: "attention" }).inputs.positions).toBeNull();
  const rotation: RandomModelOptions = { packed: false, positions: "rotation", index: "int32" };
  expect(nativeGraph(rotation).inputs.positions).toEqual({ name: "position_ids", type: "int32" });
});

test("of two rotary tables the short one is taken, and positions end with it", () => {
  const result = rewrite({ shortRotary: 64, context: 256 });
  expect(result.graph!.maxPositions).toBe(64);
  expect(loadedGraph(result.graph!).initializer.find(({ name }) => name === "cos")?.dims).toEqual([64n, 8n]);
  expect(result.placements.find(({ operator }) => operator === "If")).toMatchObject({
    ...{ runsOn: "removed", reason: "the rotary table for up to 64 positions is chosen for good" },
  });
  expect(nativeGraph({ rotated: 0 }).maxPositions).toBe(Number.POSITIVE_INFINITY);
});

test("names of ours give way to those of the graph", () => {
  const { inputs } = nativeGraph(oneLayer, (graph) => {
    graph.node[0]!.output[0] = "modelwire.rows";
    graph.node.find(({ input }) => input.includes("mask_sum"))!.input[0] = "modelwire.rows";
  });
  expect(inputs).toMatchObject({ rows: "modelwire.rows.1", meta: "modelwire.meta" });
});

test("a missing scale type is refused", () => {
  expect(() => nativeGraph(oneLayer).encode(new Map())).toThrow(RangeError);
});
