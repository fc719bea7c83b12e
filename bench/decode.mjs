// How fast a chat is through the whole service, beside onnxruntime-genai's own Generator on the same folder:
//   npm run build && node bench/decode.mjs FOLDER [--python PYTHON] [--threads N] [--rounds N] [--prompt WORDS] [--tokens N]
// FOLDER is an onnxruntime-genai CPU folder. PYTHON is an interpreter that has onnxruntime-genai; without it only the
// service is measured. Both have the same number of threads and take turns in one run; the figures are medians.
//   time to first token, and milliseconds per token after it, of one stream (the service: as its client sees them)
//   tokens per second of eight streams at once (the peer has no such thing on CPU: one after the other)
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { createClient } from "@modelwire/client";
import { parseConfig, startServer } from "modelwire";

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
const flags = ["--port", "0", "--store", store, "--log-level", "warn", "--threads", values.threads];
const server = await startServer(parseConfig(flags, {}));
const client = createClient(server.address);
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
console.log(
  `commit ${commit}, ${cpus().length} x ${cpus()[0].model.trim()}, Node ${process.version}, ${values.threads} threads, ${values.rounds} rounds`,
);
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
    let first = 0;
    let usage;
    for await (const { event } of client.chat.streamChat(request)) {
      if (event.case === "delta") first ||= performance.now();
      else usage = event.value.usage;
    }
    const ended = performance.now();
    const { promptTokens, completionTokens } = usage;
    return {
      promptTokens,
      completionTokens,
      firstMs: first - started,
      perTokenMs: (ended - first) / (completionTokens - 1),
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
    `figure: resident memory of the service, client included: ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`,
  );
} finally {
  client.close();
  await server.drain();
  rmSync(store, { recursive: true, force: true });
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
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
