// One folder on its way to a local disk. Order of a commit: files, folders from the bottom up, manifest, rename, and the
// folder it was renamed into; each flushed before the next, since no other order is sure on every file system.
//
//   <claimed>/upload/    the added files
//   <claimed>/journal    what they hold
//   <claimed>/tree/      what appears at once: artifacts/ and the manifest
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ApiError, type ModelFile, ModelFileSchema } from "@modelwire/proto";
import type { ArtifactWrite, CommitFolder, Content, FileClaim, WrittenFile } from "../artifact-store.ts";
import type { ContentIndex } from "./content-index.ts";
import { codeOf, type Disk, exists } from "./disk.ts";
import { FileWriter } from "./file-writer.ts";
import type { KeptContents } from "./kept.ts";
import { MANIFEST, manifestText } from "./manifest.ts";
import { PathSet, refusePath } from "./path-rules.ts";
import { missing, wrongDigest, wrongSize } from "./refusals.ts";
import { UploadJournal } from "./upload-journal.ts";

export interface LocalWriteDeps {
  readonly disk: Disk;
  readonly kept: KeptContents;
  readonly contents: ContentIndex;
  /** The folder that an artifact location means. */
  folderOf(root: string): string;
  /** @throws ApiError STORAGE_FULL when so many bytes do not fit. */
  checkSpace(bytes: number): Promise<void>;
  /** Removes the claim, and all that is left in it. */
  release(): Promise<void>;
}

interface AddedFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

export class LocalWrite implements ArtifactWrite {
  readonly folder: string;
  readonly #claimed: string;
  readonly #tree: string;
  readonly #deps: LocalWriteDeps;
  readonly #journal: UploadJournal;
  readonly #paths = new PathSet();
  #files: AddedFile[] = [];
  #failed = false;

  private constructor(claimed: string, journal: UploadJournal, deps: LocalWriteDeps) {
    this.#claimed = claimed;
    this.#journal = journal;
    this.#deps = deps;
    this.#tree = join(claimed, "tree");
    this.folder = join(claimed, "upload");
  }

  static begin(claimed: string, deps: LocalWriteDeps): LocalWrite {
    return new LocalWrite(claimed, UploadJournal.begin(claimed, deps.disk), deps);
  }

  /** What a dead process has left, to be aborted. */
  static async leftBehind(claimed: string, deps: LocalWriteDeps): Promise<LocalWrite> {
    return new LocalWrite(claimed, await UploadJournal.read(claimed, deps.disk), deps);
  }

  get paths(): readonly string[] {
    return this.#files.map(({ path }) => path);
  }

  get sizeBytes(): bigint {
    return this.#files.reduce((sum, { size }) => sum + BigInt(size), 0n);
  }

  async write(path: string, chunks: AsyncIterable<Uint8Array>, claim: FileClaim = {}): Promise<WrittenFile> {
    const full = await this.#begin(path);
    const { disk } = this.#deps;
    const { sizeBytes, sha256, offsetBytes = 0 } = claim;
    if (sizeBytes !== undefined) await this.#checkSpace(sizeBytes - offsetBytes);
    if (sizeBytes !== undefined && sha256 !== undefined) await this.#journal.note(path, { sizeBytes, sha256 });
    const hash = createHash("sha256");
    const file = offsetBytes === 0 ? await disk.create(full) : await this.#goOn(path, full, hash, claim);
    const sink = (parts: readonly Uint8Array[], position: number) => disk.write(file, full, parts, position);
    const writer = new FileWriter(hash, sink, offsetBytes);
    try {
      for await (const chunk of chunks) {
        if (sizeBytes !== undefined && writer.size + chunk.length > sizeBytes) throw wrongSize(path, sizeBytes, "more");
        await writer.add(chunk);
      }
      await writer.end();
      const got = { sizeBytes: writer.size, sha256: hash.digest("hex") };
      if (sizeBytes !== undefined && got.sizeBytes !== sizeBytes) throw wrongSize(path, sizeBytes, got.sizeBytes);
      if (sha256 !== undefined && got.sha256 !== sha256) throw wrongDigest(path, sha256, got.sha256);
      await disk.syncFile(file, full);
      await this.#added(path, got);
      return { sizeBytes: BigInt(got.sizeBytes), sha256: got.sha256 };
    } catch (error) {
      // Were it kept, it would be gone on from the next time, and be wrong again.
      if (error instanceof ApiError && error.reason === "DIGEST_MISMATCH") await disk.remove(full);
      throw error;
    } finally {
      await writer.close();
      await file.close();
    }
  }

  async refer(path: string, content: Content): Promise<void> {
    const full = await this.#begin(path);
    const { disk, kept, contents } = this.#deps;
    await this.#journal.note(path, content);
    for await (const own of this.#holding(content)) {
      await disk.copy(own, full);
      if (await this.#isRight(full, content)) return await this.#added(path, content);
    }
    if ((await kept.take(content, full)) && (await this.#isRight(full, content)))
      return await this.#added(path, content);
    for (const refresh of [false, true]) {
      if (refresh) await contents.refresh();
      for await (const file of contents.find(content)) {
        await this.#checkSpace(content.sizeBytes);
        await disk.copy(file, full).catch((error) => {
          if (codeOf(error) !== "ENOENT") throw error;
        });
        if (await this.#isRight(full, content)) return await this.#added(path, content);
        contents.forget(content, file);
      }
    }
    throw missing(path, `has not the content with SHA-256 ${content.sha256} and ${content.sizeBytes} bytes`);
  }

  async remove(path: string): Promise<void> {
    this.#assertUsable();
    await this.#deps.disk.remove(join(this.folder, path));
    this.#files = this.#files.filter((file) => file.path !== path);
    this.#paths.delete(path);
  }

  async commit(root: string, { at, texts, notes }: CommitFolder): Promise<ModelFile[]> {
    this.#assertUsable();
    this.#failed = true;
    const { disk, folderOf } = this.#deps;
    const target = dirname(folderOf(root));
    const all = new PathSet();
    const prefix = at === "" ? "" : `${at}/`;
    this.#files = this.#files.map((file) => ({ ...file, path: prefix + file.path }));
    for (const { path } of this.#files) refusePath(path, all.add(path));
    for (const path of Object.keys(texts))
      if (all.add(path).length > 0)
        refusePath(
          path,
          ["is written by the server beside the uploaded files, and one of those is in its place"],
          "path",
        );
    await disk.makeFolder(this.folder);
    const artifacts = join(this.#tree, "artifacts");
    await disk.makeFolder(dirname(join(artifacts, at)));
    await disk.rename(this.folder, join(artifacts, at));
    for (const [path, text] of Object.entries(texts)) await this.#writeText(artifacts, path, text);
    for (const folder of this.#folders()) await disk.syncFolder(join(artifacts, folder));
    const files = this.#files.sort((a, b) => (a.path < b.path ? -1 : 1));
    await this.#create(join(this.#tree, MANIFEST), Buffer.from(manifestText({ files, notes })));
    await disk.syncFolder(this.#tree);
    await this.#makeParents(dirname(target));
    await disk.rename(this.#tree, target);
    await disk.syncFolder(dirname(target));
    return files.map(({ path, size, sha256 }) => create(ModelFileSchema, { path, sizeBytes: BigInt(size), sha256 }));
  }

  async release(): Promise<void> {
    await this.#deps.release();
  }

  /** Of a folder that was not put together yet: later failures are the store's own, and rare. */
  async keep(): Promise<void> {
    this.#failed = true;
    try {
      for (const [path, content] of this.#journal.contents)
        await this.#deps.kept.keep(join(this.folder, path), content);
      await this.#deps.kept.trim();
    } catch {
      // What cannot be kept has to be sent again, and that is all.
    }
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

  /** Checks a new file's path and makes its folder; from here until {@link #added} the upload counts as failed. */
  async #begin(path: string): Promise<string> {
    this.#assertUsable();
    this.#failed = true;
    refusePath(path, this.#paths.add(path));
    const full = join(this.folder, path);
    await this.#deps.disk.makeFolder(dirname(full));
    return full;
  }

  async #added(path: string, { sizeBytes, sha256 }: Content): Promise<void> {
    await this.#journal.note(path, { sizeBytes, sha256 });
    this.#files.push({ path, size: sizeBytes, sha256 });
    this.#failed = false;
  }

  /** The kept beginning of a file as its own beginning, hashed. */
  async #goOn(path: string, full: string, hash: Hash, claim: FileClaim): Promise<FileHandle> {
    const { sizeBytes, sha256, offsetBytes = 0 } = claim;
    const { disk, kept } = this.#deps;
    const content = sizeBytes === undefined || sha256 === undefined ? undefined : { sizeBytes, sha256 };
    const short = missing(path, `has less than ${offsetBytes} bytes of the beginning`);
    if (!content || (await kept.length(content)) < offsetBytes || !(await kept.take(content, full))) throw short;
    const file = await disk.reopen(full, offsetBytes);
    try {
      if ((await hashInto(hash, file)) !== offsetBytes) throw short;
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Whether a file of the upload holds a content, which is then on disk; removes one that does not. */
  async #isRight(full: string, content: Content): Promise<boolean> {
    const { disk } = this.#deps;
    if (!(await exists(full))) return false;
    const file = await open(full, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
    try {
      const hash = createHash("sha256");
      const right = (await hashInto(hash, file)) === content.sizeBytes && hash.digest("hex") === content.sha256;
      if (right) await disk.syncFile(file, full);
      else await disk.remove(full);
      return right;
    } finally {
      await file.close();
    }
  }

  /** Files of this upload that hold a content. */
  *#holding(content: Content): Generator<string> {
    for (const { path, size, sha256 } of this.#files)
      if (sha256 === content.sha256 && size === content.sizeBytes) yield join(this.folder, path);
  }

  /** What is only kept for a next try must never be why there is no room for this one. */
  async #checkSpace(bytes: number): Promise<void> {
    const { checkSpace, disk } = this.#deps;
    await checkSpace(bytes).catch(async (error) => {
      if (!(await disk.makeRoom())) throw error;
      await checkSpace(bytes);
    });
  }

  async #writeText(artifacts: string, path: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    await this.#deps.disk.makeFolder(dirname(join(artifacts, path)));
    await this.#create(join(artifacts, path), bytes);
    this.#files.push({ path, size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
  }

  async #create(full: string, bytes: Uint8Array): Promise<void> {
    const { disk } = this.#deps;
    const file = await disk.create(full);
    try {
      await disk.write(file, full, [bytes], 0);
      await disk.syncFile(file, full);
    } finally {
      await file.close();
    }
  }

  /** The folders of all files, the deepest first; "" is the top. */
  #folders(): string[] {
    const found = new Set([""]);
    for (const { path } of this.#files)
      for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) found.add(folder);
    return [...found].sort((a, b) => b.length - a.length);
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

/** Feeds a file into a hash from its beginning, and gives its length. */
async function hashInto(hash: Hash, file: FileHandle): Promise<number> {
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let size = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size);
    if (bytesRead === 0) return size;
    hash.update(buffer.subarray(0, bytesRead));
    size += bytesRead;
  }
}
