// A room for tests of packed weights: folders of weights and of caches that are gone with it, and what is opened in them.
import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKernels } from "../../server/onnx/kernels.ts";
import { openPackedWeights, type PackedWeights, type PackedWeightsOptions } from "../../server/onnx/packed-weights.ts";
import { type WeightFolder, writeWeights } from "./packed-weights-folders.ts";

const found = openKernels();
if (!found.kernels) throw new Error(found.reason);
export const kernels = found.kernels;

export const minute = 60_000;
export const day = 24 * 60 * minute;
/** As if some time had passed since the folder was written: what was just written is not remembered. */
export const later = { now: () => Date.now() + minute };

/** Call `clear` when all is done. */
export function openRoom() {
  const parent = mkdtempSync(join(tmpdir(), "packed-"));
  const opened: PackedWeights[] = [];
  let folders = 0;
  const newFolder = () => join(parent, String(++folders));
  return {
    newFolder,
    newWeights: (seed = 1) => writeWeights(newFolder(), seed),
    async open(
      { path, plans }: WeightFolder,
      options: PackedWeightsOptions = {},
      library = kernels as Parameters<typeof openPackedWeights>[0],
    ) {
      const packed = await openPackedWeights(library, path, plans, options);
      opened.push(packed);
      return packed;
    },
    clear() {
      for (const packed of opened) packed.dispose();
      rmSync(parent, { recursive: true });
    },
  };
}

export const packedFiles = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".packed"));
export const temporaries = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".tmp"));

/** Gives a file another time of last use. */
export function age(path: string, ms: number): void {
  const then = new Date(Date.now() - ms);
  utimesSync(path, then, then);
}
