// What is told about the runner of a model: which one, why, and what of the graph runs where. Plain data, for it crosses a
// thread boundary.

/** "auto": the native runner where it can run the model, else the stock one. "native" refuses what it cannot run. */
export type RunnerChoice = "auto" | "native" | "stock";

export const runnerChoices: readonly RunnerChoice[] = ["auto", "native", "stock"];

/** Element type of the keys and values of earlier tokens. */
export type CacheType = "float32" | "float16" | "int8";

export const cacheTypes: readonly CacheType[] = ["float32", "float16", "int8"];

export interface RunnerReport {
  readonly kind: "native" | "stock";
  /** Why it is this one. */
  readonly reason: string;
  /** Processor family of the native operators, e.g. "avx512-vnni"; "" of the stock runner. */
  readonly kernels: string;
  readonly cacheType: CacheType;
  /** Of one token of one sequence. */
  readonly cacheBytesPerToken: number;
  /** Positions that all sequences together may hold; 0 of a model that was not loaded. */
  readonly cacheTokens: number;
  /** Where packed weights lie: mapped from the cache, packed now and mapped, or in this process's memory; undefined of the stock runner. */
  readonly packedWeights?: "cache" | "packed" | "memory";
  readonly packedWeightsBytes: number;
  /** What was found on the way and is worth saying. */
  readonly warnings: readonly string[];
}

/** Nodes of the same operator that run in the same place for the same reason. */
export interface NodeGroup {
  /** With its domain, e.g. "com.microsoft.MatMulNBits". */
  readonly operator: string;
  readonly runsOn: "modelwire" | "onnxruntime" | "removed";
  readonly reason: string;
  /** In the order of the graph. */
  readonly names: readonly string[];
}

export interface RunnerInspection {
  readonly runner: RunnerReport;
  /** In the order of their first node. */
  readonly nodes: readonly NodeGroup[];
}

/** How far the packing of the weights is, in bytes: those hashed, and those packed. */
export interface PackingProgress {
  readonly done: number;
  readonly total: number;
}
