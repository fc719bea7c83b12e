// How much memory a model takes, told before it is loaded: what its files weigh, and what a token costs in its cache. It
// must never know what else is in memory.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { InferenceHost, LoadOptions, ModelInfo } from "../inference/host.ts";

export interface ModelNeed {
  /** Bytes of the model's files. Weights are mapped or packed from them, so that they take about as much in memory. */
  readonly weightsBytes: number;
  /** Bytes of one token in its cache; 0 of a plain graph, which has none. */
  readonly bytesPerToken: number;
  /** Tokens of a sequence at its longest. */
  readonly contextLength: number;
  /** Tokens of all sequences at their longest. */
  readonly mostTokens: number;
}

/** What an LLM's folder needs under these options. Of a folder that is no model, which loading will say, the weights alone. */
export async function llmNeed(host: InferenceHost, folder: string, options: LoadOptions): Promise<ModelNeed> {
  const [inspection, weightsBytes, contextLength] = await Promise.all([
    host.inspectRunner(folder, options).catch(() => undefined),
    bytesOf(folder),
    contextLengthOf(folder).catch(() => 1),
  ]);
  const mostTokens = contextLength * (options.maxSequences ?? 8);
  return { weightsBytes, bytesPerToken: inspection?.runner.cacheBytesPerToken ?? 0, contextLength, mostTokens };
}

/** What a plain graph needs. @param folder where it and its external data lie */
export async function graphNeed(folder: string): Promise<ModelNeed> {
  return { weightsBytes: await bytesOf(folder), bytesPerToken: 0, contextLength: 0, mostTokens: 0 };
}

/** Bytes that a loaded LLM counts for: its weights, and its cache at its fullest. */
export function llmBytes(weightsBytes: number, { runner, cacheTokens }: ModelInfo): number {
  return Math.max(weightsBytes, runner.packedWeightsBytes) + cacheTokens * runner.cacheBytesPerToken;
}

async function bytesOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What the folder's configuration states. @throws for one that cannot be read */
async function contextLengthOf(folder: string): Promise<number> {
  const text = await readFile(join(folder, "genai_config.json"), "utf8");
  const stated = (JSON.parse(text) as { model?: { context_length?: unknown } }).model?.context_length;
  return Number.isInteger(stated) && Number(stated) > 0 ? Number(stated) : 1;
}
