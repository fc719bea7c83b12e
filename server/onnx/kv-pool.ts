// The memory of the cache's blocks, in the layout of kernels/attention.h: a block holds the keys and values of 32
// positions in all layers. A page is real once it has been written, so blocks that are never used cost address space
// alone. Sees the one pointer that attention needs; which sequence has which block it does not know.

import { OrtError } from "./errors.ts";
import { type Kernels, type KvType, kvTypes } from "./kernels.ts";
import type { BlockCopy } from "./kv-blocks.ts";
import type { NativeBuffer } from "./memory.ts";

export interface KvPoolShape {
  readonly blocks: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly type: KvType;
}

/** MW_META_HEADER, MW_META_VERSION */
export const metaHeader = 8;
const metaVersion = 1n;

/** What a page has, or the most that it may have on such a machine. Blocks give back the whole pages within them. */
const pageBytes = process.arch === "x64" ? 4096 : 65_536;

export class KvPool {
  readonly #kernels: Kernels;
  readonly #shape: KvPoolShape;
  readonly #layerBytes: number;
  readonly #memory: NativeBuffer;

  /** @throws OrtError when attention does not take the shape, or the address space is not to be had */
  constructor(kernels: Kernels, shape: KvPoolShape) {
    this.#kernels = kernels;
    this.#shape = shape;
    this.#layerBytes = kernels.kvLayerBytes(shape.kvHeads, shape.headSize, shape.type);
    if (this.#layerBytes < 0)
      throw new OrtError(`Attention does not take ${shape.kvHeads} heads of ${shape.headSize} as ${shape.type}.`, 2);
    const bytes = shape.blocks * this.blockBytes;
    const memory = kernels.reserve(bytes);
    if (!memory) {
      const gib = (bytes / 2 ** 30).toFixed(1);
      const message = `A cache of ${shape.blocks} blocks needs ${gib} GiB of address space, which is not to be had.`;
      throw new OrtError(`${message} Let it hold fewer tokens.`, 1);
    }
    this.#memory = memory;
  }

  /** All layers together. */
  get blockBytes(): number {
    return this.#shape.layers * this.#layerBytes;
  }

  /** Some milliseconds per block of a 3.8B model. */
  copy(copies: readonly BlockCopy[]): void {
    const part = (block: number) => this.#memory.bytes(block * this.blockBytes, this.blockBytes);
    for (const { from, to } of copies) part(to).set(part(from));
  }

  /**
   * Gives the memory of blocks back; they cost nothing until they are written again. 0.4 ms per block of a 3.8B model, and
   * some 4 ms when it is taken again. Not during a run.
   */
  empty(blocks: readonly number[]): void {
    for (const block of blocks) {
      const first = Math.ceil((block * this.blockBytes) / pageBytes) * pageBytes;
      const end = Math.floor(((block + 1) * this.blockBytes) / pageBytes) * pageBytes;
      if (end > first) this.#kernels.discard(this.#memory, first, end - first);
    }
  }

  /** Fills the header of the input `meta` for a batch of so many runs. */
  describe(meta: BigInt64Array, runs: number): void {
    const { blocks, type } = this.#shape;
    const sizes = [blocks, this.blockBytes, this.#layerBytes, kvTypes[type], runs, 0];
    meta.set([metaVersion, this.#memory.address, ...sizes.map(BigInt)]);
  }

  dispose(): void {
    this.#memory.dispose();
  }
}
