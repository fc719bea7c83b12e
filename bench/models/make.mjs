// Makes the benches' model by hand, for a look at it or for another program:
//   node bench/models/make.mjs onnx FOLDER [--scales bf16|f32] [--layers N] [--seed N]
//   node bench/models/make.mjs gguf FILE [--layers N] [--seed N]
// The geometry is Phi-3-mini's, the weights are random. Scales are bf16 numbers, as those of a quantised bf16
// checkpoint are, unless `--scales f32`.
import { parseArgs } from "node:util";
import { phi3Mini } from "./geometry.mjs";
import { makeGgufFile } from "./gguf-file.mjs";
import { makeOnnxFolder } from "./onnx-folder.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scales: { type: "string", default: "bf16" },
    layers: { type: "string", default: String(phi3Mini.layers) },
    seed: { type: "string", default: "1" },
  },
});
const [kind, path] = positionals;
const make = { onnx: makeOnnxFolder, gguf: makeGgufFile }[kind];
if (!make || !path || !["bf16", "f32"].includes(values.scales)) {
  console.error("usage: node bench/models/make.mjs onnx|gguf PATH [--scales bf16|f32] [--layers N] [--seed N]");
  process.exit(2);
}
const started = performance.now();
const geometry = { ...phi3Mini, layers: Number(values.layers) };
make(path, { geometry, seed: Number(values.seed), scales: values.scales });
console.log(`${path}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
