import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { probeRunner } from "../../server/decoder/probe.ts";
import { readModelFolder } from "../../server/onnx/model-folder.ts";
import type { BatchEntry, CacheHandle, ModelRunner } from "../../server/onnx/model-runner.ts";
import { openRunner } from "../../server/onnx/open-runner.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { type RandomModelOptions, writeRandomModel } from "../onnx/random-models.ts";

const scratch = mkdtempSync(join(tmpdir(), "modelwire-probe-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const tinyPhi3 = fileURLToPath(new URL("../../models/tiny-phi3/onnx", import.meta.url));

const wide = { hidden: 256, inner: 512, vocab: 1000, heads: 8, headSize: 32 };
let made = 0;
const random = (options: RandomModelOptions) => writeRandomModel(join(scratch, `${made++}`), options);

async function open(folder: string, runner: "native" | "stock", options: object = {}) {
  const runtime = new Runtime();
  const opened = await openRunner(runtime, await readModelFolder(folder), { runner, threads: 2, ...options });
  return {
    runner: opened.runner,
    async [Symbol.asyncDispose]() {
      await opened.runner.dispose();
      runtime.close();
    },
  };
}

describe("a probe finds", () => {
  test.each<[string, RandomModelOptions]>([
    ["int4 of block 32", { ...wide }],
    ["int4 of block 128 with zero points", { ...wide, block: 128, zeroPoints: true }],
    ["int8", { ...wide, bits: 8 }],
    ["int4 with shared heads", { ...wide, kvHeads: 2 }],
  ])("rows of the native runner the same: %s", async (_, options) => {
    await using opened = await open(random(options), "native");
    const { rowInvariant, detail } = await probeRunner(opened.runner);
    expect(detail).toContain("The rows of 8 sequences");
    expect(rowInvariant).toBe(true);
  });

  test("rows of the bundled model the same with the native runner", async () => {
    await using opened = await open(tinyPhi3, "native");
    expect(await probeRunner(opened.runner)).toMatchObject({ rowInvariant: true });
  });

  test.each<[string, RandomModelOptions]>([
    ["float32", { ...wide, bits: "float" }],
    ["int4 of accuracy level 0", { ...wide, accuracyLevel: 0 }],
    ["int4 of block 64 at accuracy level 1", { ...wide, block: 64, accuracyLevel: 1 }],
  ])("rows of the stock runner not the same: %s", async (_, options) => {
    await using opened = await open(random(options), "stock");
    const { rowInvariant, detail } = await probeRunner(opened.runner);
    expect(rowInvariant, detail).toBe(false);
    expect(detail).toMatch(/^Of .*, \d+ of \d+ rows differ from the row alone\./);
  });

  test("that with the stock runner and int4 of block 32 at accuracy level 4 it is how tokens are cut that differs, not the batch", async () => {
    for (const pruned of ["no", "gather"] as const) {
      await using opened = await open(random({ ...wide, pruned }), "stock");
      expect(opened.runner.spec.allLogits).toBe(pruned === "no");
      const { rowInvariant, detail } = await probeRunner(opened.runner);
      expect(rowInvariant).toBe(false); // its attention sums over one row in another order than over several
      expect(detail).toMatch(/^Of several tokens at once, (\d) of \1 rows differ/);
    }
  });

  test.each<[string, (batch: readonly BatchEntry[], copied: ReadonlySet<CacheHandle>) => boolean, RegExp]>([
    ["a batch", (batch) => batch.length > 2, /^Of single tokens of 8 sequences at once, 8 of 8 rows differ/],
    [
      "a chunk beside others",
      ([first]) => first!.tokens.length === 7,
      /^Of a prompt that is cut elsewhere, 8 of 8 rows/,
    ],
    [
      "several tokens behind a shared beginning",
      ([first], copied) => first!.tokens.length === 3 && copied.has(first!.sequence),
      /^Of several tokens at once, 3 of 3 rows differ from the row alone\.$/,
    ],
  ])("that the bits of %s differ in the last place", async (_, when, detail) => {
    await using opened = await open(tinyPhi3, "native");
    const found = await probeRunner(altered(opened.runner, when));
    expect(found.detail).toMatch(detail);
    expect(found.rowInvariant).toBe(false);
  });

  test("nothing in its way: few places, a short context, a small cache, small entries", async () => {
    for (const options of [
      { maxSequences: 1 },
      { maxSequences: 2, maxLength: 12 },
      { cacheTokens: 256 },
      { cacheTokens: 200, maxTokens: 4 },
    ])
      for (const kind of ["native", "stock"] as const) {
        await using opened = await open(tinyPhi3, kind, options);
        expect(await probeRunner(opened.runner)).toMatchObject({ rowInvariant: kind === "native" });
        expect(opened.runner.room.free).toBe(opened.runner.room.blocks);
      }
    for (const options of [{ maxLength: 1 }, { maxLength: 9 }, { cacheTokens: 32 }]) {
      await using opened = await open(tinyPhi3, "native", options);
      const { rowInvariant, detail } = await probeRunner(opened.runner);
      expect(rowInvariant).toBe(false);
      expect(detail).toContain("too small");
    }
  });

  test("how long a step takes and what a token of a prompt adds, and leaves nothing behind", async () => {
    await using opened = await open(tinyPhi3, "native");
    const { runner } = opened;
    let time = 0;
    const clocked: ModelRunner = delegate(runner, async (batch) => {
      time += 90 + 12 * batch.reduce((sum, { tokens }) => sum + tokens.length - 1, 0);
      return await runner.forward(batch);
    });
    expect(await probeRunner(clocked, () => time)).toMatchObject({ stepMs: 90, promptTokenMs: 12 });
    expect(runner.room.free).toBe(runner.room.blocks);
    const failing = delegate(runner, async (batch) => {
      if (batch.length > 1) throw new Error("no more");
      return await runner.forward(batch);
    });
    await expect(probeRunner(failing)).rejects.toThrow("no more");
    expect(runner.room.free).toBe(runner.room.blocks);
  });
});

/** The runner with another `forward`. */
function delegate(runner: ModelRunner, forward: ModelRunner["forward"]): ModelRunner {
  return {
    spec: runner.spec,
    maxSequences: runner.maxSequences,
    maxTokens: runner.maxTokens,
    get room() {
      return runner.room;
    },
    allocate: () => runner.allocate(),
    blocksFor: (...args) => runner.blocksFor(...args),
    forward,
    copyPrefix: (...args) => runner.copyPrefix(...args),
    release: (sequence) => runner.release(sequence),
    terminate: () => runner.terminate(),
    dispose: () => runner.dispose(),
  };
}

/** The runner, but in some batches the last bit of the last logit of every row is another. */
function altered(
  runner: ModelRunner,
  when: (batch: readonly BatchEntry[], copied: ReadonlySet<CacheHandle>) => boolean,
): ModelRunner {
  const copied = new Set<CacheHandle>();
  const { vocabSize } = runner.spec;
  return {
    ...delegate(runner, async (batch) => {
      const answers = await runner.forward(batch);
      if (when(batch, copied))
        for (const logits of answers) {
          const bits = new Uint32Array(logits!.buffer, logits!.byteOffset, logits!.length);
          for (let row = vocabSize; row <= bits.length; row += vocabSize) bits[row - 1]! ^= 1;
        }
      return answers;
    }),
    get room() {
      return runner.room;
    },
    copyPrefix: (from, to, length) => {
      copied.add(to);
      runner.copyPrefix(from, to, length);
    },
  };
}
