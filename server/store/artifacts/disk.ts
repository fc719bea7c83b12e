// The operations on a disk that must survive a crash, and what their errors mean. It must never know what it writes.
import { constants } from "node:fs";
import { appendFile, copyFile, type FileHandle, lstat, mkdir, open, rename, rm, truncate } from "node:fs/promises";
import { ApiError } from "@modelwire/proto";
import { type Failpoint, noFailpoint } from "../failpoint.ts";

export class Disk {
  /** Called when the disk is full; true when it made room. */
  makeRoom: () => Promise<boolean> = async () => false;
  readonly #failpoint: Failpoint;
  #broken: unknown;

  constructor(failpoint: Failpoint = noFailpoint) {
    this.#failpoint = failpoint;
  }

  /** @throws ApiError INTERNAL when a flush has failed before: the system may have dropped what it could not write. */
  assertWritable(): void {
    if (this.#broken === undefined) return;
    throw new ApiError(
      "INTERNAL",
      "the store takes no more files: flushing to its disk has failed; see to the disk, then restart the server",
      { cause: this.#broken },
    );
  }

  async makeFolder(path: string, mode?: number): Promise<string | undefined> {
    return await this.#step("make folder", path, () => mkdir(path, { recursive: true, mode }));
  }

  /** A new file, which must not be there; a link in its place is not followed. */
  async create(path: string): Promise<FileHandle> {
    return await this.#step("create", path, () => open(path, "wx"));
  }

  /** A file that is there, to be written on from `length`; what lies behind is cut off. */
  async reopen(path: string, length: number): Promise<FileHandle> {
    return await this.#step("reopen", path, async () => {
      await truncate(path, length);
      return await open(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
    });
  }

  /** Parts one after the other, from a position on. May be tried again after an error: the same goes to the same place. */
  async write(file: FileHandle, path: string, parts: readonly Uint8Array[], position: number): Promise<void> {
    await this.#step("write", path, async () => {
      const all = parts.reduce((sum, part) => sum + part.length, 0);
      const { bytesWritten } = await file.writev(parts, position);
      if (bytesWritten === all) return;
      // A disk that is nearly full takes a part; the rest then says why.
      const rest = Buffer.concat(parts).subarray(bytesWritten);
      for (let done = 0; done < rest.length; )
        done += (await file.write(rest, done, rest.length - done, position + bytesWritten + done)).bytesWritten;
    });
  }

  /** Adds a line of text to a file that needs no flush. */
  async appendLine(path: string, line: string): Promise<void> {
    await this.#step("write", path, () => appendFile(path, `${line}\n`));
  }

  /** A copy that shares its blocks where the file system can, and is independent in any case. */
  async copy(from: string, to: string): Promise<void> {
    await this.#step("copy", to, () => copyFile(from, to, constants.COPYFILE_FICLONE));
  }

  async syncFile(file: FileHandle, path: string): Promise<void> {
    await this.#step("sync", path, () => file.sync());
  }

  /** Puts the names in a folder on disk. Windows has no such call, and does it by itself. */
  async syncFolder(path: string): Promise<void> {
    await this.#step("sync folder", path, async () => {
      if (process.platform === "win32") return;
      const folder = await open(path, "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    });
  }

  /** @throws ApiError INTERNAL when `to` is there already. */
  async rename(from: string, to: string): Promise<void> {
    await this.#step("rename", to, async () => {
      // POSIX lets a folder replace an empty one, so that must be asked for.
      if (await exists(to)) throw new ApiError("INTERNAL", `${to} exists already, and nothing is ever overwritten`);
      await rename(from, to);
    });
  }

  /** Removes a file or a folder with all that is in it; no error when it is not there. Links are not followed. */
  async remove(path: string): Promise<void> {
    await this.#step("remove", path, () => rm(path, { recursive: true, force: true, maxRetries: 3 }));
  }

  async #step<T>(verb: string, path: string, work: () => Promise<T>, again = true): Promise<T> {
    try {
      this.#failpoint(`${verb} ${path}`);
      return await work();
    } catch (error) {
      const flush = verb.startsWith("sync");
      if (!isFull(error)) {
        if (flush) this.#broken = error;
        throw error;
      }
      const room = again && verb !== "remove" && (await this.makeRoom());
      // A flush that failed may have dropped what it could not write: a second one would say that all is well.
      if (!room || flush) throw diskFull(error);
      return await this.#step(verb, path, work, false);
    }
  }
}

export async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    (error) => {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return false;
      throw error;
    },
  );
}

export function diskFull(cause?: unknown): ApiError {
  return new ApiError("STORAGE_FULL", "the disk under the store is full; nothing was kept of this upload", { cause });
}

/** The code of a system error, such as "ENOENT"; empty for other errors. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EFBIG"].includes(codeOf(error));
}
