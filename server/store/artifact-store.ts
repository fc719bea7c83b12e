// What the server needs of a store for files: a folder of files comes into being whole or not at all, and is read by
// path. It must never know what the files mean.
import type { ModelFile } from "@modelwire/proto";

export interface WrittenFile {
  readonly sizeBytes: bigint;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** A folder on its way. One call at a time. */
export interface ArtifactWrite {
  /** The staged folder, for those who must look at the files before they are committed. */
  readonly folder: string;
  /**
   * Adds a file; when this resolves its bytes are on disk.
   * @param expectedSize In bytes, as the sender said; undefined when it did not.
   * @throws ApiError INVALID_PATH with every problem of the path, STORAGE_FULL, or DIGEST_MISMATCH for another size.
   * After any error the folder can only be aborted.
   */
  write(path: string, chunks: AsyncIterable<Uint8Array>, expectedSize?: number): Promise<WrittenFile>;
  /**
   * Makes the folder appear at `root`, whole. What lies there afterwards is not yet final: see {@link release}.
   * @param notes Kept beside the folder, for {@link ArtifactStore.notes}.
   */
  commit(root: string, notes: Readonly<Record<string, unknown>>): Promise<ModelFile[]>;
  /** Forgets that the folder is on its way: from here on no sweep takes it away. */
  release(): Promise<void>;
  /** Removes everything, at `root` too when a commit had come so far. */
  abort(root: string | undefined): Promise<void>;
}

/** A folder that a process left on its way when it died. */
export interface Leftover {
  readonly id: string;
  /** Removes it. @param root Where its commit may have put it, which is removed too; undefined to leave that alone. */
  discard(root: string | undefined): Promise<void>;
}

export interface ArtifactStore {
  /** @throws ApiError MODEL_NOT_SERVABLE when `root` is no place that this store reads and writes. */
  checkRoot(root: string): void;
  /** @param id A name for the folder while it is on its way, for the sweep. On disk when this resolves. */
  begin(id: string): Promise<ArtifactWrite>;
  /** Sorted by path. Digests are empty for files that this store did not write itself. */
  list(root: string): Promise<ModelFile[]>;
  /** @throws ApiError ARTIFACT_NOT_FOUND, or OFFSET_OUT_OF_RANGE for an offset behind the end. */
  open(
    root: string,
    path: string,
    options?: { offset?: number; chunkBytes?: number },
  ): Promise<{ file: ModelFile; chunks: AsyncIterable<Uint8Array> }>;
  /** A small text file whole; undefined when there is none. */
  readText(root: string, path: string): Promise<string | undefined>;
  /** The folder on this machine's disk. */
  materialize(root: string): Promise<string>;
  /** What {@link ArtifactWrite.commit} was given; undefined for a folder that another program wrote. */
  notes(root: string): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** What dead processes left, never what a live one is writing. Each must be discarded before the next is asked for. */
  leftovers(): AsyncIterable<Leftover>;
  close(): Promise<void>;
}
