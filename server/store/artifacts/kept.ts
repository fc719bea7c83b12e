// Contents that uploads which did not come about have left, for a day: each under its digest and length, whole or only
// its beginning. Nothing here is believed: whoever takes a content checks its digest. Several processes may share it.
//
//   .modelwire-kept/<sha256>-<length>   as many of its bytes as have arrived
import { lstat, readdir, rename, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Content } from "../artifact-store.ts";
import { codeOf, type Disk } from "./disk.ts";

const KEPT_MS = 24 * 3600 * 1000;

export class KeptContents {
  readonly #folder: string;
  readonly #disk: Disk;
  readonly #maxBytes: number;
  readonly #now: () => number;

  /** @param maxBytes Most bytes of all that is kept. @param now Milliseconds since 1970. */
  constructor(folder: string, disk: Disk, maxBytes: number, now: () => number) {
    this.#folder = folder;
    this.#disk = disk;
    this.#maxBytes = maxBytes;
    this.#now = now;
  }

  /** How many bytes of a content's beginning are here. */
  async length(content: Content): Promise<number> {
    const size = await fileSize(this.#place(content));
    return size !== undefined && size <= content.sizeBytes ? size : 0;
  }

  /** Moves what is here of a content to a place that is free. False when there is nothing. */
  async take(content: Content, to: string): Promise<boolean> {
    try {
      await this.#disk.rename(this.#place(content), to);
      return true;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  /** Moves a file here that holds a content or its beginning, unless more of it is here already. */
  async keep(file: string, content: Content): Promise<void> {
    const size = await fileSize(file);
    if (size === undefined || size === 0 || size > content.sizeBytes || size > this.#maxBytes) return;
    if (size <= (await this.length(content))) return;
    await this.#disk.makeFolder(this.#folder, 0o700);
    const now = this.#now() / 1000;
    await utimes(file, now, now);
    await rename(file, this.#place(content));
  }

  /** Removes what is older than a day, and the oldest while there is too much. */
  async trim(): Promise<void> {
    const all = (await this.#all()).sort((a, b) => b.keptMs - a.keptMs);
    let bytes = 0;
    for (const { path, size, keptMs } of all) {
      bytes += size;
      if (bytes > this.#maxBytes || keptMs < this.#now() - KEPT_MS) await this.#disk.remove(path);
    }
  }

  /** Removes everything, since the disk is wanted for more. False when there was nothing. */
  async free(): Promise<boolean> {
    const all = await this.#all();
    for (const { path } of all) await this.#disk.remove(path);
    return all.length > 0;
  }

  async #all(): Promise<{ path: string; size: number; keptMs: number }[]> {
    const names = await readdir(this.#folder).catch((error) => {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    });
    const all = [];
    for (const name of names) {
      const path = join(this.#folder, name);
      const info = await lstat(path).catch(() => undefined); // another process has taken it
      if (info) all.push({ path, size: info.size, keptMs: info.mtimeMs });
    }
    return all;
  }

  #place({ sha256, sizeBytes }: Content): string {
    return join(this.#folder, `${sha256}-${sizeBytes}`);
  }
}

/** Undefined for what is no plain file. */
async function fileSize(path: string): Promise<number | undefined> {
  const info = await lstat(path).catch(() => undefined);
  return info?.isFile() ? info.size : undefined;
}
