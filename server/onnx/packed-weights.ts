// The packed weights of a model: mapped from a cache, packed into it when they are not there, and packed into private
// memory where it cannot be used. It knows weights as bytes, and neither graphs nor sessions.

import { contentKey } from "./content-key.ts";
import type { NativeBuffer } from "./memory.ts";
import { layOut, type PackedLayout, readLayout } from "./packed-weights-file.ts";
import { CacheError, PackedFolder } from "./packed-weights-folder.ts";
import {
  bytesToPack,
  findScaleTypes,
  type PackingKernels,
  type PackOptions,
  type PackTarget,
  packWeights,
} from "./packed-weights-pack.ts";
import { WeightSources } from "./packed-weights-source.ts";
import type { WeightPlan } from "./rewrite-result.ts";

export type { PackingKernels } from "./packed-weights-pack.ts";

export interface PackedWeights {
  /** MW_SCALE_… of each plan by its name. */
  readonly scaleTypes: ReadonlyMap<string, number>;
  /** "cache": mapped at once; "packed": packed now, and mapped; "memory": private memory of this process. */
  readonly source: "cache" | "packed" | "memory";
  /** Why they are in private memory although there is a cache. */
  readonly reason?: string;
  /** Of memory that holds them, mapped or private. */
  readonly bytes: number;
  /** Where a plan's packed bytes lie; not to be written. @throws RangeError when there is no such plan */
  locate(name: string): {
    readonly buffer: NativeBuffer;
    readonly byteOffset: number;
    readonly byteLength: number;
  };
  /** Idempotent. @throws Error while a tensor lies over them */
  dispose(): void;
}

export interface PackedWeightsOptions {
  /** Made when it is not there. Whoever may write to it is trusted with what models compute. Absent: no cache. */
  readonly cacheFolder?: string;
  /** Of the cache; the least recently used go first. Default: unlimited. */
  readonly maxBytes?: number;
  /** Bytes hashed and packed so far, and of all of it; not called when the cache has what is needed. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** What an operator should know: a file of the cache that was of no use, and why. */
  readonly onWarning?: (message: string) => void;
  readonly signal?: AbortSignal;
  /** Calls of the library at a time; default: the cores, at most libuv's threads. */
  readonly parallel?: number;
  /** Milliseconds since 1970, for tests. */
  readonly now?: () => number;
}

/**
 * The packed weights of a model's folder. A cache that does not work never fails a model.
 * @throws ModelFolderError when weights are not where the plans say, with every violation; the signal's reason
 */
export async function openPackedWeights(
  kernels: PackingKernels,
  folder: string,
  plans: readonly WeightPlan[],
  options: PackedWeightsOptions = {},
): Promise<PackedWeights> {
  options.signal?.throwIfAborted();
  const sources = await WeightSources.open(folder, plans);
  const progress = new Progress(options.onProgress);
  const work: Work = { kernels, plans, sources, progress, options };
  if (options.cacheFolder === undefined || plans.length === 0) return await packIntoMemory(work);
  try {
    return await openCached(work, options.cacheFolder);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    return await packIntoMemory(work, error.message);
  }
}

interface Work {
  readonly kernels: PackingKernels;
  readonly plans: readonly WeightPlan[];
  readonly sources: WeightSources;
  readonly progress: Progress;
  readonly options: PackedWeightsOptions;
}

/** @throws CacheError when the folder cannot be used */
async function openCached(work: Work, path: string): Promise<PackedWeights> {
  const { kernels, plans, sources, progress, options } = work;
  const folder = await PackedFolder.open(path);
  const key = await contentKey(plans, sources, {
    ...options,
    folder: path,
    onStart: (bytes) => progress.expect(bytes + bytesToPack(plans)),
    onBytes: (bytes) => progress.hashed(bytes),
  });
  const file = folder.fileOf(key, kernels.layoutVersion);
  const found = await readLayout(kernels, plans, key, file).catch((error: unknown) => {
    throw new CacheError("The packed weights in the cache cannot be read", error);
  });
  if (found && "problem" in found) {
    options.onWarning?.(`A file of packed weights is made anew, for ${found.problem}.`);
    await folder.discard(file);
  } else if (found) {
    const buffer = kernels.mapFile(file, found.bytes);
    // Else it went away since, or its file system maps nothing, which will be said below.
    if (buffer) {
      await folder.touch(file);
      await folder.sweep(kernels.layoutVersion, options);
      progress.end();
      return new Packed(buffer, found, "cache");
    }
  }
  const layout = layOut(kernels, plans, key, await findScaleTypes(kernels, plans, sources, options));
  await folder.sweep(kernels.layoutVersion, { ...options, comingBytes: layout.bytes });
  await folder.write(file, layout.bytes, async (output) => {
    await output.write(layout.header, 0);
    await pack(work, layout, {
      memoryFor: (tensor, scratch) => new Uint8Array(scratch.take("packed", tensor.bytes), 0, tensor.bytes),
      store: (tensor, packed) => output.write(packed, tensor.offset),
    });
    // What was packed must be what was hashed.
    await sources.assertUnchanged();
  });
  const buffer = kernels.mapFile(file, layout.bytes);
  if (!buffer) throw new CacheError("The packed weights cannot be mapped", new Error("the file system refuses it"));
  return new Packed(buffer, layout, "packed");
}

async function packIntoMemory(work: Work, reason?: string): Promise<PackedWeights> {
  const { kernels, plans, sources, options } = work;
  const layout = layOut(kernels, plans, "", await findScaleTypes(kernels, plans, sources, options));
  const buffer = kernels.reserve(layout.bytes);
  if (!buffer) throw new Error(`There are no ${layout.bytes} bytes of memory for the packed weights.`);
  try {
    await pack(work, layout, {
      memoryFor: (tensor) => buffer.bytes(tensor.offset, tensor.bytes),
      store: async () => {},
    });
    await sources.assertUnchanged();
    return new Packed(buffer, layout, "memory", reason);
  } catch (error) {
    buffer.dispose();
    throw error;
  }
}

async function pack({ kernels, plans, sources, progress, options }: Work, layout: PackedLayout, target: PackTarget) {
  progress.startPacking(bytesToPack(plans));
  const packing: PackOptions = { ...options, onBytes: (bytes) => progress.packed(bytes) };
  await packWeights(kernels, plans, sources, layout, target, packing);
}

/** Never goes back, though weights may be packed a second time, when the disk did not take them. */
class Progress {
  readonly #tell: PackedWeightsOptions["onProgress"];
  #total = 0;
  #told = 0;
  #hashed = 0;
  #packed = 0;

  constructor(tell: PackedWeightsOptions["onProgress"]) {
    this.#tell = tell;
  }

  expect(totalBytes: number): void {
    if (this.#total === 0) this.#total = totalBytes;
  }

  hashed(bytes: number): void {
    this.#hashed += bytes;
    this.#reached(this.#hashed);
  }

  startPacking(bytes: number): void {
    this.expect(bytes);
    this.#packed = 0;
  }

  packed(bytes: number): void {
    this.#packed += bytes;
    this.#reached(this.#hashed + this.#packed);
  }

  end(): void {
    this.#reached(this.#total);
  }

  #reached(bytes: number): void {
    if (bytes <= this.#told) return;
    this.#told = bytes;
    this.#tell?.(bytes, this.#total);
  }
}

class Packed implements PackedWeights {
  readonly scaleTypes: ReadonlyMap<string, number>;
  readonly source: PackedWeights["source"];
  readonly reason?: string;
  readonly #buffer: NativeBuffer;
  readonly #places: ReadonlyMap<string, { readonly offset: number; readonly bytes: number }>;

  constructor(buffer: NativeBuffer, layout: PackedLayout, source: PackedWeights["source"], reason?: string) {
    this.source = source;
    this.reason = reason;
    this.#buffer = buffer;
    this.scaleTypes = new Map(layout.tensors.map(({ name, scaleType }) => [name, scaleType]));
    this.#places = new Map(layout.tensors.map((tensor) => [tensor.name, tensor]));
  }

  get bytes(): number {
    return this.#buffer.byteLength;
  }

  locate(name: string) {
    const place = this.#places.get(name);
    if (!place) throw new RangeError(`There are no packed weights of the name ${name}.`);
    return { buffer: this.#buffer, byteOffset: place.offset, byteLength: place.bytes };
  }

  dispose(): void {
    this.#buffer.dispose();
  }
}
