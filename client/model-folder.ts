// The files of a model folder on this machine, in one order for everybody, and their digests. It must never know what is
// in them, nor that there is a server.
import { createHash } from "node:crypto";
import { lstat, open, readdir, realpath, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { status } from "@grpc/grpc-js";
import type { FieldViolation } from "@modelwire/proto";
import { ApiError, invalidFields } from "@modelwire/proto";

/** A file to be sent. */
export interface FolderFile {
  /** Relative to the folder, with "/" between the parts. */
  path: string;
  /** Where it lies on this machine. */
  location: string;
  sizeBytes: number;
}

/** A file whose bytes were read once. */
export interface HashedFile extends FolderFile {
  /** 64 lower-case hexadecimal digits. */
  sha256: string;
  /** When it was last written to, in milliseconds since 1970. */
  modifiedMs: number;
}

const READ_BYTES = 1024 * 1024;

/**
 * All regular files below a folder, sorted by the bytes of their path. Symbolic links are followed as long as they stay inside
 * the folder. A folder without files has nothing to send and leaves no trace.
 *
 * @throws ApiError INVALID_ARGUMENT that lists everything which is not a file, a folder, or a link inside.
 */
export async function listModelFolder(folder: string): Promise<FolderFile[]> {
  const root = await realpath(folder).catch((cause: unknown) => {
    throw invalidFolder([{ field: folder, description: `cannot be opened: ${reasonOf(cause)}` }]);
  });
  if (!(await stat(root)).isDirectory()) {
    throw invalidFolder([{ field: folder, description: "is a file; give the folder that holds the model" }]);
  }
  const files: FolderFile[] = [];
  const violations: FieldViolation[] = [];
  await walk(root, "", [root]);
  if (files.length === 0 && violations.length === 0) {
    violations.push({ field: folder, description: "holds no file" });
  }
  if (violations.length > 0) throw invalidFolder(violations);
  return files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));

  /** @param inside the real folders that lead here: a link back to one of them would never end */
  async function walk(directory: string, prefix: string, inside: readonly string[]): Promise<void> {
    for (const name of await readdir(directory)) {
      const path = prefix + name;
      const location = join(directory, name);
      const problem = await visit(path, location, inside).catch(
        (cause: unknown) => `cannot be read: ${reasonOf(cause)}`,
      );
      if (problem) violations.push({ field: path, description: problem });
    }
  }

  async function visit(path: string, location: string, inside: readonly string[]): Promise<string | undefined> {
    let target = location;
    if ((await lstat(location)).isSymbolicLink()) {
      target = await realpath(location);
      if (leaves(root, target))
        return "is a link that leaves the folder; copy the folder with `cp -rL` and log the copy";
      if (inside.includes(target)) return "is a link to a folder that it lies in";
    }
    const info = await stat(target);
    if (info.isDirectory()) await walk(target, `${path}/`, [...inside, target]);
    else if (info.isFile()) files.push({ path, location: target, sizeBytes: info.size });
    else return "is neither a file nor a folder";
    return undefined;
  }
}

/**
 * Reads a file once for its digest.
 *
 * @param onBytes Told of each piece's length.
 * @throws ApiError ABORTED when it has not the length that it had, or is written to meanwhile; CANCELLED.
 */
export async function hashFile(
  file: FolderFile,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<HashedFile> {
  const handle = await open(file.location, "r").catch((cause: unknown) => {
    throw changed(file, "cannot be opened any more", cause);
  });
  try {
    const before = await handle.stat();
    const sha256 = createHash("sha256");
    const buffers = [0, 1].map(() => Buffer.allocUnsafe(Math.min(READ_BYTES, file.sizeBytes + 1)));
    const read = (index: number) => {
      const buffer = buffers[index % 2] as Buffer;
      const reading = handle.read(buffer, 0, buffer.length, index * buffer.length);
      reading.catch(() => {}); // nobody waits for the one after the end
      return reading;
    };
    let size = 0;
    // The next piece is read while one is hashed.
    for (let index = 0, next = read(0); size <= file.sizeBytes; index++) {
      const { bytesRead, buffer } = await next;
      if (signal.aborted)
        throw new ApiError({ code: status.CANCELLED }, "the caller cancelled", { cause: signal.reason });
      if (bytesRead === 0) break;
      size += bytesRead;
      next = read(index + 1);
      sha256.update(buffer.subarray(0, bytesRead));
      onBytes(bytesRead);
    }
    const after = await handle.stat();
    if (size !== file.sizeBytes) throw changed(file, `had ${file.sizeBytes} bytes and has ${after.size} now`);
    if (after.mtimeMs !== before.mtimeMs) throw changed(file, "was written to");
    return { ...file, sha256: sha256.digest("hex"), modifiedMs: before.mtimeMs };
  } finally {
    await handle.close();
  }
}

/** ABORTED, for a file that did something which the sending of its folder cannot survive. */
export function changed(file: FolderFile, what: string, cause?: unknown): ApiError {
  const message = `${file.path} ${what} while the folder was being sent; wait until nothing writes to it, then log it again`;
  return new ApiError({ code: status.ABORTED }, message, { cause });
}

/** Whether a path lies outside a folder. Both absolute, without links. */
export function leaves(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === ".." || way.startsWith(`..${sep}`) || way.startsWith(sep) || /^[a-z]:/i.test(way);
}

function invalidFolder(violations: readonly FieldViolation[]) {
  return invalidFields(violations, "INVALID_PATH");
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
