// A peer as a child process that measures one thing for every line it is sent. Knows no peer and no figure.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Starts a peer and waits until it has loaded. `facts` is what it said of that. */
export async function startSide(name, command, args, env = {}) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
  const ended = new Promise((resolve) => child.once("close", (code, signal) => resolve(signal ?? code)));
  child.stdin.on("error", () => {}); // of a process that is gone: reading its answer says so
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name} ended (${await ended})`);
    return JSON.parse(value);
  };
  return {
    name,
    pid: child.pid,
    facts: await next(),
    /** Whether it is gone. */
    get gone() {
      return child.exitCode !== null || child.signalCode !== null;
    },
    /** @throws Error with the peer's reason when it cannot measure this, or is gone */
    async ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const answer = await next();
      if (answer.error !== undefined) throw new Error(`${name}: ${answer.error}`);
      return answer;
    },
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}
