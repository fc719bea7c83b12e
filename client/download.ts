// Brings a model's files into a folder on this machine. It must never write outside that folder, whatever the server says
// its files are called, nor leave a file under its name that is not complete.
import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { lstat, mkdir, open, realpath, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { status } from "@grpc/grpc-js";
import type { ModelFile, ModelService, ServiceClient } from "@modelwire/proto";
import { ApiError, invalidFields } from "@modelwire/proto";
import type { CallOptions } from "./call-options.ts";
import { leaves } from "./model-folder.ts";
import type { Retry } from "./retry.ts";

export interface DownloadProgress {
  /** The file that is being worked on, relative to the folder. */
  path: string;
  /** Bytes that are on this machine, of all files; those that were there before count. */
  bytesReceived: number;
  bytesTotal: number;
  /** Files that are complete. */
  filesReceived: number;
  filesTotal: number;
}

export interface DownloadOptions extends CallOptions {
  /** Called after each piece that was written. */
  onProgress?(progress: DownloadProgress): void;
}

export interface DownloadResult {
  /** The model that the given name meant. */
  modelId: string;
  files: {
    path: string;
    sizeBytes: number;
    /** 64 hexadecimal digits; empty for a model that another program logged, whose files have only their size checked. */
    sha256: string;
    /** `kept`: was there already; `resumed`: the rest of a partial file came; `fetched`: all of it came. */
    how: "kept" | "resumed" | "fetched";
  }[];
}

type Service = ServiceClient<typeof ModelService, CallOptions>;

/** A part file that turns out to hold other bytes is thrown away; so a file is tried at most this often from its start. */
const FRESH_STARTS = 2;

/**
 * Downloads all files of a model. A file grows under `<name>.<digest>.part` and gets its name when its SHA-256 is right.
 * Called again after a failure it keeps complete files and goes on with partial ones.
 *
 * @throws ApiError DATA_LOSS when what came is not what the server said; INVALID_ARGUMENT for file names that would
 * leave the folder, before anything is written.
 */
export async function downloadModel(
  service: Service,
  retry: Retry,
  model: string,
  folder: string,
  options: DownloadOptions = {},
): Promise<DownloadResult> {
  const { signal = new AbortController().signal, timeoutMs, metadata, onProgress } = options;
  const deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  const call = (): CallOptions => ({
    signal,
    metadata,
    timeoutMs: deadline === undefined ? undefined : Math.max(0, deadline - Date.now()),
  });
  const { modelId, files } = await service.listArtifacts({ model }, call());
  checkPaths(files);
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  const bytesTotal = files.reduce((sum, file) => sum + Number(file.sizeBytes), 0);
  const progress = { path: "", bytesReceived: 0, bytesTotal, filesReceived: 0, filesTotal: files.length };
  const result: DownloadResult = { modelId, files: [] };
  for (const file of files) {
    const before = progress.bytesReceived;
    const report = (bytes: number, filesReceived = progress.filesReceived) => {
      Object.assign(progress, { path: file.path, bytesReceived: before + bytes, filesReceived });
      onProgress?.({ ...progress });
    };
    const target = await placeFor(root, file.path);
    let how: "kept" | "resumed" | "fetched" = "kept";
    if (!(await isComplete(target, file))) {
      const fetch = (offset: number) =>
        service.downloadArtifact({ model: modelId, path: file.path, offsetBytes: BigInt(offset) }, call());
      how = await fetchFile(file, target, fetch, report, (error, attempt) =>
        retry.again(error, attempt, { signal, deadline }),
      );
    }
    report(Number(file.sizeBytes), progress.filesReceived + 1);
    result.files.push({ path: file.path, sizeBytes: Number(file.sizeBytes), sha256: file.sha256, how });
  }
  return result;
}

/** Fetches one file, going on where it broke off. Attempts count from the last one that brought something. */
async function fetchFile(
  file: ModelFile,
  target: string,
  fetch: (offset: number) => ReturnType<Service["downloadArtifact"]>,
  report: (bytes: number) => void,
  again: (error: unknown, attempt: number) => Promise<boolean>,
): Promise<"resumed" | "fetched"> {
  const part = `${target}.${file.sha256 ? file.sha256.slice(0, 16) : "unverified"}.part`;
  let resumed = false;
  let freshStarts = 0;
  for (let attempt = 1, reached = 0; ; attempt++) {
    // Without a digest nobody could tell whether what is there belongs to this file.
    const flags =
      constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0) | (file.sha256 ? 0 : constants.O_TRUNC);
    const handle = await open(part, flags, 0o666);
    try {
      const sha256 = createHash("sha256");
      const offset = await hashWhatIsThere(handle, Number(file.sizeBytes), sha256);
      if (offset > 0) resumed = true;
      else freshStarts++;
      report(offset);
      const size = await receive(file, handle, offset, fetch(offset), sha256, report);
      const digest = sha256.digest("hex");
      if (size === Number(file.sizeBytes) && (file.sha256 === "" || digest === file.sha256)) {
        await handle.sync();
        await handle.close();
        await rename(part, target);
        return resumed ? "resumed" : "fetched";
      }
      await handle.truncate(0);
      resumed = false;
      if (offset === 0 && freshStarts >= FRESH_STARTS) throw mismatch(file, size, digest);
    } catch (error) {
      const size = await handle.stat().then(
        (info) => info.size,
        () => reached,
      );
      if (size > reached) attempt = 1;
      reached = size;
      if (!(await again(error, attempt))) throw error;
    } finally {
      await handle.close().catch(() => {}); // closed already when the file is complete
    }
  }
}

/** Writes what comes and gives the file's length. Stops at once when more comes than was announced. */
async function receive(
  file: ModelFile,
  handle: FileHandle,
  offset: number,
  responses: ReturnType<Service["downloadArtifact"]>,
  sha256: Hash,
  report: (bytes: number) => void,
): Promise<number> {
  let size = offset;
  for await (const { message } of responses) {
    if (message.case !== "data") continue;
    if (size + message.value.length > Number(file.sizeBytes)) return size + message.value.length;
    sha256.update(message.value);
    await handle.write(message.value, 0, message.value.length, size);
    size += message.value.length;
    report(size);
  }
  return size;
}

/** Feeds a part file into the hash and gives its length; one that is longer than the file can be is emptied. */
async function hashWhatIsThere(handle: FileHandle, sizeBytes: number, sha256: Hash): Promise<number> {
  const { size } = await handle.stat();
  if (size > sizeBytes) {
    await handle.truncate(0);
    return 0;
  }
  const buffer = Buffer.allocUnsafe(256 * 1024);
  let read = 0;
  while (read < size) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - read), read);
    if (bytesRead === 0) break;
    sha256.update(buffer.subarray(0, bytesRead));
    read += bytesRead;
  }
  return read;
}

/** Whether the file is there already, with the right bytes. Without a digest that cannot be known. */
async function isComplete(target: string, file: ModelFile): Promise<boolean> {
  const info = await lstat(target).catch(() => undefined);
  if (!info?.isFile() || info.size !== Number(file.sizeBytes) || file.sha256 === "") return false;
  const sha256 = createHash("sha256");
  for await (const chunk of createReadStream(target)) sha256.update(chunk as Buffer);
  return sha256.digest("hex") === file.sha256;
}

/** @throws ApiError that lists every path which does not stay inside, or which another file needs as its folder. */
function checkPaths(files: readonly ModelFile[]): void {
  const paths = new Set(files.map((file) => file.path));
  const violations = [...paths].flatMap((path) => {
    const parts = path.split("/");
    const parents = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("/"));
    const hostile = parts.some((part) => part === "" || part === "." || part === "..") || /[\\\0]|^[a-z]:/i.test(path);
    if (hostile) return [{ field: path, description: "would leave the folder; nothing was written" }];
    if (parents.some((parent) => paths.has(parent)))
      return [{ field: path, description: "lies in what is a file too" }];
    return [];
  });
  if (paths.size < files.length) violations.push({ field: "files", description: "the server names a file twice" });
  if (violations.length > 0) throw invalidFields(violations, "INVALID_PATH");
}

/** Where a file goes. Makes its folders, and makes sure that no link among them leads out. */
async function placeFor(root: string, path: string): Promise<string> {
  const target = join(root, ...path.split("/"));
  let parent = root;
  for (const part of path.split("/").slice(0, -1)) {
    parent = join(parent, part);
    await mkdir(parent).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    if (leaves(root, await realpath(parent))) {
      throw invalidFields([{ field: path, description: `${parent} is a link that leaves the folder` }], "INVALID_PATH");
    }
  }
  if ((await lstat(target).catch(() => undefined))?.isDirectory()) {
    throw invalidFields([{ field: path, description: `${dirname(target)} has a folder of this name` }], "INVALID_PATH");
  }
  return target;
}

function mismatch(file: ModelFile, size: number, digest: string): ApiError {
  const metadata = { path: file.path, expected_sha256: file.sha256, actual_sha256: digest };
  const message = `${file.path}: expected ${file.sizeBytes} bytes with SHA-256 ${file.sha256 || "unknown"}, received ${size} with ${digest}`;
  return new ApiError({ code: status.DATA_LOSS, reason: "DIGEST_MISMATCH" }, message, { metadata });
}
