// Native memory for token ids, masks and positions, in whichever integer type the graph declares.

import { itemBytes, type NativeBuffer, type Runtime, type Tensor } from "./runtime.ts";

export class IndexBuffer {
  readonly #runtime: Runtime;
  readonly #type: "int32" | "int64";
  readonly #buffer: NativeBuffer;
  readonly #values: Int32Array | BigInt64Array;

  constructor(runtime: Runtime, type: "int32" | "int64", length: number) {
    this.#runtime = runtime;
    this.#type = type;
    this.#buffer = runtime.allocate(length * itemBytes[type]);
    this.#values = type === "int64" ? new BigInt64Array(this.#buffer.view) : new Int32Array(this.#buffer.view);
  }

  set(index: number, value: number): void {
    if (this.#values instanceof Int32Array) this.#values[index] = value;
    else this.#values[index] = BigInt(value);
  }

  /** Sets the items from `from` up to, not including, `to`. */
  fill(value: number, from: number, to: number): void {
    if (this.#values instanceof Int32Array) this.#values.fill(value, from, to);
    else this.#values.fill(BigInt(value), from, to);
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
