// A whole life of the host in a process of its own, from the built files: load, generate, fail, close. And, as the host
// lets nothing through that a kernel would refuse, a run that one refuses. Prints one JSON line.

import { pathToFileURL } from "node:url";

const [server, folder, broken] = process.argv.slice(2);
const load = (module) => import(pathToFileURL(`${server}/${module}`));

const { createInferenceHost } = await load("inference/host.js");
const inference = createInferenceHost();
await inference.load("m", folder, { threads: 1 });
const signal = new AbortController().signal;
let tokens = 0;
const request = { model: "m", messages: [{ role: "user", content: "hello" }], options: { maxTokens: 20 } };
for await (const event of inference.generate(request, signal))
  if (event.type === "delta") tokens += event.tokenIds.length;
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

console.log(JSON.stringify({ tokens, reason, refusal }));
