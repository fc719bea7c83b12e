// The process of the command line: streams, signals, exit code. It must never know a command.
import { Interrupted } from "./command.ts";
import { run } from "./run.ts";

/** A terminal and npm may both pass one Ctrl-C on: two signals this close together are one. */
const SAME_SIGNAL_MS = 500;

const abort = new AbortController();
let first = 0;
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (!abort.signal.aborted) {
      first = performance.now();
      abort.abort(new Interrupted(name));
    } else if (performance.now() - first > SAME_SIGNAL_MS) {
      process.exit(new Interrupted(name).exitCode);
    }
  });
}

// The reader of a pipe left: nobody wants the rest.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const { stdin, stdout, stderr, env } = process;
process.exitCode = await run(process.argv.slice(2), { stdin, stdout, stderr, env, signal: abort.signal });
