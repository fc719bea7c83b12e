// The files of a model folder on this machine, in one order for everybody. It must never read what is in them.
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { FieldViolation } from "@modelwire/proto";
import { invalidFields } from "@modelwire/proto";

/** A file to be sent. */
export interface FolderFile {
  /** Relative to the folder, with "/" between the parts. */
  path: string;
  /** Where it lies on this machine. */
  location: string;
  sizeBytes: number;
}

/**
 * All regular files below a folder, sorted by the bytes of their path. Symbolic links are followed as long as they stay inside
 * the folder. A folder without files has nothing to send and leaves no trace.
 *
 * @throws ApiError INVALID_ARGUMENT that lists everything which is not a file, a folder, or a link inside.
 */
export async function listModelFolder(folder: string): Promise<FolderFile[]> {
  const root = await realpath(folder).catch((cause: unknown) => {
    throw invalidFolder([{ field: folder, description: `cannot be opened: ${reasonOf(cause)}` }]);
  });
  if (!(await stat(root)).isDirectory()) {
    throw invalidFolder([{ field: folder, description: "is a file; give the folder that holds the model" }]);
  }
  const files: FolderFile[] = [];
  const violations: FieldViolation[] = [];
  await walk(root, "", [root]);
  if (files.length === 0 && violations.length === 0) {
    violations.push({ field: folder, description: "holds no file" });
  }
  if (violations.length > 0) throw invalidFolder(violations);
  return files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));

  /** @param inside the real folders that lead here: a link back to one of them would never end */
  async function walk(directory: string, prefix: string, inside: readonly string[]): Promise<void> {
    for (const name of await readdir(directory)) {
      const path = prefix + name;
      const location = join(directory, name);
      const problem = await visit(path, location, inside).catch(
        (cause: unknown) => `cannot be read: ${reasonOf(cause)}`,
      );
      if (problem) violations.push({ field: path, description: problem });
    }
  }

  async function visit(path: string, location: string, inside: readonly string[]): Promise<string | undefined> {
    let target = location;
    if ((await lstat(location)).isSymbolicLink()) {
      target = await realpath(location);
      if (leaves(root, target))
        return "is a link that leaves the folder; copy the folder with `cp -rL` and log the copy";
      if (inside.includes(target)) return "is a link to a folder that it lies in";
    }
    const info = await stat(target);
    if (info.isDirectory()) await walk(target, `${path}/`, [...inside, target]);
    else if (info.isFile()) files.push({ path, location: target, sizeBytes: info.size });
    else return "is neither a file nor a folder";
    return undefined;
  }
}

/** Whether a path lies outside a folder. Both absolute, without links. */
export function leaves(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === ".." || way.startsWith(`..${sep}`) || way.startsWith(sep) || /^[a-z]:/i.test(way);
}

function invalidFolder(violations: readonly FieldViolation[]) {
  return invalidFields(violations, "INVALID_PATH");
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
