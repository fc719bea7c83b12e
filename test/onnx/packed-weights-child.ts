// A process that opens packed weights: packed-weights-child.ts FOLDER CACHE SEED [--wait] [--die=STEP], of a folder that
// `writeWeights` wrote with the seed. Tells on stdout, line by line:
//   step NAME         before each operation on the cache; it dies by SIGKILL before number STEP
//   packing           before anything is packed; with --wait it goes on when it is told a line
//   progress D T
//   opened JSON       {source, reason, digests}
//   still JSON        the digests again, when it is told one more line
import { writeSync } from "node:fs";
import fs, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openKernels } from "../../server/onnx/kernels.ts";
import { openPackedWeights } from "../../server/onnx/packed-weights.ts";
import { digestsOf, makeWeights, withChanges } from "./packed-weights-folders.ts";

const [folder = "", cacheFolder = "", seed = "", ...flags] = process.argv.slice(2);
const wait = flags.includes("--wait");
const dieAt = Number(flags.find((flag) => flag.startsWith("--die="))?.slice(6) ?? 0);
const say = (line: string) => writeSync(1, `${line}\n`);
const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

let steps = 0;
function step(name: string): void {
  say(`step ${name}`);
  if (++steps === dieAt) process.kill(process.pid, "SIGKILL");
}

/** Puts a step before methods of Node's file system. */
function watch<T extends object>(object: T, names: readonly (keyof T & string)[], on: (args: unknown[]) => boolean) {
  for (const name of names) {
    const original = object[name] as (...args: unknown[]) => unknown;
    const watched = function (this: unknown, ...args: unknown[]) {
      if (on(args)) step(name);
      return original.apply(this, args);
    };
    object[name] = watched as T[typeof name];
  }
}

const here = await fs.open(fileURLToPath(import.meta.url));
const handles: FileHandle = Object.getPrototypeOf(here);
await here.close();
watch(fs, ["open", "writeFile", "rename", "rm", "utimes", "mkdir"], ([path]) => String(path).startsWith(cacheFolder));
watch(handles, ["write", "truncate", "sync"], () => true);
syncBuiltinESMExports();

const found = openKernels();
if (!found.kernels) throw new Error(found.reason);
const { kernels } = found;
let go: Promise<unknown> | undefined;
const waiting = withChanges(kernels, {
  pack: async (...args) => {
    if (!go) say("packing");
    go ??= wait ? told.next() : Promise.resolve();
    await go;
    await kernels.pack(...args);
  },
});
const packed = await openPackedWeights(waiting, folder, makeWeights(Number(seed)).plans, {
  cacheFolder,
  now: () => Date.now() + 60_000, // as if the weights had been written some time ago
  onProgress: (done, total) => say(`progress ${done} ${total}`),
});
say(`opened ${JSON.stringify({ source: packed.source, reason: packed.reason, digests: digestsOf(packed) })}`);
if (wait) {
  await told.next();
  say(`still ${JSON.stringify(digestsOf(packed))}`);
}
packed.dispose();
process.stdin.destroy();
