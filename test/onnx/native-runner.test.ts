import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { ModelFolderError, OrtError } from "../../server/onnx/errors.ts";
import { type Kernels, openKernels } from "../../server/onnx/kernels.ts";
import { readModelFolder } from "../../server/onnx/model-folder.ts";
import type { BatchEntry } from "../../server/onnx/model-runner.ts";
import { openNativeRunner, type PackedTensors } from "../../server/onnx/native-runner.ts";
import { openRunner } from "../../server/onnx/open-runner.ts";
import { openPackedWeights } from "../../server/onnx/packed-weights.ts";
import { type NativeGraph, rewriteGraph } from "../../server/onnx/rewrite.ts";
import type { CacheType } from "../../server/onnx/runner-report.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { modelRunnerContract } from "../contract/model-runner.ts";
import { breakEmbedding } from "./broken-folder.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const json = (relative: string) => JSON.parse(readFileSync(path(relative), "utf8"));
const tinyInt4 = path("../fixtures/onnx/tiny-int4");

const scratch = mkdtempSync(join(tmpdir(), "modelwire-native-"));
afterAll(() => rmSync(scratch, { recursive: true }));

type Case = { prompt: number[]; ids: number[] };

const greedy = json("../fixtures/onnx/greedy.json") as {
  origin: { onnxruntime_genai: string };
  models: Record<string, { prompt_ids: number[]; ids: number[] }[]>;
};
const small = (name: string): Case[] =>
  greedy.models[name]!.map(({ prompt_ids, ids }) => ({ prompt: prompt_ids, ids }));
const recorded = (folder: string, file: string) => {
  const { origin, cases } = json(`../fixtures/recorded/${file}`) as {
    origin: { tool: string };
    cases: { prompt_ids: number[]; output_ids: number[] }[];
  };
  // One of the two tools keeps the ending token.
  const { model } = json(`${folder}/genai_config.json`) as { model: { eos_token_id: number[] } };
  return {
    origin: origin.tool,
    cases: cases.map(({ prompt_ids: prompt, output_ids }): Case => {
      return { prompt, ids: output_ids.filter((id) => !model.eos_token_id.includes(id)) };
    }),
  };
};
const genai = `onnxruntime-genai ${greedy.origin.onnxruntime_genai}`;
const phi3 = recorded("../../models/tiny-phi3/onnx", "tiny-phi3-genai-greedy.json");
const phi3Float = recorded("../fixtures/tiny-phi3-fp32", "tiny-phi3-hf-greedy.json");

// Products in float32 are ONNX Runtime's own, whose sums depend on how many rows there are.
contract("tiny-fp32, float32 cache", path("../fixtures/onnx/tiny-fp32"), "float32", genai, small("tiny-fp32"), false);
contract("tiny-int4, float32 cache", tinyInt4, "float32", genai, small("tiny-int4"), true);
for (const type of ["float16", "int8"] as const)
  contract(`tiny-phi3, ${type} cache`, path("../../models/tiny-phi3/onnx"), type, phi3.origin, phi3.cases, true);
contract(
  "tiny-phi3 in float32, float32 cache",
  path("../fixtures/tiny-phi3-fp32"),
  "float32",
  phi3Float.origin,
  phi3Float.cases,
  false,
);

const broken = join(scratch, "broken");
await breakEmbedding(tinyInt4, broken, 380, Number.NaN);
contract("tiny-int4 with a broken token", broken, "float32", genai, small("tiny-int4"), true, 380);

function contract(
  name: string,
  folder: string,
  cacheType: CacheType,
  origin: string,
  cases: Case[],
  sameBits: boolean,
  brokenToken?: number,
): void {
  let runtime: Runtime;
  modelRunnerContract({
    name: `native, ${name}`,
    open: async () => {
      runtime = new Runtime();
      const opened = await readModelFolder(folder);
      const cacheTokens = Math.max(960, opened.contextLength);
      const options = { runner: "native", cacheType, threads: 2, maxSequences: 4, cacheTokens } as const;
      return (await openRunner(runtime, opened, options)).runner;
    },
    close: async () => runtime.close(),
    recorded: { origin, cases },
    sameBits,
    ...(brokenToken === undefined ? {} : { brokenToken }),
  });
}

describe("a native runner", () => {
  test("takes batches of every sequence at once with all tokens that an entry may have", async () => {
    await using opened = await open({ maxSequences: 16, maxTokens: 256 });
    const { runner } = opened;
    const tokens = Int32Array.from({ length: 256 }, (_, i) => 5 + (i % 300));
    const batch = Array.from({ length: 16 }, (): BatchEntry => {
      return { sequence: runner.allocate()!, tokens, position: 0, wantsLogits: "all" };
    });
    const rows = await runner.forward(batch);
    for (const row of rows) expect(Buffer.compare(bytes(row!), bytes(rows[0]!))).toBe(0);
    expect(rows[0]!.length).toBe(256 * runner.spec.vocabSize);
  });

  test("refuses a token that the model does not have, and leaves every sequence of the batch as it was", async () => {
    await using opened = await open();
    const { runner } = opened;
    const sequences = [runner.allocate()!, runner.allocate()!];
    const entry = (at: number, tokens: number[], position: number): BatchEntry => {
      return { sequence: sequences[at]!, tokens: Int32Array.from(tokens), position, wantsLogits: "last" };
    };
    await runner.forward([entry(0, [5, 6, 7], 0), entry(1, [8, 9], 0)]);
    const good = [entry(0, [10], 3), entry(1, [11], 2)];
    const expected = (await runner.forward(good)).map((row) => row!.slice());
    await expect(runner.forward([entry(0, [10], 3), entry(1, [384], 2)])).rejects.toBeInstanceOf(OrtError);
    await expect(runner.forward([entry(0, [10], 4)])).rejects.toThrow("Position 4 of a sequence of 3");
    expect((await runner.forward(good)).map((row) => row!.slice())).toEqual(expected);
  });

  test("takes no other call while a forward is in flight, and none after its end", async () => {
    await using opened = await open();
    const { runner } = opened;
    const sequence = runner.allocate()!;
    const batch: BatchEntry[] = [{ sequence, tokens: Int32Array.of(5), position: 0, wantsLogits: "last" }];
    const running = runner.forward(batch);
    expect(() => runner.allocate()).toThrow("in flight");
    expect(() => runner.release(sequence)).toThrow("in flight");
    expect(() => runner.copyPrefix(sequence, sequence, 0)).toThrow("in flight");
    await expect(runner.forward(batch)).rejects.toThrow("in flight");
    const ended = runner.dispose();
    expect((await running)[0]!.length).toBe(runner.spec.vocabSize);
    await ended;
    await expect(runner.forward(batch)).rejects.toThrow("disposed");
  });

  test("costs nothing for sequences that nobody has: a thousand long ones are opened at once", async () => {
    const before = process.memoryUsage().rss;
    await using opened = await open({ maxSequences: 1024 });
    expect(opened.runner.maxSequences).toBe(1024);
    expect(process.memoryUsage().rss - before).toBeLessThan(60 * 2 ** 20); // the cache's pages would be 64 MiB
  });

  test("refuses a folder that promises another number of logits than the graph gives, before it runs", async () => {
    const parts = await read();
    const { folder } = parts;
    const config = { ...folder.config, vocabSize: 400 };
    const { packed, disposals } = await watched(parts);
    const opening = openNativeRunner(parts.runtime, parts.kernels, { ...folder, config }, parts.graph, packed);
    await expect(opening).rejects.toThrow(ModelFolderError);
    await expect(opening).rejects.toThrow("model.vocab_size: is 400, but the graph gives 384 logits.");
    expect(disposals()).toBe(1);
    parts.runtime.close();
  });

  test("gives ONNX Runtime's refusal for packed weights that are not as long as the product needs", async () => {
    const parts = await read();
    const { packed, disposals } = await watched(parts);
    const short = { ...packed, locate: (name: string) => ({ ...packed.locate(name), byteLength: 64 }) };
    const opening = openNativeRunner(parts.runtime, parts.kernels, parts.folder, parts.graph, short).then(
      async (runner) => {
        const entry = { tokens: Int32Array.of(5), position: 0, wantsLogits: "last" } as const;
        await runner.forward([{ ...entry, sequence: runner.allocate()! }]).finally(() => runner.dispose());
      },
    );
    await expect(opening).rejects.toBeInstanceOf(OrtError);
    await expect(opening).rejects.toThrow("MatMulInt4");
    expect(disposals()).toBe(1);
    parts.runtime.close();
  });

  test("gives ONNX Runtime's refusal for a graph that is not one, and frees what it was given", async () => {
    const parts = await read();
    const { packed, disposals } = await watched(parts);
    const graph: NativeGraph = { ...parts.graph, encode: () => Uint8Array.from(Buffer.from("no graph")) };
    const opening = openNativeRunner(parts.runtime, parts.kernels, parts.folder, graph, packed);
    await expect(opening).rejects.toBeInstanceOf(OrtError);
    expect(disposals()).toBe(1);
    parts.runtime.close();
  });
});

/** What the small int4 model is opened from. */
async function read() {
  const runtime = new Runtime();
  const folder = await readModelFolder(tinyInt4);
  const { graph } = rewriteGraph(readFileSync(join(tinyInt4, folder.config.decoder.fileName)), folder.config);
  const { kernels } = openKernels();
  if (!graph || !kernels) throw new Error("The small int4 model cannot be run natively.");
  return { runtime, folder, graph, kernels };
}

async function open(options: { maxSequences?: number; maxTokens?: number } = {}) {
  const { runtime, folder, graph, kernels } = await read();
  const packed = await openPackedWeights(kernels, folder.path, graph.weights);
  const runner = await openNativeRunner(runtime, kernels, folder, graph, packed, options);
  return {
    runner,
    async [Symbol.asyncDispose]() {
      await runner.dispose();
      runtime.close();
    },
  };
}

/** Packed weights that count how often they are freed. */
async function watched({ kernels, folder, graph }: { kernels: Kernels } & Awaited<ReturnType<typeof read>>) {
  const packed = await openPackedWeights(kernels, folder.path, graph.weights);
  let count = 0;
  const tensors: PackedTensors = {
    scaleTypes: packed.scaleTypes,
    locate: (name) => packed.locate(name),
    dispose: () => {
      count++;
      packed.dispose();
    },
  };
  return { packed: tensors, disposals: () => count };
}

function bytes(numbers: Float32Array): Buffer {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}
