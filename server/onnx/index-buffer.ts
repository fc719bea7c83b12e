// Native memory for token ids, masks and positions, in whichever integer type the graph declares.

import { itemBytes, type NativeBuffer, type Runtime, type Tensor } from "./runtime.ts";

export class IndexBuffer {
  readonly #runtime: Runtime;
  readonly #type: "int32" | "int64";
  #length: number;
  #buffer: NativeBuffer;
  /** An item of 64 bits is two of these, the lower half first: numbers are written without a BigInt for each. */
  #halves: Int32Array;

  constructor(runtime: Runtime, type: "int32" | "int64", length: number) {
    this.#runtime = runtime;
    this.#type = type;
    this.#length = length;
    this.#buffer = runtime.allocate(length * itemBytes[type]);
    this.#halves = new Int32Array(this.#buffer.view);
  }

  /** Makes room for `length` items. What was in it is lost. */
  reserve(length: number): void {
    if (length <= this.#length) return;
    const larger = this.#runtime.allocate(length * itemBytes[this.#type]);
    this.#buffer.dispose();
    this.#buffer = larger;
    this.#halves = new Int32Array(larger.view);
    this.#length = length;
  }

  /** @param value of 32 bits, with its sign */
  set(index: number, value: number): void {
    if (this.#type === "int32") this.#halves[index] = value;
    else {
      this.#halves[2 * index] = value;
      this.#halves[2 * index + 1] = value < 0 ? -1 : 0;
    }
  }

  /** The first items of 64 bits, to be written as such. Valid until `reserve`. */
  wide(count: number): BigInt64Array {
    return new BigInt64Array(this.#buffer.view, 0, count);
  }

  /** Sets the items from `from` up to, not including, `to`. */
  fill(value: number, from: number, to: number): void {
    if (this.#type === "int32") this.#halves.fill(value, from, to);
    else this.wide(this.#length).fill(BigInt(value), from, to);
  }

  /** The first items as [rows, columns]. The caller disposes it. */
  tensor(rows: number, columns: number): Tensor {
    return this.#runtime.tensor(this.#buffer, 0, this.#type, [rows, columns]);
  }

  /** The first items as [count]. The caller disposes it. */
  list(count: number): Tensor {
    return this.#runtime.tensor(this.#buffer, 0, this.#type, [count]);
  }

  dispose(): void {
    this.#buffer.dispose();
  }
}
