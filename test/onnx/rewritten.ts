// Rewrites random models for the tests of the rewriting: the model as it is or changed, and what came out of it.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseGenaiConfig } from "../../server/onnx/genai-config.ts";
import {
  decodeModel,
  encodeModel,
  type GraphProto,
  type ModelProto,
  makeNode,
  type NodeParts,
  type NodeProto,
  operatorOf,
} from "../../server/onnx/graph-proto.ts";
import { type NativeGraph, type Rewrite, rewriteGraph } from "../../server/onnx/rewrite.ts";
import { type RandomModelOptions, randomModel, writeRandomModel } from "./random-models.ts";

/** One layer, so that the names of its values are few. */
export const oneLayer: RandomModelOptions = { layers: 1 };

/** @param change is given the model's graph, to change in place */
export function rewrite(
  options: RandomModelOptions = {},
  change: (graph: GraphProto, model: ModelProto) => void = () => {},
): Rewrite {
  const { model, config } = randomModel(options);
  change(model.graph!, model);
  return rewriteGraph(encodeModel(model), parseGenaiConfig(JSON.stringify(config)).config);
}

/** As `rewrite`, of a model that is known. */
export function nativeGraph(...args: Parameters<typeof rewrite>): NativeGraph {
  const result = rewrite(...args);
  if (!result.graph) throw new Error(`not rewritten: ${result.reason}`);
  return result.graph;
}

/** The graph that ONNX Runtime is given; every scale is float32. */
export function loadedGraph(graph: NativeGraph): GraphProto {
  const scales = new Map(graph.weights.map(({ name }) => [name, 0]));
  return decodeModel(graph.encode(scales), "rewritten").graph!;
}

/** "operator(inputs) → outputs" of every node, for expectations. */
export function wiring(graph: GraphProto): string[] {
  return graph.node.map(
    (node) => `${operatorOf(node)}(${node.input.join(", ")}) → ${node.output.filter(Boolean).join(", ")}`,
  );
}

export function nodeOf(graph: GraphProto, operator: string): NodeProto {
  const node = graph.node.find((one) => operatorOf(one) === operator);
  if (!node) throw new Error(`no ${operator}`);
  return node;
}

/** Puts nodes behind the one that makes `value`; what took `value` takes `replacement`. */
export function insertBehind(graph: GraphProto, value: string, replacement: string, nodes: readonly NodeParts[]): void {
  for (const node of graph.node) node.input = node.input.map((name) => (name === value ? replacement : name));
  const at = graph.node.findIndex(({ output }) => output.includes(value));
  graph.node.splice(at + 1, 0, ...nodes.map(makeNode));
}

/** Writes a random model, changed, into a folder that can be opened. @returns its path */
export function writeChanged(
  folder: string,
  options: RandomModelOptions,
  change: (graph: GraphProto, model: ModelProto) => void,
): string {
  writeRandomModel(folder, options);
  const { model } = randomModel(options);
  change(model.graph!, model);
  writeFileSync(join(folder, "model.onnx"), encodeModel(model));
  return folder;
}
