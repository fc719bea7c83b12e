// The demonstration and the service, as processes, with everything real: store, worker, model.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cli, start } from "./cli.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "modelwire-process-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const storeOf = (output: string) => /store in (\S+)/.exec(output)?.[1] ?? "";

test("the demo logs, loads and asks twice, says usage in one line, and leaves nothing behind", async () => {
  const { code, stdout, stderr } = await cli(["demo"], { env: { TMPDIR: folder } });
  expect([code, stderr]).toEqual([0, expect.stringContaining("100%")]);
  expect(stdout).toMatch(
    /you {6}What is the capital of Spain\?\nmodel {4}.*Madrid.*\nyou {6}And of France\?\nmodel {4}.*Paris/,
  );
  expect(
    stdout.match(/\d+ prompt tokens.*, \d+ completion tokens.*, first token after .*, [\d.]+ tokens\/s/g),
  ).toHaveLength(1);
  expect(storeOf(stdout)).toContain(folder);
  expect(existsSync(storeOf(stdout))).toBe(false);
}, 60_000);

test("Ctrl-C in the demo takes everything down and ends with 130", async () => {
  const demo = start(["demo"], { env: { TMPDIR: folder } });
  await demo.seen("store in");
  demo.kill("SIGINT");
  const { code, stdout, stderr } = await demo.done;
  expect([code, stderr]).toEqual([130, expect.stringContaining("interrupted")]);
  expect(existsSync(storeOf(stdout))).toBe(false);
}, 60_000);

test.each(["SIGTERM", "SIGINT"] as const)(
  "serve ends with 0 on %s, and its address works until then",
  async (signal) => {
    const server = start(["serve", "--port", "0", "--store", folder, "--log-level", "warn"]);
    await server.seen("\n");
    const address = /listening on (\S+)/.exec(server.output())?.[1] ?? "";
    expect((await cli(["models", "list", "--address", address])).stdout).toContain("no models yet");
    server.kill(signal);
    expect((await server.done).code).toBe(0);
  },
  60_000,
);
