// What an upload's files hold, in a file beside them, so that after a crash it is known what was on its way. It is not
// flushed: what it says is checked by digest before it is used.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Content } from "../artifact-store.ts";
import { codeOf, type Disk } from "./disk.ts";
import { isContent } from "./manifest.ts";
import { pathProblems } from "./path-rules.ts";

export class UploadJournal {
  readonly #file: string;
  readonly #disk: Disk;
  readonly #contents: Map<string, Content>;

  private constructor(file: string, disk: Disk, contents: Map<string, Content>) {
    this.#file = file;
    this.#disk = disk;
    this.#contents = contents;
  }

  /** @param claimed The upload's folder, which has none yet. */
  static begin(claimed: string, disk: Disk): UploadJournal {
    return new UploadJournal(join(claimed, "journal"), disk, new Map());
  }

  /** What a dead process has written; empty when there is none. */
  static async read(claimed: string, disk: Disk): Promise<UploadJournal> {
    const file = join(claimed, "journal");
    const text = await readFile(file, "utf8").catch((error) => {
      if (codeOf(error) === "ENOENT") return "";
      throw error;
    });
    const contents = new Map<string, Content>();
    for (const line of text.split("\n")) {
      const entry = parse(line);
      if (entry) contents.set(entry.path, { sizeBytes: entry.sizeBytes, sha256: entry.sha256 });
    }
    return new UploadJournal(file, disk, contents);
  }

  /** Path of a file → the content that it holds, or will hold when it is complete. */
  get contents(): ReadonlyMap<string, Content> {
    return this.#contents;
  }

  async note(path: string, { sizeBytes, sha256 }: Content): Promise<void> {
    const known = this.#contents.get(path);
    if (known?.sha256 === sha256 && known.sizeBytes === sizeBytes) return;
    this.#contents.set(path, { sizeBytes, sha256 });
    await this.#disk.appendLine(this.#file, JSON.stringify({ path, sizeBytes, sha256 }));
  }
}

/** Undefined for a line that was cut off. */
function parse(line: string): (Content & { path: string }) | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (!isContent(value) || !("path" in value) || typeof value.path !== "string") return undefined;
    return pathProblems(value.path).length === 0 ? { ...value, path: value.path } : undefined;
  } catch {
    return undefined;
  }
}
