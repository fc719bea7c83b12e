import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { availableMemory, cacheBudget } from "../../server/onnx/cache-budget.ts";
import { readModelFolder } from "../../server/onnx/model-folder.ts";
import { inspectRunner, openRunner } from "../../server/onnx/open-runner.ts";
import { Runtime } from "../../server/onnx/runtime.ts";

const needs = { sequences: 8, contextLength: 1000, bytesPerToken: 100 };
const tinyPhi3 = fileURLToPath(new URL("../../models/tiny-phi3/onnx", import.meta.url));

describe("a cache", () => {
  test.each([
    ["every sequence in full, where half of the memory holds that", 2 * 8 * 1024 * 100, 8 * 1024],
    ["what half of the memory holds, where it is more than one sequence", 1_000_000, 4992],
    ["one sequence in full, where all of the memory holds it but half does not", 150_000, 1024],
    ["what all of the memory holds, where that is less than a sequence", 50_000, 480],
    ["a block, where there is nothing", -5, 32],
  ])("holds %s", (_, available, tokens) => {
    expect(cacheBudget(needs, available)).toBe(tokens);
  });

  test("knows of memory that the machine has", () => {
    expect(availableMemory()).toBeGreaterThan(2 ** 24);
    expect(availableMemory()).toBeLessThan(2 ** 50);
  });

  test.each(["native", "stock"] as const)(
    "holds what the %s runner is told, and the report says so",
    async (runner) => {
      const runtime = new Runtime();
      const folder = await readModelFolder(tinyPhi3);
      for (const [cacheTokens, held] of [
        [1000, 992],
        [1, 32],
        [undefined, 8 * 2048],
      ]) {
        const opened = await openRunner(runtime, folder, { runner, ...(cacheTokens !== undefined && { cacheTokens }) });
        expect(opened.report.cacheTokens).toBe(held);
        expect(opened.runner.room).toEqual({ blockTokens: 32, blocks: held! / 32, free: held! / 32 });
        await opened.runner.dispose();
      }
      expect((await inspectRunner(folder, { runner })).runner.cacheTokens).toBe(0);
      runtime.close();
    },
  );

  test("may hold fewer tokens than a sequence could have, and more sequences than a batch", async () => {
    const runtime = new Runtime();
    const options = { runner: "native", cacheTokens: 96, maxSequences: 2 } as const;
    const { runner } = await openRunner(runtime, await readModelFolder(tinyPhi3), options);
    const entry = (length: number) => {
      return { sequence: runner.allocate()!, tokens: new Int32Array(length).fill(5), position: 0, wantsLogits: "last" };
    };
    await expect(runner.forward([{ ...entry(97), wantsLogits: "last" }])).rejects.toThrow(
      "3 blocks of the cache are free",
    );
    const three = [1, 2, 3].map((length) => ({ ...entry(length), wantsLogits: "last" as const }));
    await expect(runner.forward(three)).rejects.toThrow("A batch of 3 entries; 2 are possible.");
    for (const one of three) expect((await runner.forward([one]))[0]!.length).toBe(runner.spec.vocabSize);
    expect(runner.room.free).toBe(0);
    await runner.dispose();
    runtime.close();
  });
});
