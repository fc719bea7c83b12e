// The manifest of a folder that this server wrote: its files with their digests, and the writer's notes. It lies beside
// the folder and is written before the folder appears.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Content } from "../artifact-store.ts";
import { codeOf } from "./disk.ts";
import { pathProblems } from "./path-rules.ts";

export interface Manifest {
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
  readonly notes: Readonly<Record<string, unknown>>;
}

export const MANIFEST = "manifest.json";

/** @param folder The folder of files. */
export function manifestFile(folder: string): string {
  return join(dirname(folder.replace(/\/+$/, "")), MANIFEST);
}

export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify({ format: "modelwire-manifest/1", ...manifest }, null, 1)}\n`;
}

/** Undefined when there is none, or one that is not ours. Entries that could not be ours are left out. */
export async function readManifest(file: string): Promise<Manifest | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
  const value = parse(text);
  if (value?.format !== "modelwire-manifest/1" || !Array.isArray(value.files)) return undefined;
  return { files: value.files.filter(isEntry), notes: value.notes };
}

function isEntry(value: unknown): boolean {
  if (typeof value !== "object" || value === null || !("path" in value) || !("size" in value)) return false;
  const { path, size, ...rest } = value;
  return typeof path === "string" && pathProblems(path).length === 0 && isContent({ ...rest, sizeBytes: size });
}

/** Whether a value names a content: a length and a digest as they should be. */
export function isContent(value: unknown): value is Content {
  if (typeof value !== "object" || value === null || !("sizeBytes" in value) || !("sha256" in value)) return false;
  const { sizeBytes, sha256 } = value;
  const isDigest = typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256);
  return isDigest && Number.isSafeInteger(sizeBytes) && (sizeBytes as number) >= 0;
}

function parse(text: string): (Manifest & { format?: string }) | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
