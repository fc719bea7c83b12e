// The graphs that onnxruntime-genai's builder writes for models of many families are of a known form. Their weights are
// not there: a graph is rewritten without them. fixtures/onnx/builder/origin.json says which versions made them.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parseGenaiConfig } from "../../server/onnx/genai-config.ts";
import { intOf } from "../../server/onnx/graph-proto.ts";
import { rewriteGraph } from "../../server/onnx/rewrite.ts";
import { loadedGraph, nodeOf } from "./rewritten.ts";

const root = fileURLToPath(new URL("../fixtures/onnx/builder/", import.meta.url));
const families = readdirSync(root, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

/** Products that become ours, of two layers and lm_head; those not named here have query, key and value in one. */
const products: Readonly<Record<string, number>> = { "llama-float": 0, "llama-qdq": 0, nemotron: 9, phi: 9 };

test("there are families to look at", () => expect(families.length).toBe(17));

test.each(families)("the graph of %s is rewritten whole", (family) => {
  const { config } = parseGenaiConfig(readFileSync(`${root}${family}/genai_config.json`, "utf8"));
  const result = rewriteGraph(readFileSync(`${root}${family}/model.onnx`), config);
  expect(result.graph ? "" : result.reason).toBe("");
  const ran = (place: string) =>
    result.placements.filter(({ runsOn }) => runsOn === place).map(({ operator }) => operator);
  expect(ran("modelwire").filter((operator) => operator.endsWith("Attention"))).toHaveLength(config.decoder.layers);
  expect(ran("modelwire").filter((operator) => operator.endsWith("MatMulNBits"))).toHaveLength(products[family] ?? 11);
  expect(ran("onnxruntime")).not.toContain("com.microsoft.MatMulNBits");
  // Nothing that is as long as the sequence is computed any more.
  expect(ran("removed")).toEqual(expect.arrayContaining(["ReduceSum", "Shape"]));
  expect(ran("onnxruntime")).not.toContain("Shape");
  // Where attention and network lie side by side, the network's input is picked as well.
  const picks = loadedGraph(result.graph!).node.filter(({ input }) => input[1] === "modelwire.rows");
  expect(picks).toHaveLength(family === "phi" ? 3 : 2);
});

test("windows, softcaps, partial rotation and switched tables are taken over", () => {
  const attention = (family: string) => {
    const { config } = parseGenaiConfig(readFileSync(`${root}${family}/genai_config.json`, "utf8"));
    const { graph } = rewriteGraph(readFileSync(`${root}${family}/model.onnx`), config);
    const loaded = loadedGraph(graph!);
    const node = nodeOf(loaded, "modelwire.PagedAttention");
    const table = loaded.initializer.find(({ name }) => name === node.input[3]);
    return { node, table: table?.dims.map(Number), positions: graph!.maxPositions };
  };
  expect(intOf(attention("gemma2").node, "local_window_size", -1)).toBe(16);
  expect(attention("gemma2").node.attribute.find(({ name }) => name === "softcap")?.f).toBe(50);
  expect(attention("phi").table).toEqual([64, 8]); // of heads of 32, half is rotated
  expect(attention("phi3-long")).toMatchObject({ table: [32, 8], positions: 32 });
});
