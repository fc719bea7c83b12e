// How fast a model goes up, beside what the machine allows:
//   npm run build && node bench/upload.mjs [--folder FOLDER] [--mebibytes N] [--rounds N] [--dir DIR]
// FOLDER is an ONNX LLM folder (the bundled one when absent); a copy of it with one further file of N MiB is logged through
// the client and a service in a process of its own. The floor is SHA-256, write and flush of the same bytes, one after the
// other in one thread, on the same disk (DIR). Both take turns in one run; the figures are medians. Then the second version
// of the model with one changed file, of which only that file should go over the wire.
import { createHash, randomFillSync } from "node:crypto";
import {
  closeSync,
  cpSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createClient } from "@modelwire/client";
import { median, printMachine, startService } from "./service.mjs";

const { values } = parseArgs({
  options: {
    folder: { type: "string", default: fileURLToPath(new URL("../models/tiny-phi3/onnx", import.meta.url)) },
    mebibytes: { type: "string", default: "2048" },
    rounds: { type: "string", default: "5" },
    dir: { type: "string", default: tmpdir() },
  },
});
const mebibytes = Number(values.mebibytes);
const work = mkdtempSync(join(values.dir, "modelwire-bench-"));
const block = randomFillSync(Buffer.allocUnsafe(64 << 20));

const folder = join(work, "folder");
cpSync(values.folder, folder, { recursive: true });
const big = join(folder, "weights.bin");
let version = 0;
/** Fills the large file anew, so that nothing of it is known to the store. */
function fill() {
  version += 1;
  const file = openSync(big, "w");
  for (let left = mebibytes << 0; left > 0; left -= 64) {
    block.writeUInt32LE(version, 0);
    block.writeUInt32LE(left, 4);
    writeSync(file, block, 0, Math.min(64, left) * 2 ** 20);
  }
  fsyncSync(file);
  closeSync(file);
}

/** Seconds to hash, write and flush what is in memory. */
function floor() {
  const path = join(work, "floor");
  const file = openSync(path, "w");
  const piece = block.subarray(0, 1 << 20);
  const started = performance.now();
  const hash = createHash("sha256");
  for (let i = 0; i < mebibytes; i += 1) {
    hash.update(piece);
    writeSync(file, piece);
  }
  hash.digest();
  fsyncSync(file);
  const seconds = (performance.now() - started) / 1000;
  closeSync(file);
  rmSync(path);
  return seconds;
}

const store = join(work, "store");
const service = await startService(store);
const client = createClient(service.address);
printMachine(`${mebibytes} MiB, ${values.rounds} rounds`);

async function upload() {
  let bytesSent = 0;
  const started = performance.now();
  const { model } = await client.models.log(folder, {
    name: "bench",
    onProgress: (progress) => {
      bytesSent = progress.bytesSent;
    },
  });
  return { seconds: (performance.now() - started) / 1000, bytesSent, model };
}

try {
  const ours = [];
  const floors = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    fill();
    floors.push(floor());
    const { seconds, model } = await upload();
    ours.push(seconds);
    await client.models.deleteModel({ model: model.modelId });
    rmSync(join(model.artifactLocation, ".."), { recursive: true });
  }
  const [mine, theirs] = [median(ours), median(floors)];
  const rate = (seconds) => `${Math.round(mebibytes / seconds)} MiB/s`;
  console.log(
    `figure: upload                 ${mine.toFixed(2)} s   ${rate(mine)}   ${ours.map((s) => s.toFixed(2)).join(" ")}`,
  );
  console.log(
    `figure: floor                  ${theirs.toFixed(2)} s   ${rate(theirs)}   ${floors.map((s) => s.toFixed(2)).join(" ")}`,
  );
  console.log(`figure: share of the floor     ${Math.round((100 * theirs) / mine)} %`);
  console.log(`figure: resident memory of the service: at most ${service.memory("VmHWM")} MiB`);
  console.log(
    `figure: resident memory of the client:  at most ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`,
  );

  await upload();
  const small = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".json")),
  );
  const text = readFileSync(small);
  const file = openSync(small, "a");
  writeSync(file, " ");
  closeSync(file);
  const second = await upload();
  console.log(
    `figure: second version, one file of ${text.length + 1} bytes changed: ${second.bytesSent} bytes sent in ${second.seconds.toFixed(2)} s`,
  );
} finally {
  client.close();
  await service.stop();
  rmSync(work, { recursive: true, force: true });
}
