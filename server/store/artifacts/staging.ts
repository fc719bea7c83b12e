// Where folders lie while they are on their way: one folder for each process, locked while that process lives, and in it
// one for each upload. What a dead process left is found by its lock being free.
//
//   .modelwire-staging/<owner>.lock        held by the process
//   .modelwire-staging/<owner>/<id>/       there from before the row is written until after it is final
//   .modelwire-staging/<owner>/<id>/tree/  what the commit renames into place
import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, type Disk, exists } from "./disk.ts";
import { type ProcessLock, removeLockFile, tryLock } from "./process-lock.ts";

/** Only this user may see what is not yet committed. */
const PRIVATE = 0o700;

export class StagingArea {
  readonly #root: string;
  readonly #owner: string;
  readonly #lock: ProcessLock;
  readonly #disk: Disk;

  private constructor(root: string, owner: string, lock: ProcessLock, disk: Disk) {
    this.#root = root;
    this.#owner = owner;
    this.#lock = lock;
    this.#disk = disk;
  }

  static async open(root: string, disk: Disk): Promise<StagingArea> {
    await disk.makeFolder(root, PRIVATE);
    for (;;) {
      const owner = randomUUID();
      const lock = tryLock(lockFile(root, owner));
      // A sweep may have taken the file for a dead process's in the moment before it was locked, and removed it.
      if (lock && (await exists(lockFile(root, owner)))) {
        await disk.makeFolder(join(root, owner), PRIVATE);
        await disk.syncFolder(root);
        return new StagingArea(root, owner, lock, disk);
      }
      lock?.release();
    }
  }

  /** Makes the folder of an upload; its name is on disk when this resolves. */
  async claim(id: string): Promise<string> {
    const folder = join(this.#root, this.#owner, id);
    await this.#disk.makeFolder(folder);
    await this.#disk.syncFolder(join(this.#root, this.#owner));
    return folder;
  }

  async release(id: string): Promise<void> {
    await this.#disk.remove(join(this.#root, this.#owner, id));
  }

  /** Uploads of processes that live no more. Their lock is held meanwhile, so that no two processes sweep the same. */
  async *leftBehind(): AsyncGenerator<{ id: string; folder: string }> {
    for (const owner of await this.#owners()) {
      const lock = tryLock(lockFile(this.#root, owner));
      if (!lock) continue;
      try {
        const folder = join(this.#root, owner);
        for (const id of await names(folder)) yield { id, folder: join(folder, id) };
        await this.#disk.remove(folder);
        await removeLockFile(lockFile(this.#root, owner));
      } finally {
        lock.release();
      }
    }
  }

  /** The process's own folder goes too, unless an upload is left in it, which the next sweep then finds. */
  async close(): Promise<void> {
    const folder = join(this.#root, this.#owner);
    if ((await names(folder)).length === 0) {
      await this.#disk.remove(folder);
      await removeLockFile(lockFile(this.#root, this.#owner));
    }
    this.#lock.release();
  }

  async #owners(): Promise<string[]> {
    const found = (await names(this.#root)).map((name) => name.replace(/\.lock(-journal)?$/, ""));
    return [...new Set(found)].filter((owner) => owner !== this.#owner).sort();
  }
}

function lockFile(root: string, owner: string): string {
  return join(root, `${owner}.lock`);
}

async function names(folder: string): Promise<string[]> {
  return await readdir(folder).catch((error) => {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw error;
  });
}
