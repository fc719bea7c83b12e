// The manifest of a folder that this server wrote: its files with their digests, and the writer's notes. It lies beside
// the folder and is written before the folder appears.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { codeOf } from "./disk.ts";

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

/** Undefined when there is none, or one that is not ours. */
export async function readManifest(file: string): Promise<Manifest | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
  const value = parse(text);
  return value?.format === "modelwire-manifest/1" && Array.isArray(value.files) ? value : undefined;
}

function parse(text: string): (Manifest & { format?: string }) | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
