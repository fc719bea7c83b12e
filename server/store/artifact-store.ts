// What the server needs of a store for files: a folder of files comes into being whole or not at all, and is read by
// path. It must never know what the files mean.
import type { ModelFile } from "@modelwire/proto";

export interface WrittenFile {
  readonly sizeBytes: bigint;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** What a sender says of a file before its bytes. */
export interface FileClaim {
  /** In bytes. */
  readonly sizeBytes?: number;
  /** Of the whole file; with `sizeBytes`. When the sending breaks off, what arrived is kept under it. */
  readonly sha256?: string;
  /** Where the chunks begin, in bytes: what lies before is taken from what was kept. 0 when absent. */
  readonly offsetBytes?: number;
}

/** A content, known by its digest. */
export interface Content {
  readonly sizeBytes: number;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

export interface CommitFolder {
  /** Where the added files go in the folder that appears: "" for itself. */
  readonly at: string;
  /** Files that are written beside them: path in the folder to text. */
  readonly texts: Readonly<Record<string, string>>;
  /** Kept beside the folder, for {@link ArtifactStore.notes}. */
  readonly notes: Readonly<Record<string, unknown>>;
}

/** A folder on its way. One call at a time. */
export interface ArtifactWrite {
  /** Where the added files lie, for those who must look at them before they are committed. */
  readonly folder: string;
  /** Paths of the added files. */
  readonly paths: readonly string[];
  /** Sum of the added files, in bytes. */
  readonly sizeBytes: bigint;
  /**
   * Adds a file; when this resolves its bytes are on disk.
   * @param chunks Nobody may change them once they were given.
   * @throws ApiError INVALID_PATH with every problem of the path, STORAGE_FULL, DIGEST_MISMATCH for another size or
   * digest than claimed, CONTENT_MISSING when there is nothing kept to go on from. After any error the folder can only
   * be aborted.
   */
  write(path: string, chunks: AsyncIterable<Uint8Array>, claim?: FileClaim): Promise<WrittenFile>;
  /** Adds a file whose content the store has. @throws ApiError CONTENT_MISSING when it has not, and as {@link write}. */
  refer(path: string, content: Content): Promise<void>;
  /** Takes an added file out again. */
  remove(path: string): Promise<void>;
  /**
   * Makes the folder appear at `root`, whole. What lies there afterwards is not yet final: see {@link release}.
   * @throws ApiError INVALID_PATH when a text cannot lie beside the added files.
   */
  commit(root: string, folder: CommitFolder): Promise<ModelFile[]>;
  /** Forgets that the folder is on its way: from here on no sweep takes it away. */
  release(): Promise<void>;
  /** Keeps what has arrived, as far as its digests are known, for the next try. After it the folder can only be aborted. */
  keep(): Promise<void>;
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
  /** How much of each content is here already, in bytes; its size when {@link ArtifactWrite.refer} will take it. */
  held(contents: readonly Content[]): Promise<number[]>;
  /** Sorted by path. Digests are empty for files that this store did not write itself. */
  list(root: string): Promise<ModelFile[]>;
  /** Paths of symbolic links in the folder, which are never followed. */
  links(root: string): Promise<string[]>;
  /** @throws ApiError ARTIFACT_NOT_FOUND, or OFFSET_OUT_OF_RANGE for an offset behind the end. */
  open(
    root: string,
    path: string,
    options?: { offset?: number; chunkBytes?: number },
  ): Promise<{ file: ModelFile; chunks: AsyncIterable<Uint8Array> }>;
  /** A text file whole; undefined when there is none. @throws ApiError MODEL_INVALID when it is larger than `maxBytes`. */
  readText(root: string, path: string, maxBytes: number): Promise<string | undefined>;
  /** The folder on this machine's disk. */
  materialize(root: string): Promise<string>;
  /** What {@link ArtifactWrite.commit} was given; undefined for a folder that another program wrote. */
  notes(root: string): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** What dead processes left, never what a live one is writing. Each must be discarded before the next is asked for. */
  leftovers(): AsyncIterable<Leftover>;
  close(): Promise<void>;
}
