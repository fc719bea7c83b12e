// The bytes of one file on their way: hashed as they come, and written in batches while more of them come. It must never
// know which file it is. Not hashed on a thread of its own: to hand the bytes over costs as much as to hash them.
import type { Hash } from "node:crypto";

/** Bytes that are written at once. */
const BATCH_BYTES = 1 << 20;

/** Batches that wait to be written, the one that is being written included. */
const MAX_WAITING = 3;

/** Writes bytes at a position. */
type Sink = (parts: readonly Uint8Array[], position: number) => Promise<void>;

export class FileWriter {
  readonly #hash: Hash;
  readonly #sink: Sink;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  /** Where the batch goes. */
  #position: number;
  /** One after the other: what a crash leaves must have no holes. */
  readonly #waiting: Promise<void>[] = [];
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param hash Has taken what lies before `position`.
   * @param position Where the bytes begin in the file.
   */
  constructor(hash: Hash, sink: Sink, position: number) {
    this.#hash = hash;
    this.#sink = sink;
    this.#position = position;
  }

  /** Length of the file with all that was added. */
  get size(): number {
    return this.#position + this.#batchBytes;
  }

  /** Adds bytes, which nobody may change any more. Resolves when there is room for more. @throws what a write threw. */
  async add(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    if (this.#batchBytes >= BATCH_BYTES) this.#writeBatch();
    while (this.#waiting.length >= MAX_WAITING) await this.#waiting[0];
    this.#throwFailure();
  }

  /** Writes the rest. @throws what a write threw. */
  async end(): Promise<void> {
    await this.close();
    this.#throwFailure();
  }

  /** Writes the rest and waits, whatever has failed: after an error of the sender the file then holds what had come. */
  async close(): Promise<void> {
    this.#writeBatch();
    await Promise.all(this.#waiting);
  }

  #writeBatch(): void {
    if (this.#batchBytes === 0) return;
    const [parts, position] = [this.#batch, this.#position];
    this.#position += this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    const done = this.#write(this.#waiting.at(-1), parts, position);
    this.#waiting.push(done);
    void done.then(() => this.#waiting.shift());
  }

  async #write(before: Promise<void> | undefined, parts: readonly Uint8Array[], position: number): Promise<void> {
    await before;
    if (this.#failure) return;
    try {
      await this.#sink(parts, position);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
