// Where the weights that are to be packed lie, and reading them. It checks every range before it reads one, and refuses
// a file that changes on the way. It never knows what the bytes mean.

import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { ModelFolderError, type Violation } from "./errors.ts";
import type { TensorSource, WeightPlan } from "./rewrite-result.ts";

/** A file of the model's folder in the state in which it was found first. */
export interface SourceFile {
  /** Relative to the model's folder. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly state: FileState;
}

/** What changes when a file's bytes do; decimal numbers as text, since they have 64 bits. */
interface FileState {
  readonly device: string;
  readonly inode: string;
  readonly size: string;
  readonly mtimeNs: string;
  readonly ctimeNs: string;
}

/** Bytes of one read: others' files wait for the same threads of libuv. */
const readBytes = 8 * 1024 * 1024;

export class WeightSources {
  /** By name; all files that the plans name. */
  readonly files: ReadonlyMap<string, SourceFile>;

  private constructor(files: ReadonlyMap<string, SourceFile>) {
    this.files = files;
  }

  /** Looks at every file and checks every plan against it. @throws ModelFolderError with every violation */
  static async open(folder: string, plans: readonly WeightPlan[]): Promise<WeightSources> {
    const files = new Map<string, SourceFile>();
    const wrong: Violation[] = [];
    for (const name of new Set(plans.flatMap(filesOf))) {
      const path = join(folder, name);
      const info = await stat(path, { bigint: true }).catch(() => undefined);
      if (info?.isFile()) files.set(name, { name, path, bytes: Number(info.size), state: stateOf(info) });
      else wrong.push({ field: name, description: "is not a file of the folder." });
    }
    wrong.push(...plans.flatMap((plan) => violationsOf(plan, files)));
    if (wrong.length > 0) throw new ModelFolderError("The weights cannot be packed.", wrong);
    return new WeightSources(files);
  }

  /** Reads a tensor into the beginning of `memory`, and gives that part of it. @throws ModelFolderError */
  async read(tensor: string, source: TensorSource, memory: ArrayBuffer): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(memory, 0, lengthOf(source));
    if ("bytes" in source) {
      bytes.set(source.bytes);
      return bytes;
    }
    const file = this.files.get(source.file);
    if (!file) throw new Error(`${source.file} is not among the files that were checked.`);
    const handle = await openUnchanged(file);
    try {
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(readBytes, bytes.length - done);
        const { bytesRead } = await handle.read(bytes, done, length, source.offset + done);
        if (bytesRead === 0) throw changed(file);
        done += bytesRead;
      }
    } catch (error) {
      if (error instanceof ModelFolderError) throw error;
      const description = `of ${tensor} cannot be read: ${(error as Error).message}`;
      throw new ModelFolderError("The weights cannot be packed.", [{ field: file.name, description }]);
    } finally {
      await handle.close();
    }
    return bytes;
  }

  /** @throws ModelFolderError when a file is no longer as it was found */
  async assertUnchanged(): Promise<void> {
    for (const file of this.files.values()) await (await openUnchanged(file)).close();
  }
}

/** The file, open to be read, if it is still the one that was found. @throws ModelFolderError */
export async function openUnchanged(file: SourceFile): Promise<FileHandle> {
  // Opening a pipe that has taken the file's place must not wait for a writer.
  const handle = await open(file.path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(() => {
    throw changed(file);
  });
  try {
    const now = stateOf(await handle.stat({ bigint: true }));
    if (Object.entries(file.state).some(([key, value]) => now[key as keyof FileState] !== value)) throw changed(file);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export function lengthOf(source: TensorSource): number {
  return "bytes" in source ? source.bytes.length : source.length;
}

function stateOf(info: BigIntStats): FileState {
  const { dev, ino, size, mtimeNs, ctimeNs } = info;
  return { device: `${dev}`, inode: `${ino}`, size: `${size}`, mtimeNs: `${mtimeNs}`, ctimeNs: `${ctimeNs}` };
}

function changed(file: SourceFile): ModelFolderError {
  return new ModelFolderError("The weights cannot be packed.", [
    { field: file.name, description: "was changed or removed while it was read. Load the model again." },
  ]);
}

function filesOf({ weights, scales, zeroPoints }: WeightPlan): string[] {
  return [weights, scales, zeroPoints].flatMap((source) => (source && "file" in source ? [source.file] : []));
}

/** The library reads as many bytes as the form says, so that each source must have exactly these. */
function violationsOf(plan: WeightPlan, files: ReadonlyMap<string, SourceFile>): Violation[] {
  const { name, columns, depth, bits, block, weights, scales, zeroPoints } = plan;
  const blocks = Math.ceil(depth / block);
  const parts: [string, TensorSource | null, number][] = [
    ["weights", weights, columns * blocks * ((block * bits) / 8)],
    ["scales", scales, columns * blocks * 4],
    ["zero points", zeroPoints, columns * Math.ceil((blocks * bits) / 8)],
  ];
  return parts.flatMap(([part, source, bytes]) => {
    if (source === null) return [];
    const wrong: Violation[] = [];
    const say = (description: string) => wrong.push({ field: name, description });
    if (lengthOf(source) !== bytes) {
      say(`its ${part} have ${lengthOf(source)} bytes; [${columns}, ${depth}] in blocks of ${block} has ${bytes}.`);
    }
    if ("bytes" in source) return wrong;
    const file = files.get(source.file); // a missing one has been told
    const { offset, length } = source;
    const whole = [offset, length].every((value) => Number.isSafeInteger(value) && value >= 0);
    if (!whole || (file && offset + length > file.bytes)) {
      const size = file ? `, which has ${file.bytes} bytes` : "";
      say(`its ${part} lie at ${offset} to ${offset + length} of ${source.file}${size}.`);
    }
    return wrong;
  });
}
