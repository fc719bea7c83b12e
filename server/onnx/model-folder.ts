// Opens a model folder in onnxruntime-genai's layout: configuration, graph, and a runner over both. The one place
// that decides how long a sequence of a folder may be. It reads no tokenizer and no template.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { availableMemory, cacheBudget } from "./cache-budget.ts";
import { type DecoderGraph, matchDecoderGraph } from "./decoder-graph.ts";
import { itemBytes } from "./element-types.ts";
import { ModelFolderError, OrtError, refusalOf } from "./errors.ts";
import { type GenaiConfig, parseGenaiConfig } from "./genai-config.ts";
import { checkGraphLimits } from "./graph-limits.ts";
import { isRecord } from "./json-fields.ts";
import type { ModelSpec } from "./model-runner.ts";
import type { Runtime, Session, SessionOptions } from "./runtime.ts";
import { StockRunner } from "./stock-runner.ts";

export interface OpenOptions {
  /** Threads of one operator; default: the folder's `intra_op_num_threads`, else one per physical core. */
  readonly threads?: number;
  /** Sequences of a batch; default 8. */
  readonly maxSequences?: number;
  /**
   * Positions that all sequences together may hold; less than a block of 32 more is not used. Default: `maxSequences` of
   * full length, but no more than half of the available memory holds, or one of full length if all of it does.
   */
  readonly cacheTokens?: number;
  /** Positions of a sequence; default and at most the context length of the folder. */
  readonly maxLength?: number;
  /** Most tokens of one entry of a batch; default 512 of the native runner, 128 of the stock one. */
  readonly maxTokens?: number;
}

/** A folder whose configuration has been read. */
export interface ModelFolder {
  readonly path: string;
  readonly config: GenaiConfig;
  /** Positions a sequence may have: the context length, or less where the graph cannot be continued beyond. */
  readonly contextLength: number;
  readonly warnings: readonly string[];
}

const maxGraphBytes = 2 ** 31;

/** Reads and checks the configuration. @throws ModelFolderError with every violation */
export async function readModelFolder(path: string): Promise<ModelFolder> {
  const text = await readText(join(path, "genai_config.json"));
  if (text === undefined) {
    throw new ModelFolderError("The folder is no model folder.", [
      { field: "genai_config.json", description: "is missing; the folder must be in the layout of onnxruntime-genai." },
    ]);
  }
  const { config, warnings } = parseGenaiConfig(text);
  const limit = await rotaryLimit(path);
  if (limit === undefined || limit >= config.contextLength)
    return { path, config, contextLength: config.contextLength, warnings };
  const warning =
    `The context is limited to ${limit} of ${config.contextLength} positions: beyond them this graph rotates keys by ` +
    "another table, and a cache that has been filled before would be wrong.";
  return { path, config, contextLength: limit, warnings: [...warnings, warning] };
}

/** Loads the graph of a folder and matches it with the configuration. The caller disposes the session. @throws ModelFolderError */
export async function openDecoderGraph(
  runtime: Runtime,
  folder: ModelFolder,
  options: Pick<OpenOptions, "threads"> = {},
): Promise<{ session: Session; graph: DecoderGraph }> {
  const { decoder } = folder.config;
  const path = await checkedGraph(folder);
  const session = await runtime
    .openSession(path, sessionOptions(folder.config, options.threads))
    .catch((error: unknown) => {
      if (!(error instanceof OrtError)) throw error;
      throw new ModelFolderError("The graph cannot be loaded.", [
        { field: decoder.fileName, description: refusalOf(error, path) },
      ]);
    });
  try {
    return { session, graph: matchDecoderGraph(folder.config, session) };
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

/** The graph's file, within the limits of graphs. @throws ModelFolderError */
export async function graphBytes(folder: ModelFolder): Promise<Uint8Array> {
  return await readFile(await checkedGraph(folder));
}

/** Loads a folder into a runner. The caller disposes it. @throws ModelFolderError, OrtError when memory is lacking */
export async function openStockRunner(
  runtime: Runtime,
  folder: ModelFolder,
  options: OpenOptions = {},
): Promise<StockRunner> {
  const { session, graph } = await openDecoderGraph(runtime, folder, options);
  try {
    const { maxSequences = 8, maxTokens = 128 } = options;
    const spec = modelSpec(folder, graph, options.maxLength);
    const bytesPerToken = stockCacheBytes(spec, graph.cacheType);
    const needs = { sequences: maxSequences, contextLength: spec.contextLength, bytesPerToken };
    const cacheTokens = options.cacheTokens ?? cacheBudget(needs, availableMemory());
    return new StockRunner(runtime, session, graph, spec, { maxSequences, maxTokens, cacheTokens });
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

/** Bytes of the keys and values of one token. */
export function stockCacheBytes(
  { layers, kvHeads, headSize }: Pick<ModelSpec, "layers" | "kvHeads" | "headSize">,
  type: "float32" | "float16",
): number {
  return 2 * layers * kvHeads * headSize * itemBytes[type];
}

/** Where the graph lies. @throws ModelFolderError when there is none, or one beyond the limits */
async function checkedGraph({ path: folder, config }: ModelFolder): Promise<string> {
  const { fileName } = config.decoder;
  const path = join(folder, fileName);
  const file = await stat(path).catch(() => undefined);
  if (!file?.isFile()) {
    throw new ModelFolderError("The graph cannot be loaded.", [
      { field: "model.decoder.filename", description: `${fileName} is not a file of the folder.` },
    ]);
  }
  if (file.size >= maxGraphBytes) {
    throw new ModelFolderError("The graph cannot be loaded.", [
      {
        field: fileName,
        description: "has 2 GiB or more, which protobuf cannot hold; save its weights as external data.",
      },
    ]);
  }
  checkGraphLimits(path, fileName);
  return path;
}

function modelSpec({ config, contextLength }: ModelFolder, graph: DecoderGraph, maxLength = contextLength): ModelSpec {
  return {
    vocabSize: config.vocabSize,
    contextLength: Math.min(maxLength, contextLength),
    layers: config.decoder.layers,
    kvHeads: config.decoder.kvHeads,
    headSize: config.decoder.headSize,
    eosIds: config.eosIds,
    bosId: config.bosId,
    padId: config.padId,
    allLogits: !graph.logits.lastOnly,
  };
}

function sessionOptions(config: GenaiConfig, threads: number | undefined): SessionOptions {
  const { session } = config.decoder;
  return {
    ...session,
    intraOpThreads: threads ?? session.intraOpThreads,
    // Idle threads that spin take the cores from everything else in the process; nothing was gained by them.
    entries: { "session.intra_op.allow_spinning": "0", ...session.entries },
  };
}

/**
 * Positions up to which the graph uses one rotary table. The builder writes an If node for LongRoPE models that
 * switches tables on the mask's width (onnxruntime-genai #1161); Hugging Face's own config.json beside it says where.
 */
async function rotaryLimit(path: string): Promise<number | undefined> {
  const text = await readText(join(path, "config.json"));
  if (text === undefined) return undefined;
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    return undefined; // not needed for anything else
  }
  if (!isRecord(config)) return undefined;
  const scaling = isRecord(config.rope_scaling)
    ? config.rope_scaling
    : isRecord(config.rope_parameters)
      ? config.rope_parameters
      : {};
  const type = scaling.rope_type ?? scaling.type;
  const original = config.original_max_position_embeddings ?? scaling.original_max_position_embeddings;
  return (type === "longrope" || type === "su") && typeof original === "number" ? original : undefined;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
