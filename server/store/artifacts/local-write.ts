// One folder on its way to a local disk. Order of a commit: files, folders from the bottom up, manifest, rename, and the
// folder it was renamed into; each flushed before the next, since no other order is sure on every file system.
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ApiError, type ModelFile, ModelFileSchema } from "@modelwire/proto";
import type { ArtifactWrite, WrittenFile } from "../artifact-store.ts";
import { type Disk, exists } from "./disk.ts";
import { MANIFEST, manifestText } from "./manifest.ts";
import { PathSet, refusePath } from "./path-rules.ts";

export interface LocalWriteDeps {
  readonly disk: Disk;
  /** The folder that an artifact location means. */
  folderOf(root: string): string;
  /** @throws ApiError STORAGE_FULL when so many bytes do not fit. */
  checkSpace(bytes: number): Promise<void>;
  /** Removes the claim, and all that is left in it. */
  release(): Promise<void>;
}

export class LocalWrite implements ArtifactWrite {
  readonly folder: string;
  readonly #claimed: string;
  readonly #tree: string;
  readonly #deps: LocalWriteDeps;
  readonly #paths = new PathSet();
  readonly #files: { path: string; size: number; sha256: string }[] = [];
  #failed = false;

  constructor(claimed: string, deps: LocalWriteDeps) {
    this.#claimed = claimed;
    this.#deps = deps;
    this.#tree = join(claimed, "tree");
    this.folder = join(this.#tree, "artifacts");
  }

  async write(path: string, chunks: AsyncIterable<Uint8Array>, expectedSize?: number): Promise<WrittenFile> {
    this.#assertUsable();
    this.#failed = true;
    refusePath(path, this.#paths.add(path));
    if (expectedSize !== undefined) await this.#deps.checkSpace(expectedSize);
    const { disk } = this.#deps;
    const full = join(this.folder, path);
    await disk.makeFolder(dirname(full));
    const file = await disk.create(full);
    const hash = createHash("sha256");
    let size = 0;
    try {
      for await (const chunk of chunks) {
        size += chunk.length;
        if (expectedSize !== undefined && size > expectedSize) break;
        hash.update(chunk);
        await disk.append(file, full, chunk);
      }
      if (expectedSize !== undefined && size !== expectedSize) throw wrongSize(path, expectedSize, size);
      await disk.syncFile(file, full);
    } finally {
      await file.close();
    }
    const sha256 = hash.digest("hex");
    this.#files.push({ path, size, sha256 });
    this.#failed = false;
    return { sizeBytes: BigInt(size), sha256 };
  }

  async commit(root: string, notes: Readonly<Record<string, unknown>>): Promise<ModelFile[]> {
    this.#assertUsable();
    this.#failed = true;
    const { disk, folderOf } = this.#deps;
    const target = dirname(folderOf(root));
    for (const folder of this.#folders()) await disk.syncFolder(folder);
    const files = this.#files.sort((a, b) => (a.path < b.path ? -1 : 1));
    await this.#writeManifest(manifestText({ files, notes }));
    await disk.syncFolder(this.#tree);
    await this.#makeParents(dirname(target));
    await disk.rename(this.#tree, target);
    await disk.syncFolder(dirname(target));
    return files.map(({ path, size, sha256 }) => create(ModelFileSchema, { path, sizeBytes: BigInt(size), sha256 }));
  }

  async release(): Promise<void> {
    await this.#deps.release();
  }

  async abort(root: string | undefined): Promise<void> {
    this.#failed = true;
    const target = root === undefined ? undefined : dirname(this.#deps.folderOf(root));
    if (target !== undefined && (await exists(target))) {
      // Out of sight in one step: a half removed model must not be seen either.
      await this.#deps.disk.rename(target, join(this.#claimed, "aborted"));
      await this.#deps.disk.syncFolder(dirname(target));
    }
    await this.#deps.release();
  }

  /** The staged folders, the deepest first. */
  #folders(): string[] {
    const found = new Set([this.folder]);
    for (const { path } of this.#files)
      for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) found.add(join(this.folder, folder));
    return [...found].sort((a, b) => b.length - a.length);
  }

  async #writeManifest(text: string): Promise<void> {
    const { disk } = this.#deps;
    const path = join(this.#tree, MANIFEST);
    const file = await disk.create(path);
    try {
      await disk.append(file, path, Buffer.from(text));
      await disk.syncFile(file, path);
    } finally {
      await file.close();
    }
  }

  async #makeParents(folder: string): Promise<void> {
    const { disk } = this.#deps;
    const first = await disk.makeFolder(folder);
    if (first === undefined) return;
    for (let made = folder; made.length >= first.length; made = dirname(made)) await disk.syncFolder(made);
    await disk.syncFolder(dirname(first));
  }

  #assertUsable(): void {
    this.#deps.disk.assertWritable();
    if (this.#failed) throw new Error("this upload has failed or ended before; it can only be aborted");
  }
}

function wrongSize(path: string, expected: number, actual: number): ApiError {
  const got = actual > expected ? "more bytes" : `${actual} bytes`;
  return new ApiError(
    "DIGEST_MISMATCH",
    `file "${path}": the sender said ${expected} bytes, ${got} arrived; send the model again`,
    { metadata: { path, expected_bytes: String(expected), actual_bytes: String(actual) } },
  );
}
