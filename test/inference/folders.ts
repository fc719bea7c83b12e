// Copies of a small model folder, to be broken in one place.

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/onnx/${name}`, import.meta.url));
export const tinyPhi3 = fileURLToPath(new URL("../../models/tiny-phi3/onnx", import.meta.url));

export interface FolderCopy {
  readonly path: string;
  write(file: string, content: string | Uint8Array): Promise<void>;
  /** Parses, changes and writes a JSON file. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into JSON of every shape
  edit(file: string, change: (json: any) => void): Promise<void>;
  remove(file: string): Promise<void>;
}

/** Runs `use` on a copy of a fixture, and removes it. */
export async function withFolder<T>(name: string, use: (folder: FolderCopy) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), "model-folder-"));
  try {
    await cp(fixture(name), path, { recursive: true });
    return await use({
      path,
      write: (file, content) => writeFile(join(path, file), content),
      edit: async (file, change) => {
        const json = JSON.parse(await readFile(join(path, file), "utf8"));
        change(json);
        await writeFile(join(path, file), JSON.stringify(json));
      },
      remove: (file) => rm(join(path, file)),
    });
  } finally {
    await rm(path, { recursive: true });
  }
}
