// The whole service, as a process would run it or as a process, and the real client on it.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient, type ModelwireClient } from "@modelwire/client";
import { parseConfig } from "../../server/config.ts";
import { startServer } from "../../server/serve.ts";

export const MODEL = fileURLToPath(new URL("../../models/tiny-phi3/onnx", import.meta.url));
const CLI = fileURLToPath(new URL("../../server/dist/cli/main.js", import.meta.url));

export interface Service {
  client: ModelwireClient;
  address: string;
  /** Of /metrics; "" without the flag. */
  metricsAddress: string;
  store: string;
  /** Stops it and removes what it kept. */
  close(): Promise<void>;
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "modelwire-test-"));
}

/** The service in this process, on a fresh store. */
export async function startService(flags: readonly string[] = []): Promise<Service> {
  const store = await temporaryFolder();
  const config = parseConfig(
    ["--port", "0", "--store", store, "--log-level", "silent", "--grace-ms", "5000", ...flags],
    {},
  );
  const server = await startServer(config);
  const client = createClient(server.address, { retry: false });
  return {
    client,
    address: server.address,
    metricsAddress: server.metricsAddress ?? "",
    store,
    async close() {
      client.close();
      await server.drain();
      await rm(store, { recursive: true, force: true });
    },
  };
}

export interface ServiceProcess {
  address: string;
  child: ChildProcess;
  /** Resolves with code and signal when the process has ended. */
  exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** All that it logged so far. */
  log(): string;
}

/** `modelwire serve` as a child process. */
export async function spawnService(
  store: string,
  flags: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<ServiceProcess> {
  const child = spawn(process.execPath, [CLI, "serve", "--port", "0", "--store", store, ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let log = "";
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once("exit", (code, signal) => resolve({ code, signal })),
  );
  const address = await new Promise<string>((resolve, reject) => {
    const look = (text: unknown) => {
      log += String(text);
      const found = /"address":"([^"]+)"/.exec(log)?.[1];
      if (found) resolve(found);
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    void exit.then(({ code, signal }) => reject(new Error(`serve ended with ${code ?? signal}:\n${log}`)));
  });
  return { address, child, exit, log: () => log };
}
