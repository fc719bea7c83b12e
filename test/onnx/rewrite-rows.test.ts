// Where the wanted rows are picked: as early as no attention needs the others any more, whatever the wiring.

import { expect, test } from "vitest";
import {
  elementType,
  floatAttribute,
  type GraphProto,
  intAttribute,
  intOf,
  makeNode,
  makeTensor,
} from "../../server/onnx/graph-proto.ts";
import type { RandomModelOptions } from "./random-models.ts";
import { insertBehind, loadedGraph, nativeGraph, oneLayer, rewrite, wiring } from "./rewritten.ts";

const plain: RandomModelOptions = { ...oneLayer, bits: "float" };

/** Operators that have no domain, for short. */
function wires(options: RandomModelOptions, change?: (graph: GraphProto) => void): string[] {
  return wiring(loadedGraph(nativeGraph(options, change))).map((line) =>
    line.replace(/com\.microsoft\.|modelwire\.(?=Paged|Mat)/g, ""),
  );
}

/** What is picked, in the order of the graph. */
function picks(lines: readonly string[]): string[] {
  return lines.flatMap((line) => /^Gather\((.*), modelwire\.rows\)/.exec(line)?.[1] ?? []);
}

test("behind the last attention only the wanted rows go on", () => {
  expect(wires({ ...oneLayer, bits: "float", rotated: 0 })).toEqual([
    "Gather(embedding, input_ids) → x",
    "Gather(x, modelwire.rows) → x.rows",
    "SimplifiedLayerNormalization(x, norm) → n",
    "MatMul(n, layer0.qkv.weight) → layer0.qkv",
    "PagedAttention(layer0.qkv, , , , , modelwire.meta) → layer0.attention",
    "Gather(layer0.attention, modelwire.rows) → layer0.attention.rows",
    "MatMul(layer0.attention.rows, layer0.o.weight) → layer0.o",
    "SkipSimplifiedLayerNormalization(x.rows, layer0.o, layer0.norm1) → layer0.n1, layer0.r1",
    "MatMul(layer0.n1, layer0.gate.weight) → layer0.gate",
    "MatMul(layer0.n1, layer0.up.weight) → layer0.up",
    "Sigmoid(layer0.gate) → layer0.sigmoid",
    "Mul(layer0.gate, layer0.sigmoid) → layer0.silu",
    "Mul(layer0.silu, layer0.up) → layer0.gated",
    "MatMul(layer0.gated, layer0.down.weight) → layer0.down",
    "SkipSimplifiedLayerNormalization(layer0.r1, layer0.down, layer0.norm2) → layer0.n2",
    "MatMul(layer0.n2, lm_head.weight) → logits",
  ]);
});

test("of several layers only the last is cut short", () => {
  expect(picks(wires({ ...plain, layers: 3 }))).toEqual(["layer1.r2", "layer2.attention"]);
});

test("products of ours are cut short as well, and the reason of each node says so", () => {
  expect(picks(wires({ layers: 2 }))).toEqual(["layer0.r2", "layer1.attention"]);
  const late = rewrite({ layers: 2 }).placements.filter(({ reason }) => reason.endsWith(", for the wanted rows only"));
  expect(late.map(({ name }) => name)).toEqual([
    ...["layer1.o/MatMulNBits", "layer1.n1/SkipSimplifiedLayerNormalization"],
    ...["layer1.gate/MatMulNBits", "layer1.up/MatMulNBits", "layer1.sigmoid/Sigmoid", "layer1.silu/Mul"],
    ...["layer1.gated/Mul", "layer1.down/MatMulNBits", "layer1.n2/SkipSimplifiedLayerNormalization"],
    "logits/MatMulNBits",
  ]);
});

test("a value that both the attention and what follows need is picked once, for what follows", () => {
  // The network beside the attention takes what the attention takes.
  const lines = wires(plain, ({ node }) => {
    for (const one of node) if (/gate|up/.test(one.name) && one.opType === "MatMul") one.input[0] = "n";
  });
  expect(picks(lines)).toEqual(["x", "n", "layer0.attention"]);
  expect(lines).toContain("MatMul(n, layer0.qkv.weight) → layer0.qkv");
  expect(lines).toContain("MatMul(n.rows, layer0.up.weight) → layer0.up");
});

test("a node whose result an attention needs sees every token, though the logits need it too", () => {
  const lines = wires({ ...plain, layers: 2 }, ({ node }) => {
    const last = node.find(({ name }) => name === "layer1.n2/SkipSimplifiedLayerNormalization")!;
    last.input[0] = "layer0.n1";
  });
  expect(picks(lines)).toEqual(["layer0.n1", "layer0.r2", "layer1.attention"]);
});

test("what follows lm_head follows the wanted rows", () => {
  const cap = makeTensor("cap", elementType.float, [], new Uint8Array(Float32Array.of(30).buffer));
  const lines = wires(plain, (graph) => {
    graph.initializer.push(cap);
    graph.node.find(({ output }) => output[0] === "logits")!.output[0] = "raw";
    graph.node.push(
      makeNode({ operator: "Div", name: "div", inputs: ["raw", "cap"], outputs: ["small"] }),
      makeNode({ operator: "Tanh", name: "tanh", inputs: ["small"], outputs: ["capped"] }),
      makeNode({ operator: "Mul", name: "mul", inputs: ["cap", "capped"], outputs: ["logits"] }),
    );
  });
  expect(picks(lines)).toEqual(["x", "layer0.attention"]);
  expect(lines.slice(-3)).toEqual(["Div(raw, cap) → small", "Tanh(small) → capped", "Mul(cap, capped) → logits"]);
});

test("logits that come straight from an attention are picked behind it, under another name", () => {
  const options: RandomModelOptions = { ...plain, vocab: 64 };
  const graph = nativeGraph(options, ({ node }) => {
    node.find(({ output }) => output[0] === "logits")!.output[0] = "unused";
    node.find(({ opType }) => opType === "GroupQueryAttention")!.output[0] = "logits";
    node.splice(node.findIndex(({ opType }) => opType === "GroupQueryAttention") + 1);
  });
  expect(graph.logits.name).toBe("logits.rows");
  expect(wiring(loadedGraph(graph)).at(-1)).toBe("Gather(logits, modelwire.rows) → logits.rows");
  expect(loadedGraph(graph).output.map(({ name }) => name)).toEqual(["logits.rows"]);
});

test("constants are not picked", () => {
  expect(picks(wires({ ...plain, biases: "added" }))).toEqual(["x", "layer0.attention"]);
});

test.each<["gather" | "unsqueeze" | "slice", string[]]>([
  ["gather", ["picked/Gather"]],
  ["unsqueeze", ["picked_row/Gather", "picked/Unsqueeze"]],
  ["slice", ["picked/Slice"]],
])("that the graph picks the last token by %s is undone", (pruned, removed) => {
  const lines = wires({ ...plain, pruned });
  expect(picks(lines)).toEqual(["x", "layer0.attention"]);
  expect(lines.at(-1)).toBe("MatMul(layer0.n2, lm_head.weight) → logits");
  const gone = rewrite({ ...plain, pruned }).placements.filter(({ reason }) => reason.startsWith("picks the last"));
  expect(gone.map(({ name }) => name)).toEqual(removed);
});

test("the last token's logits themselves may be what the graph picks", () => {
  const change = (graph: GraphProto) => {
    graph.node.find(({ output }) => output[0] === "logits")!.output[0] = "all";
    graph.initializer.push(makeTensor("minus", elementType.int64, [1], new Uint8Array(8).fill(255)));
    graph.node.push(
      makeNode({
        ...{ operator: "Gather", name: "last", inputs: ["all", "minus"], outputs: ["logits"] },
        attributes: [intAttribute("axis", 1)],
      }),
    );
  };
  expect(nativeGraph(plain, change).logits.name).toBe("all");
  expect(wires(plain, change).at(-1)).toBe("MatMul(layer0.n2, lm_head.weight) → all");
});

test("rows are not picked from values whose tokens are merged with another axis, but before them", () => {
  const lines = wires({ ...plain, layers: 2 }, (graph) => {
    const shape = (name: string, size: number) =>
      makeTensor(name, elementType.int64, [3], new Uint8Array(BigInt64Array.of(0n, -1n, BigInt(size)).buffer));
    graph.initializer.push(shape("apart", 16), shape("together", 64));
    graph.initializer.push(
      makeTensor("ones", elementType.float, [16], new Uint8Array(new Float32Array(16).fill(1).buffer)),
    );
    // Merged before the last attention needs it, and taken apart again behind that.
    insertBehind(graph, "layer0.n2", "whole", [
      { operator: "Reshape", name: "apart", inputs: ["layer0.n2", "apart"], outputs: ["pieces"] },
      {
        ...{
          operator: "SimplifiedLayerNormalization",
          name: "pieces",
          inputs: ["pieces", "ones"],
          outputs: ["normed"],
        },
        attributes: [floatAttribute("epsilon", 1e-5), intAttribute("axis", -1)],
      },
      { operator: "Reshape", name: "whole", inputs: ["normed", "together"], outputs: ["whole"] },
      { operator: "Reshape", name: "again", inputs: ["normed", "together"], outputs: ["again"] },
    ]);
    graph.node.find(({ name }) => name === "layer1.n1/SkipSimplifiedLayerNormalization")!.input[0] = "again";
  });
  expect(picks(lines)).toEqual(["again", "layer1.attention"]);
});

test("rows are picked along the axis on which the tokens lie", () => {
  const graph = nativeGraph({ ...plain, layers: 2 }, (whole) => {
    const shape = (name: string, sizes: bigint[]) =>
      makeTensor(name, elementType.int64, [sizes.length], new Uint8Array(BigInt64Array.from(sizes).buffer));
    whole.initializer.push(shape("flat", [-1n, 64n]), shape("batch", [1n, -1n, 64n]));
    insertBehind(whole, "layer0.n2", "early", [
      { operator: "Reshape", name: "rows", inputs: ["layer0.n2", "flat"], outputs: ["rows"] },
      { operator: "Reshape", name: "early", inputs: ["rows", "batch"], outputs: ["early"] },
      { operator: "Reshape", name: "late", inputs: ["rows", "batch"], outputs: ["late"] },
    ]);
    whole.node.find(({ name }) => name === "layer1.n1/SkipSimplifiedLayerNormalization")!.input[0] = "late";
  });
  const { node } = loadedGraph(graph);
  const pick = node.find(({ input }) => input[0] === "rows" && input[1] === "modelwire.rows")!;
  expect(intOf(pick, "axis", -1)).toBe(0);
  expect(node.find(({ name }) => name === "late")!.input[0]).toBe(pick.output[0]);
});
