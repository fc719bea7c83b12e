// Processes that open packed weights at once, that die on the way, and whose disk takes no more.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openKernels } from "../../server/onnx/kernels.ts";
import { openPackedWeights } from "../../server/onnx/packed-weights.ts";
import { digestsOf, packedAtOnce, writeWeights } from "./packed-weights-folders.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const found = openKernels();
if (!found.kernels) throw new Error(found.reason);
const kernels = found.kernels;

const parent = mkdtempSync(join(tmpdir(), "packed-processes-"));
afterAll(() => rmSync(parent, { recursive: true }));
let folders = 0;
const newFolder = () => join(parent, String(++folders));

const seed = 7;
const weights = writeWeights(newFolder(), seed);
let expected: Record<string, string>;
beforeAll(async () => {
  expected = await packedAtOnce(kernels, weights);
});

/** A process under way. */
class Child {
  readonly #process;
  readonly #lines;
  readonly ended: Promise<NodeJS.Signals | number | null>;
  readonly steps: string[] = [];
  readonly progress: number[][] = [];
  problems = "";

  /** @param shell what a shell does before it becomes the process */
  constructor(cacheFolder: string, flags: readonly string[] = [], shell = "") {
    const script = join(root, "test/onnx/packed-weights-child.ts");
    const args = ["--import", "tsx", script, weights.path, cacheFolder, String(seed), ...flags];
    this.#process = shell
      ? spawn("sh", ["-c", `${shell}; exec "$0" "$@"`, process.execPath, ...args], { cwd: root })
      : spawn(process.execPath, args, { cwd: root });
    this.#process.stderr.on("data", (data) => {
      this.problems += data;
    });
    this.ended = new Promise((resolve) => this.#process.on("close", (code, signal) => resolve(signal ?? code)));
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** The rest of the next line that begins with a word; undefined when the process ends before. */
  async line(word: string): Promise<string | undefined> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) return undefined;
      if (value.startsWith("step ")) this.steps.push(value.slice(5));
      if (value.startsWith("progress ")) this.progress.push(value.slice(9).split(" ").map(Number));
      if (value.startsWith(word)) return value.slice(word.length + 1);
    }
  }

  /** What it has opened. */
  async opened() {
    const text = await this.line("opened");
    if (text === undefined) throw new Error(`The process has ended: ${this.problems}`);
    return JSON.parse(text);
  }

  goOn(): void {
    this.#process.stdin.write("\n");
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}

const packedFiles = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".packed"));
const temporaries = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".tmp"));

/** Opens the weights here, closes them and says how that went. */
async function openHere(cacheFolder: string) {
  const packed = await openPackedWeights(kernels, weights.path, weights.plans, { cacheFolder });
  try {
    return { source: packed.source, reason: packed.reason, digests: digestsOf(packed) };
  } finally {
    packed.dispose();
  }
}

describe("two processes that pack at once", () => {
  test("leave one good file, and the one that was replaced stays good for the process that has it mapped", async () => {
    const cacheFolder = newFolder();
    const [first, second] = [new Child(cacheFolder, ["--wait"]), new Child(cacheFolder, ["--wait"])];
    await Promise.all([first.line("packing"), second.line("packing")]);
    expect(temporaries(cacheFolder)).toHaveLength(2);
    first.goOn();
    expect(await first.opened()).toEqual({ source: "packed", digests: expected });
    second.goOn();
    expect(await second.opened()).toEqual({ source: "packed", digests: expected });
    first.goOn();
    second.goOn();
    expect(JSON.parse((await first.line("still")) ?? "")).toEqual(expected);
    expect(JSON.parse((await second.line("still")) ?? "")).toEqual(expected);
    expect([await first.ended, await second.ended]).toEqual([0, 0]);
    expect([packedFiles(cacheFolder).length, temporaries(cacheFolder)]).toEqual([1, []]);
    expect(await openHere(cacheFolder)).toEqual({ source: "cache", digests: expected });
  });

  test("do not need each other: one is killed in the middle, the other leaves a good file, and what was begun is swept", async () => {
    const cacheFolder = newFolder();
    const [killed, other] = [new Child(cacheFolder, ["--wait"]), new Child(cacheFolder, ["--wait"])];
    await Promise.all([killed.line("packing"), other.line("packing")]);
    killed.kill();
    expect(await killed.ended).toBe("SIGKILL");
    other.goOn();
    expect(await other.opened()).toEqual({ source: "packed", digests: expected });
    other.goOn();
    expect(await other.ended).toBe(0);
    expect(packedFiles(cacheFolder)).toHaveLength(1);
    const [left = "", ...more] = temporaries(cacheFolder);
    expect(more).toEqual([]);
    const then = new Date(Date.now() - 11 * 60_000);
    utimesSync(join(cacheFolder, left), then, then);
    expect(await openHere(cacheFolder)).toEqual({ source: "cache", digests: expected });
    expect(temporaries(cacheFolder)).toEqual([]);
  });
});

test("a process that is killed before any one of its steps leaves nothing that is taken for good", {
  timeout: 120_000,
}, async () => {
  const whole = new Child(newFolder());
  await whole.opened();
  expect(await whole.ended).toBe(0);
  // Header, tensors, length, both flushes, the name, and what is remembered of two files.
  const made = ["mkdir", "write", "truncate", "sync", "rename", "writeFile", "open"];
  expect(whole.steps).toEqual(expect.arrayContaining(made));
  expect(whole.steps.filter((step) => step === "sync")).toHaveLength(2);
  const die = async (at: number) => {
    const cacheFolder = newFolder();
    const child = new Child(cacheFolder, [`--die=${at}`]);
    await child.line("never");
    expect([at, await child.ended, child.steps.length]).toEqual([at, "SIGKILL", at]);
    const named =
      child.steps.lastIndexOf("rename") > child.steps.indexOf("truncate") && child.steps.includes("truncate");
    // The step of the last name in the list did not happen any more.
    const there = named && child.steps.at(-1) !== "rename";
    expect([at, await openHere(cacheFolder)]).toEqual([at, { source: there ? "cache" : "packed", digests: expected }]);
    expect(packedFiles(cacheFolder)).toHaveLength(1);
  };
  const left = Array.from(whole.steps.keys(), (index) => index + 1).values();
  const worker = async () => {
    for (const at of left) await die(at);
  };
  await Promise.all([worker(), worker()]);
});

test("a disk that takes no more in the middle leaves the weights in memory, the file removed, and progress going on", async () => {
  const cacheFolder = newFolder();
  const child = new Child(cacheFolder, [], "ulimit -f 512"); // of 512 or 1,024 bytes, as the shell has it
  expect(await child.opened()).toEqual({
    source: "memory",
    reason: "The packed weights cannot be kept on the disk: EFBIG: file too large",
    digests: expected,
  });
  expect(await child.ended).toBe(0);
  expect([packedFiles(cacheFolder), temporaries(cacheFolder)]).toEqual([[], []]);
  const done = child.progress.map(([bytes]) => bytes!);
  expect(done).toEqual([...done].sort((a, b) => a - b));
  expect(child.progress.at(-1)?.[0]).toBe(child.progress.at(-1)?.[1]);
});
