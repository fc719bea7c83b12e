// `modelwire serve`: the service, until a signal ends it. It must never know a flag; those are config's.
import { once } from "node:events";
import { ApiError } from "@modelwire/client";
import { parseConfig } from "../config.ts";
import { configHelp } from "../config-options.ts";
import { startServer } from "../serve.ts";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { asUsageError } from "./flags.ts";

export const command: Command = {
  summary: "run the service",
  help: `Usage: modelwire serve [flags]

Runs the service until SIGTERM or Ctrl-C. Then it takes no new calls, lets the running ones finish within the grace time,
and ends with exit code 0. A second signal ends it at once.

Flags [default] (environment variable):
${configHelp()}

Example: modelwire serve --store ./store --port 50051
`,
  async run(args, io) {
    const server = await startServer(readConfig(args, io));
    io.stdout.write(`listening on ${server.address}\n`);
    if (!io.signal.aborted) await Promise.race([once(io.signal, "abort"), server.closed]);
    await server.drain();
    return 0;
  },
};

function readConfig(args: readonly string[], io: Io) {
  try {
    return parseConfig(args, io.env);
  } catch (error) {
    if (error instanceof ApiError) {
      const [first, ...more] = error.violations.map(({ field, description }) => `${field} ${description}`);
      throw new UsageError(first ?? error.message, more.join("\n  ") || undefined);
    }
    const flags = [...configHelp().matchAll(/--([a-z-]+)/g)].map((match) => match[1] ?? "");
    throw asUsageError(error, flags);
  }
}
