// A service in a process of its own, as in production: the client's work must not stand in the way of its event loop.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** What every bench says first: commit, machine, Node, and its own circumstances. */
export function printMachine(circumstances) {
  console.log(machine(circumstances));
}

/** The same as text. */
export function machine(circumstances) {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  return `commit ${commit}, ${cpus().length} x ${cpus()[0].model.trim()}, Node ${process.version}, ${circumstances}`;
}

/** Starts `modelwire serve` on a store. Its `memory` reads a field of /proc in MiB, its `stop` waits for its end. */
export async function startService(store, flags = []) {
  const cli = fileURLToPath(new URL("../server/bin/modelwire.js", import.meta.url));
  const child = spawn(process.execPath, [cli, "serve", "--port", "0", "--store", store, ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const address = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      const found = /"address":"([^"]+)"/.exec(line)?.[1];
      if (found) resolve(found);
    });
    child.once("exit", () => reject(new Error("the service ended")));
  });
  return {
    address,
    pid: child.pid,
    memory(field) {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      return Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
    },
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
