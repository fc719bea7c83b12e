// Runs the built command line as its users do: a process, its streams, its exit code. `npm test` builds it first.
import { spawn, spawnSync } from "node:child_process";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { run } from "../../server/cli/run.ts";

export const MAIN = fileURLToPath(new URL("../../server/bin/modelwire.js", import.meta.url));

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  /** Resolves when the output, both streams together, contains a text. Rejects when the process ends before. */
  seen(text: string): Promise<void>;
  /** What it has said so far, both streams. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  write(text: string): void;
  done: Promise<Finished>;
}

/** Starts it. Its stdin is open until something ends it; `input` is written and ends it. */
export function start(
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Running {
  return watch(process.execPath, [MAIN, ...args], options);
}

/** Runs it to its end. */
export function cli(
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Finished> {
  return start(args, { input: "", ...options }).done;
}

/** The same command line without a process of its own: that takes a third of a second each time. */
export async function inside(
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Finished> {
  const stdin = Readable.from([Buffer.from(options.input ?? "")]);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const read = Promise.all([text(stdout), text(stderr)]);
  const code = await run(args, { stdin, stdout, stderr, env: options.env ?? {}, signal: new AbortController().signal });
  stdout.end();
  stderr.end();
  const [out, err] = await read;
  return { code, stdout: out, stderr: err };
}

/** Without the `script` of util-linux there is nothing here that makes a terminal. */
export const hasTerminals = spawnSync("script", ["--version"]).stdout?.includes("util-linux") ?? false;

/** Starts it at a terminal of its own; Ctrl-C is then a key. */
export function startAtTerminal(args: readonly string[]): Running {
  const command = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(" ");
  return watch("script", ["-qfec", command, "/dev/null"], {});
}

function watch(
  program: string,
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> },
): Running {
  const env = { ...process.env, ...options.env };
  for (const key of Object.keys(env)) if (key.startsWith("MODELWIRE_") && !options.env?.[key]) delete env[key];
  const child = spawn(program, args, { env, stdio: "pipe" });
  const finished: Finished = { code: null, stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  const told = () => {
    for (const check of [...waiting]) check();
  };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      finished[name] += text;
      told();
    });
  }
  child.stdin.on("error", () => {}); // it may have ended
  if (options.input !== undefined) child.stdin.end(options.input);
  let ended = false;
  const done = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      ended = true;
      resolve({ ...finished, code });
      told();
    });
  });
  return {
    done,
    output: () => finished.stdout + finished.stderr,
    kill: (signal) => child.kill(signal),
    write: (text) => child.stdin.write(text),
    seen: (text) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if ((finished.stdout + finished.stderr).includes(text)) resolve();
          else if (ended)
            reject(new Error(`ended without saying ${JSON.stringify(text)}:\n${finished.stdout}${finished.stderr}`));
          else return;
          waiting.delete(check);
        };
        waiting.add(check);
        check();
      }),
  };
}
