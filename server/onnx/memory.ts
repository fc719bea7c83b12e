// Native memory and the tensors laid over it. Guard 4 of c-api.ts: a buffer cannot be freed while a tensor
// lies over it, and a tensor cannot be released while a run reads or writes it.

import { constants } from "node:buffer";
import koffi from "koffi";
import type { Pointer } from "./c-api.ts";

/** Memory outside the JavaScript heap: from ORT's allocator (64-byte aligned, not cleared), by pages, or a mapped file. */
export class NativeBuffer {
  readonly byteLength: number;
  /** For `runtime.ts`, `kernels.ts` and `kv-pool.ts` alone. */
  readonly address: Pointer;
  readonly #free: () => void;
  #view: ArrayBuffer | undefined;
  #tensors = 0;
  #disposed = false;

  constructor(address: Pointer, byteLength: number, free: () => void) {
    this.address = address;
    this.byteLength = byteLength;
    this.#free = free;
  }

  /**
   * The memory itself. Typed arrays over it must not be used after `dispose`: nothing can stop them then.
   * @throws RangeError beyond what one ArrayBuffer can be (4 GiB in Node 20); `bytes` gives parts
   */
  get view(): ArrayBuffer {
    this.#view ??= this.bytes(0, this.byteLength).buffer;
    if (this.#disposed) throw new Error("This native buffer has been disposed.");
    return this.#view;
  }

  /** Part of the memory, under the same rule. Of a mapped file it must not be written. @throws RangeError when it does not fit */
  bytes(byteOffset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    if (this.#disposed) throw new Error("This native buffer has been disposed.");
    if (byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > this.byteLength)
      throw new RangeError(`${byteLength} bytes at ${byteOffset} do not lie within ${this.byteLength}.`);
    // Node ends the process over a longer one.
    if (byteLength > constants.MAX_LENGTH) throw new RangeError(`${byteLength} bytes are too many to be seen at once.`);
    return new Uint8Array(koffi.view(this.address + BigInt(byteOffset), byteLength));
  }

  /** Frees the memory. Idempotent. @throws Error while a tensor lies over it */
  dispose(): void {
    if (this.#disposed) return;
    if (this.#tensors > 0) throw new Error(`A native buffer was disposed below ${this.#tensors} live tensors.`);
    this.#disposed = true;
    this.#free();
  }

  /** For `Tensor` alone. */
  hold(delta: 1 | -1): void {
    if (this.#disposed) throw new Error("This native buffer has been disposed.");
    this.#tensors += delta;
  }
}

/** Memory of JavaScript's that a tensor lies over. Held means reachable: what can be reached is neither moved nor freed. */
export class HeldBytes {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** For `Tensor` alone: that it refers to this is all that is needed. */
  hold(): void {}
}

/** An OrtValue over part of a buffer, or over bytes of JavaScript's. It owns no memory. */
export class Tensor {
  /** For `session.ts` alone. */
  readonly pointer: Pointer;
  readonly #buffer: NativeBuffer | HeldBytes;
  readonly #release: () => void;
  #runs = 0;
  #disposed = false;

  constructor(pointer: Pointer, buffer: NativeBuffer | HeldBytes, release: () => void) {
    this.pointer = pointer;
    this.#buffer = buffer;
    this.#release = release;
    buffer.hold(1);
  }

  /** Idempotent. @throws Error while a run uses it */
  dispose(): void {
    if (this.#disposed) return;
    if (this.#runs > 0) throw new Error("A tensor was disposed during a run.");
    this.#disposed = true;
    this.#release();
    this.#buffer.hold(-1);
  }

  /** For `Session.run` alone. */
  pin(delta: 1 | -1): void {
    if (this.#disposed) throw new Error("This tensor has been disposed.");
    this.#runs += delta;
  }
}
