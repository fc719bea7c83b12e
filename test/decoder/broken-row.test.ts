// A request whose numbers break (here: an embedding that is not a number, as overflowed training or a bad conversion
// leaves behind) ends with an error and is seen by nobody else: the real runner below the real engine.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { Engine } from "../../server/decoder/engine.ts";
import { LogitsError } from "../../server/decoder/errors.ts";
import { toInferenceError } from "../../server/inference/errors.ts";
import { readModelFolder } from "../../server/onnx/model-folder.ts";
import { openRunner } from "../../server/onnx/open-runner.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { breakEmbedding } from "../onnx/broken-folder.ts";

const broken = 380;
const places = 6;
const sound = fileURLToPath(new URL("../fixtures/onnx/tiny-int4", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "modelwire-broken-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  ["all of an embedding is NaN", Number.NaN, 32],
  ["one number of an embedding is NaN", Number.NaN, 1],
  ["one number of an embedding is infinite", Number.POSITIVE_INFINITY, 1],
] as const)("when %s", (name, value, count) => {
  const path = join(folder, name.replaceAll(" ", "-"));
  let runtime: Runtime;
  let engine: Engine;

  beforeEach(async () => {
    await breakEmbedding(sound, path, broken, value, count);
    runtime = new Runtime();
    const options = { runner: "native", threads: 1, maxSequences: places } as const;
    const { runner } = await openRunner(runtime, await readModelFolder(path), options);
    engine = new Engine(runner, { chunkBesideDecoding: 8 });
  });
  afterEach(async () => {
    await engine.close();
    runtime.close();
  });

  const answer = async (ids: readonly number[], maxTokens = 24): Promise<number[]> => {
    const tokens: number[] = [];
    const options = { temperature: 0, topK: 0, topP: 1, seed: 0n, maxTokens };
    for await (const event of engine.generate({ ids, options })) if (event.type === "token") tokens.push(event.id);
    return tokens;
  };

  test.each([
    ["at the end of its prompt", [...text(9, 4), broken]],
    ["in the middle of its prompt", [...text(9, 4), broken, ...text(30, 7)]],
    ["at its beginning", [broken, ...text(50, 7)]],
  ])("a request that has it %s ends with an error, and the others get what they get alone", async (_, ids) => {
    const prompts = Array.from({ length: places - 1 }, (_, i) => text(5 + 13 * i, i));
    const alone: number[][] = [];
    for (const prompt of prompts) alone.push(await answer(prompt));
    const error = answer(ids).catch((reason: unknown) => reason);
    expect(await Promise.all(prompts.map((prompt) => answer(prompt)))).toEqual(alone);
    expect(await error).toBeInstanceOf(LogitsError);
    expect(toInferenceError(await error)).toMatchObject({ reason: "MODEL_FAILED" });
  });

  test("whoever has its place in the cache next gets what it gets in a fresh one", async () => {
    const prompts = Array.from({ length: places }, (_, i) => text(40 + 9 * i, 3 * i));
    const fresh = await Promise.all(prompts.map((prompt) => answer(prompt)));
    const errors = prompts.map((prompt) => answer([...prompt, broken]).catch((reason: unknown) => reason));
    for (const error of await Promise.all(errors)) expect(error).toBeInstanceOf(LogitsError);
    expect(await Promise.all(prompts.map((prompt) => answer(prompt)))).toEqual(fresh);
  });
});

function text(length: number, start: number): number[] {
  return Array.from({ length }, (_, i) => 5 + ((start + 7 * i) % 350));
}
