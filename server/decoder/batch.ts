// Turns a plan into what a runner takes. Pure.

import type { BatchEntry } from "../onnx/model-runner.ts";
import type { PlanEntry } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

export function packBatch(plan: readonly PlanEntry<Sequence>[]): BatchEntry[] {
  return plan.map(({ sequence, count, draft, samples }) => ({
    sequence: sequence.handle!,
    tokens: sequence.next(count, draft),
    position: sequence.cached,
    wantsLogits: draft.length > 0 ? "all" : samples ? "last" : "none",
  }));
}
