// `modelwire demo`: the whole way of a model, on this machine, with nothing left behind. It must never use anything that a
// user of the client could not use.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelwireClient } from "@modelwire/client";
import { createClient } from "@modelwire/client";
import { parseConfig } from "../config.ts";
import { startServer } from "../serve.ts";
import type { Command, Io } from "./command.ts";
import { Conversation } from "./conversation.ts";
import { parseFlags } from "./flags.ts";
import { bundledModel } from "./package-info.ts";
import { ProgressBar } from "./progress-bar.ts";
import { count, duration, printable, size, statsLine } from "./words.ts";

const FLAGS = { model: { type: "string" }, help: { type: "boolean", short: "h" } } as const;

const NAME = "tiny-phi3";

/** The second needs the first: by itself it asks for nothing. */
const QUESTIONS = ["What is the capital of Spain?", "And of France?"];

export const command: Command = {
  summary: "all of it once, with the model that comes with Modelwire",
  help: `Usage: modelwire demo [--model <folder>]

Starts the service on a free port of this machine with its store in a temporary folder, sends it a model over gRPC, loads
that, and has a conversation of two turns, printed as it comes. Then it stops the service and removes the folder.

Flags:
  --model <folder>        another ONNX chat model instead of the one that comes with Modelwire
`,
  async run(args, io) {
    const { values } = parseFlags(args, FLAGS, []);
    const model = values.model ?? bundledModel();
    const folder = await mkdtemp(join(tmpdir(), "modelwire-demo-"));
    try {
      // Port 0 is a free one; a second of grace is plenty for calls that are all ours.
      const flags = [
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--store",
        folder,
        "--grace-ms",
        "1000",
        "--log-level",
        "warn",
      ];
      const server = await startServer(parseConfig(flags, {}));
      try {
        io.stdout.write(`service  on ${server.address}, store in ${folder}\n`);
        using client = createClient(server.address);
        await upload(client, model, io);
        await converse(client, io);
      } finally {
        await server.drain();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    io.stdout.write("stopped  the service is down, the folder is gone\n");
    return 0;
  },
};

async function upload(client: ModelwireClient, folder: string, io: Io): Promise<void> {
  const bar = new ProgressBar(io.stderr, "upload  ");
  const { model, files } = await client.models.log(folder, {
    name: NAME,
    signal: io.signal,
    onProgress: ({ bytesSent, bytesTotal, path }) => bar.update(bytesSent, bytesTotal, path),
  });
  bar.clear();
  const what = `${count(files.length, "file")}, ${size(model?.sizeBytes ?? 0n)}`;
  io.stdout.write(`logged   ${NAME} as ${model?.modelUri}: ${what}, ${bar.took}\n`);
  const loaded = await client.serving.loadModel({ model: model?.modelId ?? NAME }, { signal: io.signal });
  const { seconds, nanos } = loaded.model?.loadTime ?? { seconds: 0n, nanos: 0 };
  const took = duration(Number(seconds) * 1_000 + nanos / 1e6);
  io.stdout.write(`loaded   in ${took}, context of ${loaded.model?.contextLength} tokens\n\n`);
}

/** Asks one question after the other; the last answer's usage and timing stand below. */
async function converse(client: ModelwireClient, io: Io): Promise<void> {
  const conversation = new Conversation(client.chat, NAME, { temperature: 0, maxTokens: 64 });
  let stats = "";
  for (const question of QUESTIONS) {
    io.stdout.write(`you      ${question}\nmodel    `);
    const result = await conversation.ask(question, (text) => io.stdout.write(printable(text)), { signal: io.signal });
    io.stdout.write("\n");
    if (result === undefined) throw io.signal.reason;
    stats = statsLine(result);
  }
  io.stdout.write(`\nusage    ${stats}\n`);
}
