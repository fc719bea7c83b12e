// A model folder in use: engine, tokenizer and chat template together. Opening collects what is wrong with any of them
// before it gives up.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Engine, type EngineOptions } from "../decoder/engine.ts";
import { violations as brokenInvariants, type EngineSnapshot } from "../decoder/invariants.ts";
import { type ProbeResult, probeRunner } from "../decoder/probe.ts";
import { ModelFolderError } from "../onnx/errors.ts";
import type { SearchConfig } from "../onnx/genai-config.ts";
import { type ModelFolder, openDecoderGraph, readModelFolder } from "../onnx/model-folder.ts";
import { inspectRunner, openRunner } from "../onnx/open-runner.ts";
import { itemBytes, type Runtime } from "../onnx/runtime.ts";
import { ChatTemplate } from "../tokenizer/chat-template.ts";
import { TemplateMissingError, TokenizerFileError } from "../tokenizer/errors.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type ToolFormat, toolFormatOf } from "../tokenizer/tool-format.ts";
import { InferenceError, toInferenceError, type Violation } from "./errors.ts";
import { Formats } from "./formats.ts";
import type {
  FolderReport,
  GenerationDefaults,
  LoadOptions,
  ModelInfo,
  PackingProgress,
  RunnerInspection,
} from "./types.ts";

export interface LoadedModel {
  readonly info: ModelInfo;
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  /** Null when the folder has none: it can be loaded, but not chatted with. */
  readonly template: ChatTemplate | null;
  /** In which form it calls tools; null when its template takes none. */
  readonly tools: ToolFormat | null;
  readonly formats: Formats;
}

interface FolderParts {
  readonly folder: ModelFolder;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate | null;
  readonly warnings: string[];
}

/** Loads a folder. The caller closes the engine. @throws InferenceError (MODEL_INVALID with every violation, INVALID_OPTION, MODEL_FAILED) */
export async function openModel(
  runtime: Runtime,
  key: string,
  path: string,
  options: LoadOptions,
  onProgress?: (progress: PackingProgress) => void,
): Promise<LoadedModel> {
  const started = performance.now();
  checkOptions(options);
  const { folder, tokenizer, template, warnings } = await readParts(path);
  const { runner, report } = await openRunner(runtime, folder, options, onProgress);
  try {
    const probe = await probeRunner(runner);
    const tools = template && toolFormatOf(template, tokenizer);
    const { spec, maxSequences, room } = runner;
    const cacheTokens = room.blocks * room.blockTokens;
    const weights = Math.max(report.packedWeightsBytes, await folderBytes(path));
    const info: ModelInfo = {
      key,
      folder: path,
      contextLength: spec.contextLength,
      vocabSize: spec.vocabSize,
      eosIds: [...spec.eosIds],
      modelType: folder.config.type,
      maxSequences,
      loadMs: performance.now() - started,
      warnings: [...warnings, ...report.warnings],
      defaults: defaultsOf(folder.config.search, spec.contextLength),
      runner: report,
      reproducible: probe.rowInvariant,
      notReproducibleBecause: probe.rowInvariant ? "" : probe.detail,
      cacheTokens,
      memoryBytes: weights + cacheTokens * report.cacheBytesPerToken,
      toolFormat: tools?.name ?? "",
    };
    const formats = new Formats({ tokenizer, tools, vocabSize: spec.vocabSize, eosIds: spec.eosIds });
    const engine = new Engine(runner, engineOptions(options, probe));
    return { info, engine, tokenizer, template, tools, formats };
  } catch (error) {
    await runner.dispose();
    throw error;
  }
}

function engineOptions({ queueLimit, speculate, prefixCache }: LoadOptions, probe: ProbeResult): EngineOptions {
  return {
    ...(queueLimit !== undefined && { queueLimit }),
    ...(speculate !== undefined && { speculate }),
    ...(prefixCache !== undefined && { prefixCache }),
    rowInvariant: probe.rowInvariant,
    costs: probe,
    ...(process.env.MODELWIRE_CHECK_INVARIANTS === "1" && { onStep: refuseViolations }),
  };
}

/** For soaks: what must hold between steps is looked at before each, and the engine ends when it does not. */
function refuseViolations(snapshot: EngineSnapshot): void {
  const found = brokenInvariants(snapshot);
  if (found.length > 0) throw new Error(`The engine's invariants do not hold: ${found.join("; ")}.`);
}

/** Of the files that lie in it, weights above all. */
async function folderBytes(path: string): Promise<number> {
  const entries = await readdir(path, { withFileTypes: true });
  const sizes = entries.map(async (entry) => (entry.isDirectory() ? 0 : (await stat(join(path, entry.name))).size));
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** What would run which node of a folder's graph, and why. @throws InferenceError MODEL_INVALID */
export async function inspectModelRunner(path: string, options: LoadOptions): Promise<RunnerInspection> {
  const { value, violations } = await settle(readModelFolder(path).then((folder) => inspectRunner(folder, options)));
  if (!value) throw invalidFolder(violations);
  return value;
}

/** Checks a folder as `openModel` does, and keeps nothing of it. @throws InferenceError (MODEL_INVALID with every violation) */
export async function inspectFolder(runtime: Runtime, path: string): Promise<FolderReport> {
  const { folder, template, warnings } = await readParts(path);
  const { session, graph } = await openDecoderGraph(runtime, folder, { threads: 1 });
  await session.dispose();
  const { config, contextLength } = folder;
  const { layers, kvHeads, headSize } = config.decoder;
  return {
    modelType: config.type,
    contextLength,
    vocabSize: config.vocabSize,
    layers,
    kvHeads,
    headSize,
    eosIds: [...config.eosIds],
    hasChatTemplate: template !== null,
    cacheType: graph.cacheType,
    cacheBytesPerToken: 2 * layers * kvHeads * headSize * itemBytes[graph.cacheType],
    inputs: session.inputs.map((value) => value.name),
    outputs: session.outputs.map((value) => value.name),
    defaults: defaultsOf(config.search, contextLength),
    warnings,
  };
}

/** Everything of a folder but the graph. */
async function readParts(path: string): Promise<FolderParts> {
  const folder = await settle(readModelFolder(path));
  const tokenizerPath = folder.value?.config.tokenizerFolder ? `${path}/${folder.value.config.tokenizerFolder}` : path;
  const tokenizer = await settle(Tokenizer.open(tokenizerPath));
  const template = await settle<ChatTemplate | null>(
    ChatTemplate.open(tokenizerPath).catch((error: unknown) => {
      if (error instanceof TemplateMissingError) return null;
      throw error;
    }),
  );
  const violations = [folder, tokenizer, template].flatMap((part) => part.violations);
  if (!folder.value || !tokenizer.value || template.value === undefined) {
    throw invalidFolder(violations);
  }
  const warnings = [...folder.value.warnings];
  if (template.value === null) warnings.push("The folder has no chat template: the model cannot be chatted with.");
  const { vocabSize } = folder.value.config;
  if (tokenizer.value.size > vocabSize) {
    warnings.push(
      `The tokenizer has ${tokenizer.value.size} tokens, the model ${vocabSize}: the ones beyond cannot be used.`,
    );
  }
  return { folder: folder.value, tokenizer: tokenizer.value, template: template.value, warnings };
}

function invalidFolder(violations: readonly Violation[]): InferenceError {
  const list = violations.map(({ field, description }) => `${field}: ${description}`).join(" ");
  return new InferenceError("MODEL_INVALID", `The model folder cannot be served. ${list}`, { violations });
}

/** A part of a folder, or what is wrong with it. Other errors pass. */
async function settle<T>(part: Promise<T>): Promise<{ value?: T; violations: readonly Violation[] }> {
  try {
    return { value: await part, violations: [] };
  } catch (error) {
    if (error instanceof ModelFolderError || error instanceof TokenizerFileError)
      return { violations: error.violations };
    const known = toInferenceError(error);
    if (known.reason !== "MODEL_INVALID") throw error;
    return { violations: known.violations };
  }
}

/** A folder that does not sample answers greedily, and a request that asks for a temperature gets genai's default of 50 for top k. */
function defaultsOf(search: SearchConfig, contextLength: number): GenerationDefaults {
  const topP = search.topP === 0 ? 1 : search.topP; // 0 is "off" in genai
  const rest = { repetitionPenalty: search.repetitionPenalty, ...maxLength(search, contextLength) };
  if (search.doSample) return { temperature: search.temperature, topK: search.topK, topP, ...rest };
  return { temperature: 0, topK: search.topK === 1 ? 50 : search.topK, topP, ...rest };
}

/** A folder may state a length below the context. */
function maxLength(search: SearchConfig, contextLength: number): { maxLength?: number } {
  return search.maxLength < contextLength ? { maxLength: search.maxLength } : {};
}

function checkOptions(options: LoadOptions): void {
  const limits = {
    threads: 1024,
    maxSequences: 1024,
    maxLength: 2 ** 31 - 1,
    cacheTokens: 2 ** 40,
    queueLimit: 2 ** 20,
  };
  const violations = (Object.keys(limits) as (keyof typeof limits)[]).flatMap((field) => {
    const value = options[field];
    const limit = limits[field];
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= limit)) return [];
    return [{ field, description: `must be an integer from 1 to ${limit}; found ${value}.` }];
  });
  if (violations.length === 0) return;
  const list = violations.map(({ field, description }) => `${field} ${description}`).join(" ");
  throw new InferenceError("INVALID_OPTION", `The model cannot be loaded so: ${list}`, { violations });
}
