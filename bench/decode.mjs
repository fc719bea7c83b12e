// How fast a chat is through the whole service, beside onnxruntime-genai's own Generator on the same folder:
//   npm run build && node bench/decode.mjs FOLDER [--python PYTHON] [--threads N] [--rounds N] [--prompt WORDS] [--tokens N]
// FOLDER is an onnxruntime-genai CPU folder whose answers do not end by themselves, such as one with random weights: an
// answer that ends early would count for less work than the peer's. PYTHON is an interpreter that has onnxruntime-genai; without it only the
// service is measured. Both have the same number of threads and take turns in one run; the figures are medians.
//   time to first token, and milliseconds per token after it until the client has all, of one stream
//   tokens per second of eight streams at once (the peer has no such thing on CPU: one after the other)
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@modelwire/client";
import { median, printMachine, startService } from "./service.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: "string" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    prompt: { type: "string", default: "60" },
    tokens: { type: "string", default: "48" },
  },
});
const [folder] = positionals;
if (!folder) throw new Error("usage: node bench/decode.mjs FOLDER [--python PYTHON]");
const maxTokens = Number(values.tokens);

const store = mkdtempSync(join(tmpdir(), "modelwire-bench-"));
const service = await startService(store, ["--threads", values.threads]);
const client = createClient(service.address);
printMachine(`${values.threads} threads, ${values.rounds} rounds`);
try {
  const { model } = await client.models.log(folder, { name: "bench" });
  await client.serving.loadModel({ model: model.modelId });
  const one = async (seed) => {
    const content = Array.from({ length: Number(values.prompt) }, (_, i) => `word${(i * 7 + seed * 13) % 97}`).join(
      " ",
    );
    const request = {
      model: model.modelId,
      messages: [{ role: "user", content }],
      options: { maxTokens, temperature: 0 },
    };
    const started = performance.now();
    let done;
    for await (const { event } of client.chat.streamChat(request)) if (event.case === "done") done = event.value;
    const ended = performance.now();
    const { promptTokens, completionTokens } = done.usage;
    if (completionTokens !== maxTokens)
      throw new Error(`an answer ended after ${completionTokens} of ${maxTokens} tokens`);
    // By the server's clock: with random weights there may be no text, and so no delta, before the end.
    const firstMs = durationMs(done.timings.timeToFirstToken);
    return {
      promptTokens,
      completionTokens,
      firstMs,
      perTokenMs: (ended - started - firstMs) / (completionTokens - 1),
      ended,
    };
  };
  const eight = async (seed) => {
    const started = performance.now();
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => one(seed * 8 + i)));
    const seconds = (Math.max(...all.map(({ ended }) => ended)) - started) / 1000;
    return all.reduce((sum, { completionTokens }) => sum + completionTokens, 0) / seconds;
  };
  const { promptTokens } = await one(0);
  const peer = values.python ? await startPeer(promptTokens) : undefined;
  const ours = [];
  const theirs = [];
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    ours.push({ ...(await one(round)), eight: await eight(round) });
    if (peer) theirs.push(await peer.round());
  }
  peer?.end();
  const row = (name, unit, pick, better) => {
    const a = median(ours.map(pick));
    const b = theirs.length > 0 ? median(theirs.map(pick)) : undefined;
    const beside =
      b === undefined
        ? ""
        : `   onnxruntime-genai ${b.toFixed(1)} ${unit}   x${(better === "more" ? a / b : b / a).toFixed(2)}`;
    console.log(`figure: ${name.padEnd(34)} ${a.toFixed(1)} ${unit}${beside}`);
  };
  row(`first token after ${promptTokens} prompt tokens`, "ms", ({ firstMs }) => firstMs);
  row("each token after it, one stream", "ms", ({ perTokenMs }) => perTokenMs);
  row("eight streams, prompts included", "tok/s", ({ eight }) => eight, "more");
  console.log(
    `figure: resident memory of the service: ${service.memory("VmRSS")} MiB, at most ${service.memory("VmHWM")} MiB`,
  );
} finally {
  client.close();
  await service.stop();
  rmSync(store, { recursive: true, force: true });
}

/** The peer as a process that measures once for every line it is sent. */
async function startPeer(promptTokens) {
  const script = new URL("peer_genai.py", import.meta.url).pathname;
  const args = [script, folder, values.threads, String(promptTokens), String(maxTokens)];
  const child = spawn(values.python, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return {
    async round() {
      child.stdin.write("go\n");
      return JSON.parse((await lines.next()).value);
    },
    end: () => child.stdin.end(),
  };
}
