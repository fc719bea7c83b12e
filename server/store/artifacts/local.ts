// Artifacts in folders of a local disk, where MLflow puts them: staged beside them on the same file system, flushed,
// and renamed into place. The manifest lies beside the folder, never in it, so that MLflow does not list it.
import { constants } from "node:fs";
import { lstat, open, readdir, readFile, realpath, statfs } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { ApiError, type ModelFile, ModelFileSchema } from "@modelwire/proto";
import type { ArtifactStore, Content, Leftover } from "../artifact-store.ts";
import type { Failpoint } from "../failpoint.ts";
import { ContentIndex } from "./content-index.ts";
import { codeOf, Disk, diskFull } from "./disk.ts";
import { KeptContents } from "./kept.ts";
import { LocalWrite, type LocalWriteDeps } from "./local-write.ts";
import { manifestFile, readManifest } from "./manifest.ts";
import { StagingArea } from "./staging.ts";

/** Name of the staging area in the artifact root. MLflow's tools only look at folders that rows or digits name. */
const STAGING = ".modelwire-staging";

/** The same for contents that are kept for the next try of an upload. */
const KEPT = ".modelwire-kept";

/** What Python leaves in a model's folder when it loads it. */
const LEFT_BY_PYTHON = new Set(["registered_model_meta", "__pycache__"]);

const DEFAULT_CHUNK_BYTES = 256 << 10;

export interface LocalArtifactStoreOptions {
  /** Further folders under which artifacts may be read, absolute; none when absent. */
  alsoRead?: readonly string[];
  /** Most bytes that are kept of uploads which did not come about; 64 GiB when absent. */
  keptBytes?: number;
  /** Milliseconds since 1970; Date.now when absent. */
  now?: () => number;
  failpoint?: Failpoint;
}

export class LocalArtifactStore implements ArtifactStore {
  readonly #roots: readonly string[];
  readonly #disk: Disk;
  readonly #staging: StagingArea;
  readonly #kept: KeptContents;
  readonly #contents: ContentIndex;

  private constructor(
    roots: readonly string[],
    parts: { disk: Disk; staging: StagingArea; kept: KeptContents; contents: ContentIndex },
  ) {
    this.#roots = roots;
    this.#disk = parts.disk;
    this.#staging = parts.staging;
    this.#kept = parts.kept;
    this.#contents = parts.contents;
  }

  /** @param artifactRoot Absolute real folder of all experiments' folders; made when absent. */
  static async open(artifactRoot: string, options: LocalArtifactStoreOptions = {}): Promise<LocalArtifactStore> {
    const { failpoint, alsoRead = [], keptBytes = 64 * 2 ** 30, now = Date.now } = options;
    const disk = new Disk(failpoint);
    // Before the staging area, whose folder is private: the models are not.
    await disk.makeFolder(artifactRoot);
    const kept = new KeptContents(join(artifactRoot, KEPT), disk, keptBytes, now);
    disk.makeRoom = () => kept.free();
    await kept.trim();
    const staging = await StagingArea.open(join(artifactRoot, STAGING), disk);
    const contents = new ContentIndex(artifactRoot);
    return new LocalArtifactStore([artifactRoot, ...alsoRead], { disk, staging, kept, contents });
  }

  checkRoot(root: string): void {
    this.#folderOf(root);
  }

  async begin(id: string): Promise<LocalWrite> {
    this.#disk.assertWritable();
    const claimed = await this.#staging.claim(id);
    return LocalWrite.begin(
      claimed,
      this.#writeDeps(checkSpace(claimed), () => this.#staging.release(id)),
    );
  }

  async held(contents: readonly Content[]): Promise<number[]> {
    await this.#kept.trim();
    await this.#contents.refresh();
    const held: number[] = [];
    for (const content of contents) {
      const inModel = !(await this.#contents.find(content).next()).done;
      held.push(inModel ? content.sizeBytes : await this.#kept.length(content));
    }
    return held;
  }

  async list(root: string): Promise<ModelFile[]> {
    const folder = await this.materialize(root);
    const manifest = await readManifest(manifestFile(folder));
    const digests = new Map(manifest?.files.map((file) => [file.path, file]));
    const found = (await walk(folder, "")).files;
    const paths = manifest ? found.filter((path) => digests.has(path)) : found;
    const files: ModelFile[] = [];
    for (const path of paths.sort(byText)) {
      const stat = await lstat(join(folder, path)).catch(absent);
      if (!stat?.isFile()) continue;
      const known = digests.get(path);
      const sha256 = known?.size === stat.size ? known.sha256 : "";
      files.push(create(ModelFileSchema, { path, sizeBytes: BigInt(stat.size), sha256 }));
    }
    return files;
  }

  async links(root: string): Promise<string[]> {
    return (await walk(await this.materialize(root), "")).links;
  }

  async open(root: string, path: string, { offset = 0, chunkBytes = DEFAULT_CHUNK_BYTES } = {}) {
    const file = await this.#find(root, path);
    const size = Number(file.sizeBytes);
    if (offset > size)
      throw new ApiError(
        "OFFSET_OUT_OF_RANGE",
        `offset ${offset} lies behind the end of "${path}", which has ${size} bytes`,
        { metadata: { offset: String(offset), size_bytes: String(size) } },
      );
    return { file, chunks: readChunks(join(await this.materialize(root), path), offset, size, chunkBytes) };
  }

  async readText(root: string, path: string, maxBytes: number): Promise<string | undefined> {
    const full = await this.#real(root, path);
    const info = full === undefined ? undefined : await lstat(full).catch(absent);
    if (full === undefined || !info?.isFile()) return undefined;
    if (info.size <= maxBytes) return await readFile(full, "utf8");
    throw new ApiError("MODEL_INVALID", `the model's ${path} has ${info.size} bytes, more than ${maxBytes}`);
  }

  async materialize(root: string): Promise<string> {
    const folder = this.#folderOf(root);
    if ((await lstat(folder).catch(absent))?.isDirectory()) return folder;
    throw new ApiError("ARTIFACT_NOT_FOUND", `the folder ${folder} is not there, though the database says so`);
  }

  async notes(root: string) {
    return (await readManifest(manifestFile(this.#folderOf(root))))?.notes;
  }

  async *leftovers(): AsyncGenerator<Leftover> {
    for await (const { id, folder } of this.#staging.leftBehind()) {
      const deps = this.#writeDeps(
        async () => {},
        () => this.#disk.remove(folder),
      );
      const write = await LocalWrite.leftBehind(folder, deps);
      const discard = async (root: string | undefined) => {
        await write.keep();
        await write.abort(root);
      };
      yield { id, discard };
    }
  }

  async close(): Promise<void> {
    await this.#staging.close();
  }

  #writeDeps(checkSpace: LocalWriteDeps["checkSpace"], release: LocalWriteDeps["release"]): LocalWriteDeps {
    const folderOf = (root: string) => this.#folderOf(root);
    return {
      disk: this.#disk,
      kept: this.#kept,
      contents: this.#contents,
      folderOf,
      checkSpace,
      release,
    };
  }

  async #find(root: string, path: string): Promise<ModelFile> {
    const file = (await this.#real(root, path)) && (await this.list(root)).find((file) => file.path === path);
    if (file) return file;
    throw new ApiError("ARTIFACT_NOT_FOUND", `the model has no file "${path}"; ListArtifacts gives those it has`, {
      resource: { type: "artifact", name: path },
    });
  }

  /** The file's own path when no part of it is a link; undefined when it is not there. */
  async #real(root: string, path: string): Promise<string | undefined> {
    const parts = path.split("/");
    if (parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\0")) return undefined;
    const folder = await realpath(this.#folderOf(root)).catch(absent);
    if (folder === undefined) return undefined;
    const full = join(folder, path);
    return (await realpath(full).catch(absent)) === full ? full : undefined;
  }

  /** A plain path or file: URI as an absolute folder below one of the roots. */
  #folderOf(root: string): string {
    const folder = root.startsWith("file:") ? fileUriPath(root) : root;
    if (isAbsolute(folder) && resolve(folder) === folder.replace(/\/$/, ""))
      for (const allowed of this.#roots) {
        const inside = relative(allowed, folder);
        if (inside !== "" && inside.split(sep)[0] !== ".." && !isAbsolute(inside)) return folder;
      }
    throw new ApiError(
      "MODEL_NOT_SERVABLE",
      `the files lie at "${root}", outside of ${this.#roots.join(" and ")}; this server only reads and writes there`,
      { metadata: { artifact_location: root } },
    );
  }
}

function fileUriPath(uri: string): string {
  try {
    return fileURLToPath(uri);
  } catch {
    return uri;
  }
}

/** All files and all links below a folder, Python's leavings left out. Links are not followed. */
async function walk(folder: string, prefix: string): Promise<{ files: string[]; links: string[] }> {
  const files: string[] = [];
  const links: string[] = [];
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    if (LEFT_BY_PYTHON.has(entry.name)) continue;
    const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) {
      const below = await walk(folder, path);
      files.push(...below.files);
      links.push(...below.links);
    } else if (entry.isFile()) files.push(path);
    else if (entry.isSymbolicLink()) links.push(path);
  }
  return { files, links };
}

/** Opened only when the first chunk is asked for, so that an iterable which nobody reads holds nothing open. */
async function* readChunks(path: string, offset: number, size: number, chunkBytes: number) {
  const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  try {
    for (let position = offset; position < size; ) {
      const want = Math.min(chunkBytes, size - position);
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(want), 0, want, position);
      if (bytesRead === 0) throw new ApiError("INTERNAL", `${path} became shorter while it was read`);
      yield buffer.subarray(0, bytesRead);
      position += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** Refuses early what cannot fit: an upload of gigabytes should not have to fail at its end. */
function checkSpace(folder: string) {
  return async (bytes: number): Promise<void> => {
    const { bavail, bsize } = await statfs(folder);
    if (bytes > bavail * bsize) throw diskFull();
  };
}

function absent(error: unknown): undefined {
  if (["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"].includes(codeOf(error))) return undefined;
  throw error;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
