// A ModelRunner on a rewritten graph: one run for the whole ragged batch, keys and values in blocks of ours, logits of the
// asked rows alone. It knows tensors and blocks, and nothing of scheduling, text or how the graph was rewritten.
//
// Rules that it keeps:
//   - attention writes through a pointer that ONNX Runtime does not know of: the session runs operators one after the
//     other, one run is in flight, and a run has each sequence once
//   - only positions from an entry's `position` on are written, in blocks that no other sequence has: a run that fails or
//     is ended leaves those below as they were
//   - a run begins when there are blocks for all of its entries, or not at all

import { availableMemory, cacheBudget } from "./cache-budget.ts";
import { ModelFolderError, RunTerminatedError, type Violation } from "./errors.ts";
import { FlatBatch } from "./flat-batch.ts";
import type { Kernels, KvType } from "./kernels.ts";
import { type BlockTable, blockTokens } from "./kv-blocks.ts";
import { LogitsBuffer } from "./logits-buffer.ts";
import type { ModelFolder, OpenOptions } from "./model-folder.ts";
import type { BatchEntry, CacheHandle, CacheRoom, ModelRunner, ModelSpec } from "./model-runner.ts";
import { type Growth, PagedCache } from "./paged-cache.ts";
import type { NativeGraph } from "./rewrite.ts";
import type { Binding, NativeBuffer, RunControl, Runtime, Session } from "./runtime.ts";

const defaultType: KvType = "f16";

export interface NativeRunnerOptions extends OpenOptions {
  /** How keys and values are stored; default "f16". */
  readonly kvType?: KvType;
}

/** Packed weights of a graph: where each lies, and its MW_SCALE_…, by the name of its plan. */
export interface PackedTensors {
  readonly scaleTypes: ReadonlyMap<string, number>;
  /** "memory": of this process alone; else pages of a file. */
  readonly source?: string;
  readonly bytes?: number;
  locate(name: string): { readonly buffer: NativeBuffer; readonly byteOffset: number; readonly byteLength: number };
  dispose(): void;
}

/** Places for sequences. One without positions is an empty list, and costs no more. */
const maxPlaces = 1024;

interface Place extends CacheHandle {
  readonly table: BlockTable;
}

/**
 * Loads a rewritten graph into a runner. The caller disposes it. Takes over `packed`, also when it throws.
 * @throws OrtError when ONNX Runtime refuses the graph or memory is lacking; ModelFolderError when it does not fit the folder
 */
export async function openNativeRunner(
  runtime: Runtime,
  kernels: Kernels,
  folder: ModelFolder,
  graph: NativeGraph,
  packed: PackedTensors,
  options: NativeRunnerOptions = {},
): Promise<NativeRunner> {
  const owned: { dispose(): void }[] = [packed];
  try {
    const initializers = graph.weights.map(({ name }) => {
      const { buffer, byteOffset, byteLength } = packed.locate(name);
      const tensor = runtime.tensor(buffer, byteOffset, "uint8", [byteLength]);
      owned.push(tensor);
      return { name, tensor };
    });
    const { session: stated } = folder.config.decoder;
    const session = await runtime.openSessionFromBytes(graph.encode(packed.scaleTypes), {
      ...stated,
      intraOpThreads: options.threads ?? stated.intraOpThreads,
      entries: {
        // With it a step costs half as much again of the processor, which whatever else runs here has to do without.
        "session.intra_op.allow_spinning": "0",
        ...stated.entries,
        "session.model_external_initializers_file_folder_path": folder.path,
      },
      operators: kernels,
      initializers,
    });
    try {
      checkSession(session, folder, graph);
      const spec = specOf(folder, graph, options);
      const cacheTokens = options.cacheTokens ?? defaultCache(kernels, spec, packed, options);
      return new NativeRunner(runtime, kernels, session, graph, spec, { ...options, cacheTokens }, owned);
    } catch (error) {
      await session.dispose();
      throw error;
    }
  } catch (error) {
    for (const thing of owned.reverse()) thing.dispose();
    throw error;
  }
}

export class NativeRunner implements ModelRunner {
  readonly spec: ModelSpec;
  readonly maxSequences: number;
  readonly maxTokens: number;
  readonly #session: Session;
  readonly #binding: Binding;
  readonly #control: RunControl;
  readonly #cache: PagedCache;
  readonly #batch: FlatBatch;
  readonly #logits: LogitsBuffer;
  readonly #owned: { dispose(): void }[];
  readonly #places = new Set<Place>();
  #nextId = 0;
  #inFlight: Promise<unknown> | undefined;
  #disposal: Promise<void> | undefined;

  /** For `openNativeRunner` alone. `owned` is disposed after the session. */
  constructor(
    runtime: Runtime,
    kernels: Kernels,
    session: Session,
    graph: NativeGraph,
    spec: ModelSpec,
    options: NativeRunnerOptions & { readonly cacheTokens: number },
    owned: readonly { dispose(): void }[],
  ) {
    const { maxSequences = 8, maxTokens = 512, kvType: type = defaultType, cacheTokens } = options;
    const { layers, kvHeads, headSize, inputs } = graph;
    this.spec = spec;
    this.maxSequences = maxSequences;
    this.maxTokens = Math.min(maxTokens, spec.contextLength);
    this.#session = session;
    const blocks = Math.max(1, Math.floor(cacheTokens / blockTokens));
    const made: { dispose(): void }[] = [];
    const own = <T extends { dispose(): void }>(thing: T): T => {
      made.push(thing);
      return thing;
    };
    try {
      this.#cache = own(new PagedCache(kernels, { blocks, layers, kvHeads, headSize, type }));
      this.#batch = own(new FlatBatch(runtime, inputs, this.#cache.pool));
      this.#logits = own(new LogitsBuffer(runtime, "float32", spec.vocabSize, maxSequences));
      this.#control = own(runtime.runControl());
      const positions = inputs.positions ? [inputs.positions.name] : [];
      this.#binding = own(runtime.bind([inputs.ids.name, ...positions, inputs.rows, inputs.meta], [graph.logits.name]));
    } catch (error) {
      for (const thing of made.reverse()) thing.dispose();
      throw error;
    }
    this.#owned = [...owned, ...made];
  }

  get room(): CacheRoom {
    return this.#cache.room;
  }

  blocksFor(sequence: CacheHandle, position: number, count: number): number {
    return this.#cache.needed({ table: this.#place(sequence).table, position, count });
  }

  allocate(): CacheHandle | null {
    this.#refuseDuringRun("allocate");
    if (this.#places.size >= Math.max(maxPlaces, this.maxSequences)) return null;
    const place: Place = { id: this.#nextId++, table: this.#cache.open() };
    this.#places.add(place);
    return place;
  }

  async forward(batch: readonly BatchEntry[]): Promise<readonly (Float32Array | null)[]> {
    this.#refuseDuringRun("forward");
    const growths = batch.map((entry) => this.#check(entry));
    const tables = growths.map(({ table }) => table);
    if (new Set(tables).size < tables.length) throw new RangeError("A batch holds one entry per sequence.");
    if (batch.length > this.maxSequences)
      throw new RangeError(`A batch of ${batch.length} entries; ${this.maxSequences} are possible.`);
    if (batch.length === 0) return [];
    this.#cache.begin(growths);
    let done = false;
    const work = this.#run(batch, tables);
    this.#inFlight = work.catch(() => {});
    try {
      await work;
      if (this.#control.terminated) throw new RunTerminatedError(); // it was told too late, and did not notice
      done = true;
    } finally {
      this.#inFlight = undefined;
      this.#control.reset();
      this.#cache.end(growths, done);
    }
    let row = 0;
    return batch.map(({ tokens, wantsLogits }) => {
      if (wantsLogits === "none") return null;
      const count = wantsLogits === "all" ? tokens.length : 1;
      row += count;
      return this.#logits.read(row - count, count);
    });
  }

  copyPrefix(from: CacheHandle, to: CacheHandle, length: number): void {
    this.#refuseDuringRun("copyPrefix");
    this.#cache.share(this.#place(from).table, this.#place(to).table, length);
  }

  release(sequence: CacheHandle): void {
    const place = sequence as Place;
    if (!this.#places.has(place)) return;
    this.#refuseDuringRun("release");
    this.#places.delete(place);
    this.#cache.close(place.table);
  }

  terminate(): void {
    if (this.#inFlight) this.#control.terminate();
  }

  dispose(): Promise<void> {
    this.#disposal ??= (async () => {
      await this.#inFlight;
      await this.#session.dispose();
      for (const thing of this.#owned.reverse()) thing.dispose();
    })();
    return this.#disposal;
  }

  async #run(batch: readonly BatchEntry[], tables: readonly BlockTable[]): Promise<void> {
    const { tensors, rows } = this.#batch.fill(batch, tables);
    try {
      this.#logits.reserve(rows);
      tensors.push(this.#logits.tensor(0, 1, rows));
      for (const [i, tensor] of tensors.slice(0, -1).entries()) this.#binding.setInput(i, tensor);
      this.#binding.setOutput(0, tensors.at(-1)!);
      await this.#session.run(this.#binding, this.#control);
    } finally {
      this.#binding.clear();
      for (const tensor of tensors) tensor.dispose();
    }
  }

  #check({ sequence, tokens, position }: BatchEntry): Growth {
    const { table } = this.#place(sequence);
    if (tokens.length < 1 || tokens.length > this.maxTokens)
      throw new RangeError(`An entry has ${tokens.length} tokens; 1 to ${this.maxTokens} are possible.`);
    if (position < 0 || position > table.length)
      throw new RangeError(`Position ${position} of a sequence of ${table.length}.`);
    if (position + tokens.length > this.spec.contextLength)
      throw new RangeError(`${position} + ${tokens.length} tokens exceed ${this.spec.contextLength}.`);
    return { table, position, count: tokens.length };
  }

  #place(sequence: CacheHandle): Place {
    const place = sequence as Place;
    if (!this.#places.has(place)) throw new RangeError("The sequence has been released.");
    return place;
  }

  #refuseDuringRun(what: string): void {
    if (this.#disposal) throw new Error(`${what}: the runner has been disposed.`);
    if (this.#inFlight) throw new Error(`${what}: a forward is in flight.`);
  }
}

function specOf({ config, contextLength }: ModelFolder, graph: NativeGraph, { maxLength }: OpenOptions): ModelSpec {
  return {
    vocabSize: config.vocabSize,
    contextLength: Math.min(maxLength ?? contextLength, contextLength, graph.maxPositions),
    layers: graph.layers,
    kvHeads: graph.kvHeads,
    headSize: graph.headSize,
    eosIds: config.eosIds,
    bosId: config.bosId,
    padId: config.padId,
    allLogits: true,
  };
}

/** What is known to be free, without the weights: pages of a file are not counted as taken, and must stay in memory. */
function defaultCache(
  kernels: Kernels,
  { contextLength, layers, kvHeads, headSize }: ModelSpec,
  { source = "memory", bytes = 0 }: PackedTensors,
  { maxSequences: sequences = 8, kvType = defaultType }: NativeRunnerOptions,
): number {
  const bytesPerToken = (layers * kernels.kvLayerBytes(kvHeads, headSize, kvType)) / blockTokens;
  const available = availableMemory() - (source === "memory" ? 0 : bytes);
  return cacheBudget({ sequences, contextLength, bytesPerToken }, available);
}

/** Logits are written into memory that is as large as the folder says. @throws ModelFolderError with every violation */
function checkSession(session: Session, { config }: ModelFolder, { inputs, logits }: NativeGraph): void {
  const violations: Violation[] = [];
  const must = (holds: boolean, field: string, description: string) => {
    if (!holds) violations.push({ field, description });
  };
  const names = [inputs.ids.name, inputs.positions?.name, inputs.rows, inputs.meta].filter(
    (name) => name !== undefined,
  );
  for (const { name } of session.inputs)
    must(names.includes(name), "model.decoder.inputs", `the graph needs an input ${name} that nothing provides.`);
  const given = session.outputs.find(({ name }) => name === logits.name);
  must(
    given?.type === "float32",
    "model.decoder.outputs.logits",
    `is ${given?.type ?? "missing"}; it must be float32.`,
  );
  const size = given?.dims[2];
  const fits = typeof size !== "number" || size === config.vocabSize;
  must(fits, "model.vocab_size", `is ${config.vocabSize}, but the graph gives ${size} logits.`);
  if (violations.length > 0)
    throw new ModelFolderError("The rewritten graph does not fit genai_config.json.", violations);
}
