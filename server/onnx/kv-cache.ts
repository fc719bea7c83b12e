// Keys and values of all sequences, in memory that the graph updates in place: one buffer per layer and kind,
// [rows, kvHeads, capacity, headSize]. GroupQueryAttention writes in place when past and present are the same
// memory. The pages of a row are real only once they have been written, so capacity costs address space alone.
// It knows rows and lengths; which sequence a row belongs to is the runner's affair.

import { OrtError } from "./errors.ts";
import { itemBytes, type NativeBuffer, type Runtime, type Tensor } from "./runtime.ts";

export interface KvCacheShape {
  /** Tensors of keys or values: twice the number of layers. */
  readonly tensors: number;
  readonly rows: number;
  readonly kvHeads: number;
  readonly capacity: number;
  readonly headSize: number;
  readonly type: "float32" | "float16";
}

/** The first `length` positions of a row. */
export interface RowPart {
  readonly row: number;
  readonly length: number;
}

export class KvCache {
  readonly #runtime: Runtime;
  readonly #shape: KvCacheShape;
  readonly #buffers: NativeBuffer[] = [];
  readonly #views = new Map<number, readonly Tensor[]>();

  /** @throws OrtError when the address space is not to be had */
  constructor(runtime: Runtime, shape: KvCacheShape) {
    this.#runtime = runtime;
    this.#shape = shape;
    try {
      for (let i = 0; i < shape.tensors; i++) this.#buffers.push(runtime.allocate(shape.rows * this.#rowBytes));
    } catch (error) {
      this.dispose();
      if (!(error instanceof OrtError)) throw error;
      const gib = ((shape.tensors * shape.rows * this.#rowBytes) / 2 ** 30).toFixed(1);
      const message = `A cache for ${shape.rows} sequences of ${shape.capacity} tokens needs ${gib} GiB of address space: ${error.message}.`;
      throw new OrtError(`${message} Use fewer sequences or a smaller length.`, error.code);
    }
  }

  /** Rows `first` to `first + count - 1` of every buffer as [count, kvHeads, capacity, headSize]. Made once per range. */
  rows(first: number, count: number): readonly Tensor[] {
    const key = first * this.#shape.rows + count - 1;
    let tensors = this.#views.get(key);
    if (tensors === undefined) {
      const { kvHeads, capacity, headSize, type } = this.#shape;
      tensors = this.#buffers.map((buffer) =>
        this.#runtime.tensor(buffer, first * this.#rowBytes, type, [count, kvHeads, capacity, headSize]),
      );
      this.#views.set(key, tensors);
    }
    return tensors;
  }

  /** Copies the first `length` positions of a row over those of another: about 50 ms per 1,000 positions of a 3.8B model. */
  copy(from: number, to: number, length: number): void {
    if (from === to || length === 0) return;
    this.#eachHead((part) => part(to, length).set(part(from, length)));
  }

  /** Gives each of two rows the positions of the other. */
  exchange(one: RowPart, other: RowPart): void {
    if (one.row === other.row) return;
    this.#eachHead((part) => {
      const kept = part(one.row, one.length).slice();
      part(one.row, other.length).set(part(other.row, other.length));
      part(other.row, one.length).set(kept);
    });
  }

  dispose(): void {
    for (const tensors of this.#views.values()) for (const tensor of tensors) tensor.dispose();
    this.#views.clear();
    for (const buffer of this.#buffers) buffer.dispose();
  }

  /** `part` gives the first `length` positions of a row, of one head in one buffer. */
  #eachHead(work: (part: (row: number, length: number) => Uint8Array) => void): void {
    const { kvHeads, capacity, headSize, type } = this.#shape;
    const positionBytes = headSize * itemBytes[type];
    for (const buffer of this.#buffers) {
      for (let head = 0; head < kvHeads; head++) {
        // Parts, not one view of all: the rows of a long context are more than one ArrayBuffer can be.
        const offset = head * capacity * positionBytes;
        work((row, length) => buffer.bytes(row * this.#rowBytes + offset, length * positionBytes));
      }
    }
  }

  get #rowBytes(): number {
    const { kvHeads, capacity, headSize, type } = this.#shape;
    return kvHeads * capacity * headSize * itemBytes[type];
  }
}
