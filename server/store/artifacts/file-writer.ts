// The bytes of one file on their way: gathered into blocks, each of which is hashed and written while more of them come.
// It must never know which file it is.
import { createHash } from "node:crypto";
import type { Content } from "../artifact-store.ts";
import type { HashStream } from "./hash-thread.ts";

/** Bytes that are hashed and written at once. */
const BLOCK_BYTES = 512 << 10;

/** Blocks of one file that may be under way. */
const BLOCKS = 4;

/** Writes bytes at a position. */
type Sink = (bytes: Uint8Array, position: number) => Promise<void>;

export class FileWriter {
  readonly #hash: HashStream;
  readonly #sink: Sink;
  readonly #free: Uint8Array[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #blocks = 0;
  #block: Uint8Array | undefined;
  #filled = 0;
  /** Where the next block goes. */
  #position: number;
  #handedOver = false;
  /** One after the other: what a crash leaves must have no holes. */
  #writing: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param hash Has taken what lies before `position`.
   * @param position Where the bytes begin in the file.
   */
  constructor(hash: HashStream, sink: Sink, position: number) {
    this.#hash = hash;
    this.#sink = sink;
    this.#position = position;
    this.#handedOver = position > 0;
  }

  /** Length of the file with all that was added. */
  get size(): number {
    return this.#position + this.#filled;
  }

  /** Adds bytes, which may be used for something else when this resolves. @throws what a write threw. */
  async add(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length; ) {
      this.#block ??= await this.#freeBlock();
      const part = bytes.subarray(taken, taken + BLOCK_BYTES - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      if (this.#filled === BLOCK_BYTES) this.#handOver(this.#block);
    }
  }

  /** Writes the rest and gives length and SHA-256 of the whole file. @throws what a write threw. */
  async end(): Promise<Content> {
    const sizeBytes = this.size;
    if (this.#handedOver) {
      await this.#settle();
      this.#throwFailure();
      return { sizeBytes, sha256: await this.#hash.digest() };
    }
    const bytes = this.#block?.subarray(0, this.#filled) ?? new Uint8Array();
    this.#filled = 0;
    await this.#sink(bytes, this.#position);
    return { sizeBytes, sha256: createHash("sha256").update(bytes).digest("hex") };
  }

  /** Waits for all that is under way. After an error of the sender the file then holds what had come. */
  async close(): Promise<void> {
    await this.#settle();
    this.#hash.close();
  }

  async #settle(): Promise<void> {
    if (this.#block && this.#filled > 0) this.#handOver(this.#block);
    await Promise.all(this.#underWay);
  }

  #handOver(block: Uint8Array): void {
    const bytes = block.subarray(0, this.#filled);
    const position = this.#position;
    this.#handedOver = true;
    this.#block = undefined;
    this.#filled = 0;
    this.#position += bytes.length;
    this.#writing = this.#writing.then(() => this.#sink(bytes, position));
    this.#run(Promise.all([this.#hash.update(bytes), this.#writing]).then(() => void this.#free.push(block)));
  }

  #run(work: Promise<void>): void {
    const done = work.catch((error) => {
      this.#failure ??= { error };
    });
    this.#underWay.add(done);
    void done.then(() => this.#underWay.delete(done));
  }

  async #freeBlock(): Promise<Uint8Array> {
    for (;;) {
      this.#throwFailure();
      const free = this.#free.pop();
      if (free) return free;
      if (this.#blocks < BLOCKS) {
        this.#blocks += 1;
        return new Uint8Array(new SharedArrayBuffer(BLOCK_BYTES));
      }
      await Promise.race(this.#underWay);
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
