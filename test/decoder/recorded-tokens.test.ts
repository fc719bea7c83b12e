// Greedy ids of the small model that comes with the project, beside those that other programs recorded for it.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../server/decoder/engine.ts";
import { openStockRunner, readModelFolder } from "../../server/onnx/model-folder.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { chatPrompt } from "../../server/tokenizer/chat-prompt.ts";
import { ChatTemplate, type TemplateMessage } from "../../server/tokenizer/chat-template.ts";
import { TextStream } from "../../server/tokenizer/text-stream.ts";
import { Tokenizer } from "../../server/tokenizer/tokenizer.ts";

interface Recording {
  origin: { tool: string; max_new_tokens: number };
  cases: { messages: TemplateMessage[]; prompt_ids: number[]; output_ids: number[]; text: string }[];
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const recording = (file: string) => JSON.parse(readFileSync(path(`../fixtures/recorded/${file}`), "utf8")) as Recording;

describe.each([
  ["models/tiny-phi3/onnx", "../../models/tiny-phi3/onnx", "tiny-phi3-genai-greedy.json"],
  ["fixtures/tiny-phi3-fp32", "../fixtures/tiny-phi3-fp32", "tiny-phi3-hf-greedy.json"],
])("%s", (_, folder, file) => {
  const { origin, cases } = recording(file);
  let runtime: Runtime;
  let engine: Engine;
  let tokenizer: Tokenizer;
  let template: ChatTemplate;

  beforeAll(async () => {
    runtime = new Runtime();
    engine = new Engine(await openStockRunner(runtime, await readModelFolder(path(folder)), { threads: 1 }));
    tokenizer = await Tokenizer.open(path(folder));
    template = await ChatTemplate.open(path(folder));
  });
  afterAll(async () => {
    await engine.close();
    runtime.close();
  });

  test(`makes the same prompt ids of the messages (${origin.tool})`, () => {
    for (const { messages, prompt_ids } of cases) expect(chatPrompt(template, tokenizer, messages)).toEqual(prompt_ids);
  });

  test("answers rightly after prompts that were given up half way", async () => {
    const options = { temperature: 0, topK: 0, topP: 1, seed: 0n, maxTokens: 4 };
    const long = Array.from({ length: 1500 }, (_, i) => 3 + (i % 2000));
    for (let i = 0; i < 3; i++) {
      const abort = new AbortController();
      const reader = engine.generate({ ids: long, options }, abort.signal);
      expect((await reader.next()).value).toMatchObject({ type: "start" });
      abort.abort(new Error("enough"));
      await expect(reader.next()).rejects.toThrow("enough");
    }
    const { prompt_ids, output_ids } = cases[0]!;
    const ids: number[] = [];
    for await (const event of engine.generate({ ids: prompt_ids, options }))
      if (event.type === "token") ids.push(event.id);
    expect(ids).toEqual(output_ids.slice(0, 4));
  });

  test(`gives the same greedy ids and text, all in one batch (${origin.tool})`, async () => {
    const eosIds = new Set((await readModelFolder(path(folder))).config.eosIds);
    const answers = await Promise.all(
      cases.map(async ({ prompt_ids }) => {
        const options = { temperature: 0, topK: 0, topP: 1, seed: 0n, maxTokens: origin.max_new_tokens ?? 48 };
        const ids: number[] = [];
        const stream = new TextStream(tokenizer);
        let text = "";
        for await (const event of engine.generate({ ids: prompt_ids, options })) {
          if (event.type !== "token") continue;
          ids.push(event.id);
          text += stream.push(event.id).text;
        }
        return { ids, text: text + stream.flush().text };
      }),
    );
    // One of the tools keeps the token that ended the answer.
    const expected = cases.map(({ output_ids, text }) => ({ ids: output_ids.filter((id) => !eosIds.has(id)), text }));
    expect(answers).toEqual(expected);
  });
});
