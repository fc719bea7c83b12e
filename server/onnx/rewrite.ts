// Rewrites a decoder graph so that its products and its attention are the operators of `kernels/`. What a graph is made
// of decides, never what its nodes are called; a form that is not known leaves the whole graph as it is. Pure: bytes in,
// a plan out. It knows neither files nor ONNX Runtime.

import type { GenaiConfig } from "./genai-config.ts";
import type { Rewrite } from "./rewrite-result.ts";

export type {
  IndexInput,
  NativeGraph,
  NodePlacement,
  Rewrite,
  TensorSource,
  WeightPlan,
} from "./rewrite-result.ts";

/**
 * @param model the bytes of the graph's file; the result keeps views of them
 * @throws ModelFolderError for a graph that is malformed, or that names operators of ours
 */
export function rewriteGraph(_model: Uint8Array, _config: GenaiConfig): Rewrite {
  return { graph: null, reason: "no form is known yet.", placements: [] };
}
