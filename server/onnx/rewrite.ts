// Rewrites a decoder graph so that its products and its attention are the operators of `kernels/`. What a graph is made
// of decides, never what its nodes are called; a form that is not known leaves the whole graph as it is. Pure: bytes in,
// a plan out. It knows neither files nor ONNX Runtime.

import { ModelFolderError, type Violation } from "./errors.ts";
import type { GenaiConfig } from "./genai-config.ts";
import { decodeModel, elementType, type ModelProto, nameOf, operatorOf, valueType } from "./graph-proto.ts";
import { eachNode, tensorViolations } from "./graph-proto-tensors.ts";
import { attentionOf } from "./rewrite-attention.ts";
import { buildGraph, type KnownParts, ourDomain } from "./rewrite-build.ts";
import { rotarySwitch } from "./rewrite-lengths.ts";
import type { IndexInput, NodePlacement, Rewrite } from "./rewrite-result.ts";
import { followTokens } from "./rewrite-tokens.ts";
import { GraphView, NotKnown } from "./rewrite-view.ts";

export type {
  IndexInput,
  NativeGraph,
  NodePlacement,
  Rewrite,
  TensorSource,
  WeightPlan,
} from "./rewrite-result.ts";

/** From this version of ONNX's operators on, those that are followed mean what is assumed of them. */
const oldestOperators = 13;

/**
 * @param model the bytes of the graph's file; the result keeps views of them
 * @throws ModelFolderError for a graph that is malformed, or that names operators of ours
 */
export function rewriteGraph(model: Uint8Array, config: GenaiConfig): Rewrite {
  const decoded = decodeModel(model, config.decoder.fileName);
  const violations = modelViolations(decoded);
  if (violations.length > 0) throw new ModelFolderError("The graph cannot be loaded.", violations);
  const view = new GraphView(decoded.graph!, config);
  const known = knownParts(decoded, view);
  const firstKeys = view.inputs.get(config.decoder.inputs.pastKeys.replace("%d", "0"));
  const statedCache = valueType(firstKeys) === elementType.float16 ? "float16" : "float32";
  if (!(known instanceof NotKnown)) return { ...buildGraph(decoded, view, known), statedCache };
  const placements = view.nodes.map(
    (node): NodePlacement => ({
      ...{ name: nameOf(node), operator: operatorOf(node), runsOn: "onnxruntime" },
      reason: node === known.node ? known.what : "the whole graph stays as it is",
    }),
  );
  return { graph: null, reason: known.reason, placements, statedCache };
}

/** What no graph of a folder may have. */
function modelViolations(model: ModelProto): Violation[] {
  const violations = tensorViolations(model);
  const graph = model.graph!;
  eachNode([...graph.node, ...model.functions.flatMap(({ node }) => node)], (node) => {
    if (node.domain === ourDomain)
      violations.push({
        field: `node ${JSON.stringify(nameOf(node))}`,
        description: `is ${operatorOf(node)}, which only the server itself puts into a graph.`,
      });
  });
  const made = new Set<string>();
  const names = [
    ...graph.initializer.map(({ name }) => name),
    ...graph.node.flatMap(({ output }) => output.filter((name) => name !== "")),
  ];
  for (const name of names) {
    if (made.has(name)) violations.push({ field: `value ${JSON.stringify(name)}`, description: "is made twice." });
    made.add(name);
  }
  return violations;
}

function knownParts(model: ModelProto, view: GraphView): KnownParts | NotKnown {
  const { inputs, outputs } = view.config.decoder;
  const version = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0n;
  if (version < oldestOperators)
    return new NotKnown(`The graph uses version ${version} of ONNX's operators; ${oldestOperators} or later is known.`);
  const switches = view.nodes.map((node) => rotarySwitch(view, node)).filter((one) => one !== undefined);
  const attentions = attentionOf(view, switches);
  if (attentions instanceof NotKnown) return attentions;
  const live = followTokens(view, attentions, switches);
  if (live instanceof NotKnown) return live;
  const logits = view.outputs.get(outputs.logits);
  if (valueType(logits) !== elementType.float) return new NotKnown(`${outputs.logits} is not in float32.`);
  const vocabulary = live.vocabulary ?? view.config.vocabSize;
  if (vocabulary !== view.config.vocabSize)
    return new NotKnown(`The graph gives ${vocabulary} logits, where genai_config.json says ${view.config.vocabSize}.`);
  const ids = indexInput(view, inputs.inputIds);
  const positions = live.usesPositions ? indexInput(view, inputs.positionIds) : null;
  if (ids instanceof NotKnown) return ids;
  if (positions instanceof NotKnown) return positions;
  return { attentions, switches, live, ids, positions };
}

function indexInput(view: GraphView, name: string): IndexInput | NotKnown {
  const type = valueType(view.inputs.get(name));
  if (type === elementType.int64) return { name, type: "int64" };
  if (type === elementType.int32) return { name, type: "int32" };
  return new NotKnown(`${name} is not in int64 or int32.`);
}
