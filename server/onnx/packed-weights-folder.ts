// The folder in which packed weights are kept, beside the store: how files appear in it whole, and which are swept. Many
// processes use it at once, of any version, and none of them waits for another. It never looks into a file.
//
//   <key>-v<layout>.packed             weights; the mtime is that of the last use
//   <key>-v….<pid>.<random>.tmp        one that is being written
//   <device>-<inode>.sha256            a digest that content-key.ts remembers
//
// What is removed while another process has it mapped stays there for that process.

import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs, utimes } from "node:fs/promises";
import { join } from "node:path";
import { digestFile } from "./content-key.ts";

/** The folder cannot be used. Models are loaded without. */
export class CacheError extends Error {
  override readonly name = "CacheError";
  /** @param cause its message is told without the paths in it */
  constructor(what: string, cause: unknown) {
    super(`${what}: ${(cause as Error).message.split(", ")[0]}`, { cause });
  }
}

interface SweepOptions {
  /** Of all packed files; the least recently used go first. Default: unlimited. */
  readonly maxBytes?: number;
  /** Of a file that is about to be written. */
  readonly comingBytes?: number;
}

const hourMs = 3_600_000;
const unusedMs = 30 * 24 * hourMs;
/** A process that packs writes all the time; its id may mean nothing to us, in another container. */
const staleMs = hourMs / 6;
const packedFile = /^[0-9a-f]{64}-v(\d+)\.packed$/;
const temporaryFile = /\.(\d+)\.[0-9a-f]+\.tmp$/;

export class PackedFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the folder where it is not there. @throws CacheError */
  static async open(path: string): Promise<PackedFolder> {
    try {
      await mkdir(path, { recursive: true });
      return new PackedFolder(path);
    } catch (error) {
      throw new CacheError("The folder of packed weights cannot be made", error);
    }
  }

  fileOf(key: string, layoutVersion: number): string {
    return join(this.path, `${key}-v${layoutVersion}.packed`);
  }

  /** Says that a file was used now. One that belongs to somebody else stays as it is. */
  async touch(file: string): Promise<void> {
    const now = new Date();
    await utimes(file, now, now).catch(() => {});
  }

  /** Removes a file that is not what its name says; the next one would take its place in any case. */
  async discard(file: string): Promise<void> {
    await rm(file, { force: true }).catch(() => {});
  }

  /**
   * Has a file written under a name of its own, and gives it the name `file` when all of it is on the disk. Another of
   * that name is replaced: both hold the same. Whatever goes wrong, nothing is left.
   * @throws CacheError when the disk does not take it; what `write` throws
   */
  async write(file: string, bytes: number, write: (file: WritingFile) => Promise<void>): Promise<void> {
    await this.#assertRoom(bytes);
    const temporary = `${file}.${process.pid}.${randomBytes(6).toString("hex")}.tmp`;
    const handle = await written(() => open(temporary, "wx"));
    try {
      try {
        await write(new WritingFile(handle));
        await written(() => handle.truncate(bytes));
        await written(() => handle.sync());
      } finally {
        await written(() => handle.close()); // a network's file system may say only here that it is full
      }
      await written(() => rename(temporary, file)).catch(async (error: unknown) => {
        // Windows does not replace a file that somebody has mapped; that one is as good.
        if ((await stat(file).catch(() => undefined))?.size !== bytes) throw error;
        await rm(temporary, { force: true });
      });
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
    await written(() => syncFolder(this.path));
  }

  /**
   * Removes what dead processes were writing, what was not used for 30 days, what is of another layout, and what exceeds
   * the limit; never what was used within the hour, since a process of another version may be about to map it.
   */
  async sweep(layoutVersion: number, options: SweepOptions = {}): Promise<void> {
    const { maxBytes = Number.POSITIVE_INFINITY, comingBytes = 0 } = options;
    const now = Date.now();
    const kept: { path: string; bytes: number; ageMs: number }[] = [];
    for (const name of await readdir(this.path).catch(() => [])) {
      const path = join(this.path, name);
      const info = await stat(path).catch(() => undefined);
      if (!info?.isFile()) continue;
      const ageMs = now - info.mtimeMs;
      const pid = temporaryFile.exec(name)?.[1];
      const layout = packedFile.exec(name)?.[1];
      if (pid !== undefined) {
        if (ageMs > hourMs || (ageMs > staleMs && !isRunning(Number(pid)))) await this.discard(path);
      } else if (digestFile.test(name)) {
        if (ageMs > unusedMs) await this.discard(path);
      } else if (layout !== undefined) {
        const unwanted = ageMs > unusedMs || Number(layout) !== layoutVersion;
        if (unwanted && ageMs > hourMs) await this.discard(path);
        else kept.push({ path, bytes: info.size, ageMs });
      }
    }
    let total = kept.reduce((sum, { bytes }) => sum + bytes, comingBytes);
    kept.sort((a, b) => b.ageMs - a.ageMs);
    for (const { path, bytes, ageMs } of kept) {
      if (total <= maxBytes || ageMs <= hourMs) break;
      await this.discard(path);
      total -= bytes;
    }
  }

  /** So that a full disk is known before minutes of packing. A quota shows only when it is written. */
  async #assertRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await written(() => statfs(this.path));
    if (bavail * bsize >= bytes) return;
    throw new CacheError(cannotBeKept, new Error(`${bytes} bytes are needed and ${bavail * bsize} are free`));
  }
}

/** A file on its way. */
export class WritingFile {
  readonly #handle: FileHandle;

  /** For `PackedFolder` alone. */
  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** May be called again before it has ended. @throws CacheError */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    // A disk that is nearly full takes a part; the rest then says why.
    for (let done = 0; done < bytes.length; ) {
      const rest = Math.min(writeBytes, bytes.length - done);
      const { bytesWritten } = await written(() => this.#handle.write(bytes, done, rest, position + done));
      done += bytesWritten;
    }
  }
}

/** Of one call: others' files wait for the same threads of libuv. */
const writeBytes = 8 * 1024 * 1024;
const cannotBeKept = "The packed weights cannot be kept on the disk";

async function written<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw new CacheError(cannotBeKept, error);
  }
}

/** Puts the names in a folder on disk. Windows has no such call, and does it by itself. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // somebody else's
  }
}
