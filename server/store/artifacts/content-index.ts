// Where the contents of committed models lie, by digest, as their manifests say; those of deleted models too, as long as
// their files are there. It must never say that a content is as it was: whoever copies one checks its digest.
import { lstat, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Content } from "../artifact-store.ts";
import { codeOf } from "./disk.ts";
import { manifestFile, readManifest } from "./manifest.ts";

interface Place {
  /** The folder that a manifest describes. */
  readonly folder: string;
  /** In it. */
  readonly path: string;
}

export class ContentIndex {
  readonly #root: string;
  readonly #places = new Map<string, Place[]>();
  /** Folders whose manifests were read → the contents in them. A manifest never changes. */
  readonly #known = new Map<string, string[]>();
  #refreshing: Promise<void> | undefined;

  /** @param root Real folder of the experiments' folders, with models in <experiment>/models/<id>/artifacts. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Looks for models that came or went, of other processes too; costs a listing for each experiment, and new manifests. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#scan().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  /** Files that held the content when they were committed, and are still as long. */
  async *find(content: Content): AsyncGenerator<string> {
    for (const { folder, path } of this.#places.get(keyOf(content)) ?? []) {
      const file = join(folder, path);
      const info = await lstat(file).catch(() => undefined);
      // No part of the way may be a link: people and programs may have put one there since.
      if (info?.isFile() && info.size === content.sizeBytes && (await realpath(file).catch(() => "")) === file)
        yield file;
    }
  }

  /** A file that {@link find} gave turned out to hold something else. */
  forget(content: Content, file: string): void {
    const places = this.#places.get(keyOf(content)) ?? [];
    const rest = places.filter(({ folder, path }) => join(folder, path) !== file);
    this.#places.set(keyOf(content), rest);
  }

  async #scan(): Promise<void> {
    const found = new Set<string>();
    for (const experiment of await folders(this.#root))
      for (const id of await folders(join(this.#root, experiment, "models")))
        found.add(join(this.#root, experiment, "models", id, "artifacts"));
    for (const folder of this.#known.keys()) if (!found.has(folder)) this.#drop(folder);
    for (const folder of found) if (!this.#known.has(folder)) await this.#add(folder);
  }

  async #add(folder: string): Promise<void> {
    const manifest = await readManifest(manifestFile(folder)).catch(() => undefined);
    const keys: string[] = [];
    for (const { path, size, sha256 } of manifest?.files ?? []) {
      const content = { sizeBytes: size, sha256 };
      const key = keyOf(content);
      keys.push(key);
      const places = this.#places.get(key);
      if (places) places.push({ folder, path });
      else this.#places.set(key, [{ folder, path }]);
    }
    this.#known.set(folder, keys);
  }

  #drop(gone: string): void {
    for (const key of this.#known.get(gone) ?? []) {
      const rest = (this.#places.get(key) ?? []).filter(({ folder }) => folder !== gone);
      if (rest.length > 0) this.#places.set(key, rest);
      else this.#places.delete(key);
    }
    this.#known.delete(gone);
  }
}

function keyOf({ sha256, sizeBytes }: Content): string {
  return `${sha256}-${sizeBytes}`;
}

/** Names of the folders in a folder, links left out; none when it is not there. */
async function folders(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error) => {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw error;
  });
  return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map((entry) => entry.name);
}
