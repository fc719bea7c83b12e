// What a command of the command line is, and what it may touch of the outside world. It must never know a particular
// command, nor the process.
import type { Readable, Writable } from "node:stream";

/** A stream that may be a terminal. */
export type Output = Writable & { isTTY?: boolean; columns?: number };

/** The outside world of one command. */
export interface Io {
  stdin: Readable & { isTTY?: boolean };
  stdout: Output;
  stderr: Output;
  env: Readonly<Record<string, string | undefined>>;
  /** Aborts at the first Ctrl-C or SIGTERM; what the command began must be taken down then. */
  signal: AbortSignal;
}

export interface Command {
  /** One line for the overview. */
  summary: string;
  /** What `--help` prints. */
  help: string;
  /** Runs it. @returns the exit code. @throws UsageError, ApiError, or what the system says. */
  run(args: readonly string[], io: Io): Promise<number>;
}

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  /** @param hint what to write instead */
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** What the signal of {@link Io} aborts with. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";

  constructor(readonly by: "SIGINT" | "SIGTERM") {
    super(`interrupted by ${by}`);
  }

  /** 128 and the signal's number, as shells have it. */
  get exitCode(): number {
    return this.by === "SIGINT" ? 130 : 143;
  }
}
