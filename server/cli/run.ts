// Finds the command and runs it. It must never exit the process; it says with which code to.
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { reportFailure } from "./failure.ts";
import { nearest } from "./flags.ts";
import { version } from "./package-info.ts";

/** Loaded when they are asked for: listing models needs no ONNX Runtime. */
const COMMANDS: Record<string, { summary: string; load: () => Promise<{ command: Command }> }> = {
  serve: { summary: "run the service", load: () => import("./serve.ts") },
  log: { summary: "send a model folder to a server", load: () => import("./log.ts") },
  chat: { summary: "talk to a model", load: () => import("./chat.ts") },
  predict: { summary: "ask a model by its signature", load: () => import("./predict.ts") },
  signature: {
    summary: "show a model's signature, or infer one from examples",
    load: () => import("./signature.ts"),
  },
  codegen: { summary: "write a typed client for a model, from its signature", load: () => import("./codegen.ts") },
  tokens: { summary: "count the tokens of a text", load: () => import("./tokens.ts") },
  models: { summary: "list, show, download, delete, load and unload models", load: () => import("./models.ts") },
  demo: { summary: "all of it once, with the model that comes with Modelwire", load: () => import("./demo.ts") },
};

/** Runs one command line. @returns the exit code: 0 done, 1 failed, 2 not understood, 130 interrupted. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const [name = "--help", ...rest] = args;
  if (name === "--help" || name === "-h" || name === "help") {
    const topic = name === "help" ? COMMANDS[rest[0] ?? ""] : undefined;
    io.stdout.write(topic ? (await topic.load()).command.help : overview());
    return args.length === 0 ? 2 : 0;
  }
  if (name === "--version" || name === "-V") {
    io.stdout.write(`${version}\n`);
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  try {
    if (!entry) {
      const near = nearest(name, Object.keys(COMMANDS));
      const kind = name.startsWith("-") ? "flag" : "command";
      throw new UsageError(`unknown ${kind} "${name}"`, near ? `did you mean: modelwire ${near}?` : undefined);
    }
    const { command } = await entry.load();
    if (asksForHelp(rest)) {
      io.stdout.write(command.help);
      return 0;
    }
    return await command.run(rest, io);
  } catch (error) {
    return reportFailure(error, io, entry && name);
  }
}

/** Whether --help stands among the words, before any "--". */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const flags = end < 0 ? args : args.slice(0, end);
  return flags.includes("--help") || flags.includes("-h");
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  return `Modelwire ${version}: models in the MLflow format, logged, registered and served over gRPC.

Usage: modelwire <command> [flags]

${lines.join("\n")}

  modelwire <command> --help   says more about one
  modelwire --version          prints the version

Exit codes: 0 done, 1 failed, 2 the command line was not understood, 130 interrupted.
`;
}
