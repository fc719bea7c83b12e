import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openStockRunner, readModelFolder } from "../../server/onnx/model-folder.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { modelRunnerContract } from "../contract/model-runner.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const json = (relative: string) => JSON.parse(readFileSync(path(relative), "utf8"));

const greedy = json("../fixtures/onnx/greedy.json") as {
  origin: { tool: string; onnxruntime_genai: string };
  models: Record<string, { prompt_ids: number[]; ids: number[] }[]>;
};
for (const [name, cases] of Object.entries(greedy.models)) {
  contract(`${name}`, path(`../fixtures/onnx/${name}`), `onnxruntime-genai ${greedy.origin.onnxruntime_genai}`, cases);
}

const recorded = (file: string) =>
  json(`../fixtures/recorded/${file}`) as {
    origin: { tool: string };
    cases: { prompt_ids: number[]; output_ids: number[] }[];
  };
for (const [folder, file] of [
  ["../../models/tiny-phi3/onnx", "tiny-phi3-genai-greedy.json"],
  ["../fixtures/tiny-phi3-fp32", "tiny-phi3-hf-greedy.json"],
] as const) {
  const { origin, cases } = recorded(file);
  // One of the two tools keeps the ending token.
  const eos = new Set(
    (json(`${folder}/genai_config.json`) as { model: { eos_token_id: number[] } }).model.eos_token_id,
  );
  const short = cases.map(({ prompt_ids, output_ids }) => ({
    prompt_ids,
    ids: output_ids.filter((id) => !eos.has(id)),
  }));
  contract(folder.replace("../", ""), path(folder), origin.tool, short);
}

function contract(
  name: string,
  folder: string,
  origin: string,
  cases: { prompt_ids: number[]; ids: number[] }[],
): void {
  let runtime: Runtime;
  modelRunnerContract({
    name: `stock, ${name}`,
    open: async () => {
      runtime = new Runtime();
      const opened = await readModelFolder(folder);
      const cacheTokens = Math.max(960, opened.contextLength);
      return openStockRunner(runtime, opened, { threads: 1, maxSequences: 4, cacheTokens });
    },
    close: async () => runtime.close(),
    recorded: { origin, cases: cases.map(({ prompt_ids, ids }) => ({ prompt: prompt_ids, ids })) },
  });
}

test("a stock runner copies no beginning for which there is no room, and leaves the other sequence as it was", async () => {
  const runtime = new Runtime();
  const folder = await readModelFolder(path("../fixtures/onnx/tiny-int4"));
  const runner = await openStockRunner(runtime, folder, { maxSequences: 3, cacheTokens: 128 });
  expect(runner.room).toEqual({ blockTokens: 32, blocks: 4, free: 4 });
  const [from, to] = [runner.allocate()!, runner.allocate()!];
  const tokens = Int32Array.from({ length: 70 }, (_, i) => 5 + i);
  const single = { sequence: to, tokens: tokens.slice(0, 1), position: 5, wantsLogits: "last" } as const;
  await runner.forward([
    { sequence: from, tokens, position: 0, wantsLogits: "none" },
    { sequence: to, tokens: tokens.slice(0, 5), position: 0, wantsLogits: "none" },
  ]);
  const [expected] = (await runner.forward([single])).map((row) => row!.slice());
  expect(runner.room.free).toBe(0);
  expect(() => runner.copyPrefix(from, to, 33)).toThrow(RangeError);
  expect((await runner.forward([single]))[0]).toEqual(expected);
  runner.copyPrefix(from, to, 32);
  expect(runner.room.free).toBe(0);
  await runner.dispose();
  runtime.close();
});
