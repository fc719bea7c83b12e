// Names what comes of packing some weights: a digest over their contents and the forms they have, the same wherever
// their folder lies. So that gigabytes are not hashed at every load, the digest of a file is remembered together with
// the state in which the file was. It never knows what is kept under the name.
//
// What remembering trusts: that whoever changes a file leaves another inode, size, mtime or ctime behind. Programs can
// set an mtime, but no ctime. It fails for those who write below the file system, set the clock back, or change a page
// that they have mapped and had changed before; a file that was changed within the last seconds is not remembered at
// all, since a further change may bear the same time.

import { createHash, randomBytes } from "node:crypto";
import { readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isRecord } from "./json-fields.ts";
import { openUnchanged, type SourceFile, type WeightSources } from "./packed-weights-source.ts";
import type { TensorSource, WeightPlan } from "./rewrite-result.ts";

export interface ContentKeyOptions {
  /** Where digests are remembered; absent: nowhere. */
  readonly folder?: string;
  /** Called once before anything is hashed, with the bytes that will be; not when everything is remembered. */
  readonly onStart?: (bytes: number) => void;
  /** Called with the bytes that were hashed since the last call. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds since 1970, for tests. */
  readonly now?: () => number;
}

/** How a digest's file is named, for those who tidy up the folder. */
export const digestFile = /^\d+-\d+\.sha256$/;

/** Two of the coarsest times that a file system keeps (FAT's), and ticks of any clock. */
const settledMs = 4_000;
const chunkBytes = 1024 * 1024;

/** 64 hexadecimal digits. @throws ModelFolderError when a file changes meanwhile; the signal's reason */
export async function contentKey(
  plans: readonly WeightPlan[],
  sources: WeightSources,
  options: ContentKeyOptions = {},
): Promise<string> {
  const digests = await digestsOf(sources, options);
  const contentOf = async (source: TensorSource | null) => {
    if (source === null) return null;
    if ("bytes" in source) return { digest: await digestOfBytes(source.bytes, options.signal) };
    return { digest: digests.get(source.file), offset: source.offset, length: source.length };
  };
  const hash = createHash("sha256");
  for (const { name, columns, depth, bits, block, weights, scales, zeroPoints } of plans) {
    const contents = [await contentOf(weights), await contentOf(scales), await contentOf(zeroPoints)];
    hash.update(`${JSON.stringify([name, columns, depth, bits, block, ...contents])}\n`);
  }
  return hash.digest("hex");
}

/** By the file's name. */
async function digestsOf(sources: WeightSources, options: ContentKeyOptions): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const unknown: SourceFile[] = [];
  for (const file of sources.files.values()) {
    const known = await recall(file, options.folder);
    if (known === undefined) unknown.push(file);
    else digests.set(file.name, known);
  }
  if (unknown.length > 0) options.onStart?.(unknown.reduce((sum, { bytes }) => sum + bytes, 0));
  for (const file of unknown) {
    const begun = (options.now ?? Date.now)();
    const digest = await digestOfFile(file, options);
    digests.set(file.name, digest);
    if (isSettled(file, begun)) await remember(file, digest, options.folder);
  }
  return digests;
}

async function digestOfFile(file: SourceFile, { onBytes, signal }: ContentKeyOptions): Promise<string> {
  const hash = createHash("sha256");
  const handle = await openUnchanged(file);
  try {
    for await (const chunk of handle.createReadStream({ highWaterMark: chunkBytes, autoClose: false })) {
      signal?.throwIfAborted();
      hash.update(chunk);
      onBytes?.(chunk.length);
    }
  } finally {
    await handle.close();
  }
  await (await openUnchanged(file)).close();
  return hash.digest("hex");
}

/** Gives way to others between chunks. */
async function digestOfBytes(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    if (at > 0) await nextTurn();
    signal?.throwIfAborted();
    hash.update(bytes.subarray(at, at + chunkBytes));
  }
  return hash.digest("hex");
}

/** Whether any change after `begun` gives the file another time. */
function isSettled({ state }: SourceFile, begun: number): boolean {
  const latest = Math.max(Number(state.mtimeNs), Number(state.ctimeNs)) / 1e6;
  return latest < begun - settledMs;
}

function placeOf({ state: { device, inode } }: SourceFile, folder: string): string {
  return join(folder, `${device}-${inode}.sha256`);
}

/** What was remembered of the file in its present state; undefined when that is nothing, or cannot be read. */
async function recall(file: SourceFile, folder: string | undefined): Promise<string | undefined> {
  if (folder === undefined) return undefined;
  const path = placeOf(file, folder);
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (!isRecord(value) || typeof value.digest !== "string" || !/^[0-9a-f]{64}$/.test(value.digest)) return undefined;
    if (Object.entries(file.state).some(([field, now]) => value[field] !== now)) return undefined;
    const now = new Date();
    await utimes(path, now, now).catch(() => {}); // a sweep removes what is not used
    return value.digest;
  } catch {
    return undefined;
  }
}

/** One that cannot be remembered is hashed again the next time, and that is all. */
async function remember(file: SourceFile, digest: string, folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  const path = placeOf(file, folder);
  const temporary = `${path}.${process.pid}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(temporary, `${JSON.stringify({ ...file.state, digest })}\n`);
    await rename(temporary, path);
  } catch {
    await rm(temporary, { force: true }).catch(() => {});
  }
}
