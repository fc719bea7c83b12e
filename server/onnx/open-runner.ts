// Picks the runner of a model folder and opens it: the native one where the graph, the processor and the settings allow
// it, else the stock one, and says why. Above it nothing knows which one computes.

import { ModelFolderError, OrtError } from "./errors.ts";
import { type Kernels, type KvType, openKernels } from "./kernels.ts";
import { blockTokens } from "./kv-blocks.ts";
import { graphBytes, type ModelFolder, type OpenOptions, openStockRunner, stockCacheBytes } from "./model-folder.ts";
import type { ModelRunner } from "./model-runner.ts";
import { openNativeRunner } from "./native-runner.ts";
import { openPackedWeights } from "./packed-weights.ts";
import { type NativeGraph, type NodePlacement, rewriteGraph } from "./rewrite.ts";
import type {
  CacheType,
  NodeGroup,
  PackingProgress,
  RunnerChoice,
  RunnerInspection,
  RunnerReport,
} from "./runner-report.ts";
import type { Runtime } from "./runtime.ts";

export interface RunnerOptions extends OpenOptions {
  /** Default "auto". */
  readonly runner?: RunnerChoice;
  /** Of the native runner; default "float16". */
  readonly cacheType?: CacheType;
  /** Folder of the cache of packed weights; without one they are packed at every load. */
  readonly packedWeightsFolder?: string;
}

/** The runner of a folder, before anything is loaded. */
type Plan = { readonly placements: readonly NodePlacement[]; readonly reason: string } & (
  | { readonly kind: "native"; readonly graph: NativeGraph; readonly kernels: Kernels }
  | { readonly kind: "stock"; readonly cacheType: "float32" | "float16" }
);

const toldSo = "The server is told to use the stock runner.";

const kvTypes = { float32: "f32", float16: "f16", int8: "int8" } as const satisfies Record<CacheType, KvType>;

/**
 * Loads a folder into a runner. The caller disposes it.
 * @throws ModelFolderError, also where "native" is asked for and cannot be; OrtError when memory is lacking
 */
export async function openRunner(
  runtime: Runtime,
  folder: ModelFolder,
  options: RunnerOptions = {},
  onProgress?: (progress: PackingProgress) => void,
): Promise<{ runner: ModelRunner; report: RunnerReport }> {
  // Nothing is rewritten then, so nothing that rewriting finds can stand in the way.
  if (options.runner === "stock") return await openStock(runtime, folder, toldSo, options);
  const plan = await planOf(folder, options);
  if (plan.kind === "stock") return await openStock(runtime, folder, plan.reason, options);
  try {
    return await openNative(runtime, folder, plan, options, onProgress);
  } catch (error) {
    // That ONNX Runtime refuses what was made of a graph says nothing against the graph.
    if (!(error instanceof OrtError) || options.runner === "native") throw error;
    return await openStock(runtime, folder, `ONNX Runtime refuses the rewritten graph: ${error.message}`, options);
  }
}

/** What would run which node of a folder's graph, and why. Loads nothing. @throws ModelFolderError as `openRunner` */
export async function inspectRunner(folder: ModelFolder, options: RunnerOptions = {}): Promise<RunnerInspection> {
  const plan = await planOf(folder, options);
  const runner =
    plan.kind === "native"
      ? nativeReport(plan, cacheTypeOf(options))
      : stockReport(folder, plan.reason, plan.cacheType);
  return { runner, nodes: grouped(plan.placements) };
}

async function planOf(folder: ModelFolder, { runner = "auto" }: RunnerOptions): Promise<Plan> {
  const rewrite = rewriteGraph(await graphBytes(folder), folder.config);
  const stock = (reason: string): Plan => {
    if (runner === "native")
      throw new ModelFolderError("The native runner cannot run the model.", [
        {
          field: folder.config.decoder.fileName,
          description: `${reason} The stock runner can: do not ask for native.`,
        },
      ]);
    const placements = rewrite.placements.map((node): NodePlacement => {
      return node.runsOn === "onnxruntime" ? node : { ...node, runsOn: "onnxruntime", reason: "nothing is rewritten" };
    });
    return { kind: "stock", reason, placements, cacheType: rewrite.statedCache };
  };
  if (runner === "stock") return stock(toldSo);
  if (!rewrite.graph) return stock(rewrite.reason);
  const { kernels, ...missing } = openKernels();
  if (!kernels) return stock("reason" in missing ? missing.reason : "");
  if (runner === "auto" && kernels.variant === "scalar")
    return stock("The native operators have nothing fast for this processor.");
  const { graph, placements } = rewrite;
  const products = graph.weights.length;
  const reason = `Attention and ${products} products are of a known form.`;
  return { kind: "native", graph, kernels, placements, reason };
}

async function openNative(
  runtime: Runtime,
  folder: ModelFolder,
  plan: Plan & { readonly kind: "native" },
  options: RunnerOptions,
  onProgress: ((progress: PackingProgress) => void) | undefined,
): Promise<{ runner: ModelRunner; report: RunnerReport }> {
  const { kernels, graph } = plan;
  const cacheType = cacheTypeOf(options);
  const warnings: string[] = [];
  const packed = await openPackedWeights(kernels, folder.path, graph.weights, {
    cacheFolder: options.packedWeightsFolder,
    onWarning: (warning) => warnings.push(warning),
    onProgress: onProgress && ((done, total) => onProgress({ done, total })),
  });
  const kvType = kvTypes[cacheType];
  const runner = await openNativeRunner(runtime, kernels, folder, graph, packed, { ...options, kvType });
  if (packed.reason !== undefined) warnings.push(packed.reason);
  const weights = { packedWeights: packed.source, packedWeightsBytes: packed.bytes };
  return { runner, report: { ...nativeReport(plan, cacheType), ...weights, cacheTokens: capacity(runner), warnings } };
}

async function openStock(
  runtime: Runtime,
  folder: ModelFolder,
  reason: string,
  options: RunnerOptions,
): Promise<{ runner: ModelRunner; report: RunnerReport }> {
  const runner = await openStockRunner(runtime, folder, options);
  const report = stockReport(folder, reason, runner.cacheType);
  return { runner, report: { ...report, cacheTokens: capacity(runner) } };
}

/** Positions that all sequences together may hold. */
function capacity({ room }: ModelRunner): number {
  return room.blocks * room.blockTokens;
}

function cacheTypeOf({ cacheType = "float16" }: RunnerOptions): CacheType {
  return cacheType;
}

function nativeReport(
  { graph, kernels, reason }: Plan & { readonly kind: "native" },
  cacheType: CacheType,
): RunnerReport {
  const { layers, kvHeads, headSize } = graph;
  const blockBytes = layers * kernels.kvLayerBytes(kvHeads, headSize, kvTypes[cacheType]);
  return {
    kind: "native",
    reason,
    kernels: kernels.variant,
    cacheType,
    cacheBytesPerToken: blockBytes / blockTokens,
    cacheTokens: 0,
    packedWeightsBytes: 0,
    warnings: [],
  };
}

function stockReport({ config }: ModelFolder, reason: string, cacheType: "float32" | "float16"): RunnerReport {
  const cacheBytesPerToken = stockCacheBytes(config.decoder, cacheType);
  const none = { cacheTokens: 0, packedWeightsBytes: 0, warnings: [] };
  return { kind: "stock", reason, kernels: "", cacheType, cacheBytesPerToken, ...none };
}

/** Placements of one operator, place and reason together, in the order of the first of each. */
function grouped(placements: readonly NodePlacement[]): NodeGroup[] {
  const groups = new Map<string, NodeGroup & { readonly names: string[] }>();
  for (const { name, operator, runsOn, reason } of placements) {
    const key = JSON.stringify([operator, runsOn, reason]);
    const group = groups.get(key) ?? { operator, runsOn, reason, names: [] };
    group.names.push(name);
    groups.set(key, group);
  }
  return [...groups.values()];
}
