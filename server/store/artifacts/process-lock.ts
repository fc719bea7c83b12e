// A lock that lasts as long as the process that took it, however that ends: an exclusive transaction on an empty SQLite
// file, since Node has no file locks of its own and a process id may be another process's by tomorrow, or in the next
// container. Never open such a file by other means in the same process: closing it would drop the lock.
import { rm } from "node:fs/promises";
import Sqlite from "libsql";
import { isBusy } from "../sql/busy.ts";

export interface ProcessLock {
  release(): void;
}

/** Takes the lock of `file`, which is made when absent; undefined while anybody has it. */
export function tryLock(file: string): ProcessLock | undefined {
  const connection = new Sqlite(file);
  try {
    connection.exec("PRAGMA busy_timeout = 0");
    connection.exec("PRAGMA journal_mode = MEMORY");
    connection.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    connection.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
  return { release: () => connection.close() };
}

/** Removes a lock's file. To be called while the lock is held. */
export async function removeLockFile(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(`${file}-journal`, { force: true });
}
