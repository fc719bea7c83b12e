// Native memory that a graph writes logits to, and the float32 rows read from it. Half floats are widened on the way.

import { itemBytes, type NativeBuffer, type Runtime, type Tensor } from "./runtime.ts";

export class LogitsBuffer {
  readonly #runtime: Runtime;
  readonly #type: "float32" | "float16";
  readonly #vocabSize: number;
  #buffer: NativeBuffer;
  #rows: number;

  constructor(runtime: Runtime, type: "float32" | "float16", vocabSize: number, rows: number) {
    this.#runtime = runtime;
    this.#type = type;
    this.#vocabSize = vocabSize;
    this.#rows = rows;
    this.#buffer = runtime.allocate(rows * vocabSize * itemBytes[type]);
  }

  /** Makes room for `rows` rows. What was in it is lost. */
  reserve(rows: number): void {
    if (rows <= this.#rows) return;
    const larger = this.#runtime.allocate(rows * this.#vocabSize * itemBytes[this.#type]);
    this.#buffer.dispose();
    this.#buffer = larger;
    this.#rows = rows;
  }

  /** Rows from `first` on as [batch, positions, vocabSize]. The caller disposes it. */
  tensor(first: number, batch: number, positions: number): Tensor {
    const offset = first * this.#vocabSize * itemBytes[this.#type];
    return this.#runtime.tensor(this.#buffer, offset, this.#type, [batch, positions, this.#vocabSize]);
  }

  /** [count × vocabSize] logits, in place when the graph gives float32. */
  read(first: number, count: number): Float32Array {
    const offset = first * this.#vocabSize;
    const length = count * this.#vocabSize;
    if (this.#type === "float32") return new Float32Array(this.#buffer.view, offset * 4, length);
    const halves = new Uint16Array(this.#buffer.view, offset * 2, length);
    return Float32Array.from(halves, (half) => widened()[half]!);
  }

  dispose(): void {
    this.#buffer.dispose();
  }
}

let table: Float32Array | undefined;

/** float32 of every half float (IEEE 754 binary16), made when first needed. */
function widened(): Float32Array {
  if (table) return table;
  table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    const magnitude =
      exponent === 0
        ? fraction * 2 ** -24
        : exponent < 31
          ? (1 + fraction / 1024) * 2 ** (exponent - 15)
          : fraction === 0
            ? Infinity
            : Number.NaN;
    table[bits] = sign * magnitude;
  }
  return table;
}
