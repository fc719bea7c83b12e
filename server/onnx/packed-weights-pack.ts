// Packs the weights of a model for the operators of `kernels/`: reads each tensor from where it lies, has the library
// pack it in pieces on libuv's threads, and puts the result where it is told. It never knows whether that is a file.

import { availableParallelism } from "node:os";
import type { Kernels, Matrix } from "./kernels.ts";
import { formOf, type PackedLayout, type PackedTensor } from "./packed-weights-file.ts";
import { lengthOf, type WeightSources } from "./packed-weights-source.ts";
import type { WeightPlan } from "./rewrite-result.ts";

/** What is asked of the library. */
export type PackingKernels = Pick<
  Kernels,
  "layoutVersion" | "packedBytes" | "scaleType" | "pack" | "mapFile" | "reserve"
>;

/** Where packed bytes go. */
export interface PackTarget {
  /** Memory of the tensor's length, asked for once. What `scratch` gives is the tensor's until it is stored. */
  memoryFor(tensor: PackedTensor, scratch: Scratch): Uint8Array;
  /** Called when all of the tensor lies there. */
  store(tensor: PackedTensor, packed: Uint8Array): Promise<void>;
}

export interface PackOptions {
  /** Called with the bytes of weights that were packed since the last call. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Calls of the library at a time; default: the cores, at most libuv's threads. */
  readonly parallel?: number;
}

/** Memory that is used for one tensor after the other, and grows when it must. */
export class Scratch {
  readonly #memory = new Map<string, ArrayBuffer>();

  /** Not cleared; what was taken before for the same use is no longer to be touched. */
  take(use: "weights" | "scales" | "zero points" | "packed", bytes: number): ArrayBuffer {
    const memory = this.#memory.get(use);
    if (memory && memory.byteLength >= bytes) return memory;
    const larger = new ArrayBuffer(bytes);
    this.#memory.set(use, larger);
    return larger;
  }
}

/** More calls at a time would only wait there. */
const poolThreads = Number(process.env.UV_THREADPOOL_SIZE) || 4;
/** Weights of one call: some milliseconds, since everybody else's files wait for the same threads. */
const pieceBytes = 4 * 1024 * 1024;
const panelColumns = 32;

/** MW_SCALE_… of every plan by its name. @throws ModelFolderError when scales cannot be read; the signal's reason */
export async function findScaleTypes(
  kernels: PackingKernels,
  plans: readonly WeightPlan[],
  sources: WeightSources,
  { signal, parallel }: PackOptions = {},
): Promise<Map<string, number>> {
  const types = new Map<string, number>();
  await eachInParallel(plans, parallel, async (plan, scratch) => {
    signal?.throwIfAborted();
    types.set(plan.name, kernels.scaleType(await readScales(plan, sources, scratch)));
  });
  return types;
}

/**
 * Packs every plan. A few tensors are in memory at a time, the largest first, so that none is waited for at the end.
 * When it has failed, nothing of it is running any more.
 * @throws ModelFolderError when weights cannot be read; what `target` throws; the signal's reason
 */
export async function packWeights(
  kernels: PackingKernels,
  plans: readonly WeightPlan[],
  sources: WeightSources,
  layout: PackedLayout,
  target: PackTarget,
  { onBytes, signal, parallel }: PackOptions = {},
): Promise<void> {
  const work = plans.map((plan, index) => ({ plan, tensor: layout.tensors[index]! }));
  work.sort((a, b) => b.tensor.bytes - a.tensor.bytes);
  await eachInParallel(work, parallel, async ({ plan, tensor }, scratch) => {
    signal?.throwIfAborted();
    const matrix = await readMatrix(plan, tensor.scaleType, sources, scratch);
    const packed = target.memoryFor(tensor, scratch);
    const columnBytes = matrix.weights.length / plan.columns;
    const step = panelColumns * Math.max(1, Math.floor(pieceBytes / (panelColumns * columnBytes)));
    for (let first = 0; first < plan.columns; first += step) {
      signal?.throwIfAborted();
      const last = Math.min(first + step, plan.columns);
      await kernels.pack(packed, matrix, first, last);
      onBytes?.((last - first) * columnBytes);
    }
    await target.store(tensor, packed);
  });
  signal?.throwIfAborted();
}

/** Bytes that `onBytes` has been told of when all plans are packed. */
export function bytesToPack(plans: readonly WeightPlan[]): number {
  return plans.reduce((sum, { weights }) => sum + lengthOf(weights), 0);
}

async function readMatrix(
  plan: WeightPlan,
  scaleType: number,
  sources: WeightSources,
  scratch: Scratch,
): Promise<Matrix> {
  const { name, weights, zeroPoints } = plan;
  return {
    form: formOf(plan, scaleType),
    weights: await sources.read(name, weights, scratch.take("weights", lengthOf(weights))),
    scales: await readScales(plan, sources, scratch),
    zeroPoints: zeroPoints && (await sources.read(name, zeroPoints, scratch.take("zero points", lengthOf(zeroPoints)))),
  };
}

async function readScales({ name, scales }: WeightPlan, sources: WeightSources, scratch: Scratch) {
  const bytes = await sources.read(name, scales, scratch.take("scales", lengthOf(scales)));
  return new Float32Array(bytes.buffer, 0, bytes.length / 4); // little-endian, as every platform here is
}

/** Takes the items in their order, `parallel` at a time. After an error no more are begun, and it waits for the others. */
async function eachInParallel<T>(
  items: readonly T[],
  parallel = Math.min(availableParallelism(), poolThreads),
  work: (item: T, scratch: Scratch) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  let failed = false;
  const worker = async () => {
    const scratch = new Scratch();
    for (const item of queue) {
      if (failed) return;
      try {
        await work(item, scratch);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.max(1, parallel) }, worker));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}
