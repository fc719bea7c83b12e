// Native memory and the tensors laid over it. Guard 4 of c-api.ts: a buffer cannot be freed while a tensor
// lies over it, and a tensor cannot be released while a run reads or writes it.

import type { Pointer } from "./c-api.ts";

/** A block from ORT's allocator: 64-byte aligned, not cleared, pages used only when touched. */
export class NativeBuffer {
  readonly byteLength: number;
  /** For `runtime.ts` alone. */
  readonly address: Pointer;
  readonly #view: ArrayBuffer;
  readonly #free: () => void;
  #tensors = 0;
  #disposed = false;

  constructor(address: Pointer, view: ArrayBuffer, free: () => void) {
    this.address = address;
    this.byteLength = view.byteLength;
    this.#view = view;
    this.#free = free;
  }

  /** The memory itself. Typed arrays over it must not be used after `dispose`: nothing can stop them then. */
  get view(): ArrayBuffer {
    if (this.#disposed) throw new Error("This native buffer has been disposed.");
    return this.#view;
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
