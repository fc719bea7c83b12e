// A whole life of the host in a process of its own, from the built files: load, generate, run, fail, close. And, as the host
// lets nothing through that a kernel would refuse, a run that one refuses. Prints one JSON line.

import { pathToFileURL } from "node:url";

const [server, folder, broken, graph] = process.argv.slice(2);
const load = (module) => import(pathToFileURL(`${server}/${module}`));

const { createInferenceHost } = await load("inference/host.js");
const inference = createInferenceHost();
await inference.load("m", folder, { threads: 1 });
const signal = new AbortController().signal;
let tokens = 0;
const request = { model: "m", messages: [{ role: "user", content: "hello" }], options: { maxTokens: 20 } };
for await (const event of inference.generate(request, signal))
  if (event.type === "delta") tokens += event.tokenIds.length;
const several = { a: ["float", 24, [2, 3]], b: ["double", 32, [2, 2]] }; // which do not go together
const feeds = Object.entries(several).map(([name, [type, bytes, dims]]) => ({
  name,
  type,
  dims,
  data: new Uint8Array(bytes),
}));
await inference.loadGraph("g", graph, { threads: 1 });
const failed = await inference.run("g", feeds, signal).catch((error) => error.reason);
const reason = await inference.inspect(broken).catch((error) => error.reason);
await inference.close();

const { Runtime } = await load("onnx/runtime.js");
const { openStockRunner, readModelFolder } = await load("onnx/model-folder.js");
const runtime = new Runtime();
const runner = await openStockRunner(runtime, await readModelFolder(folder), { threads: 1 });
const entry = { sequence: runner.allocate(), tokens: Int32Array.of(1_000_000), position: 0, wantsLogits: "last" };
const refusal = await runner.forward([entry]).catch((error) => error.name);
await runner.dispose();
runtime.close();

console.log(JSON.stringify({ tokens, failed, reason, refusal }));
