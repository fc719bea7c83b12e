import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createInferenceHost,
  type GenerateEvent,
  type GenerateOptions,
  type InferenceHost,
} from "../../server/inference/host.ts";
import { failure } from "./failure.ts";
import { tinyPhi3, withFolder } from "./folders.ts";

const recorded = JSON.parse(readFileSync(new URL("../fixtures/onnx/prompts.json", import.meta.url), "utf8")) as {
  origin: { max_new_tokens: number };
  cases: { prompt: string; prompt_ids: number[]; output_ids: number[]; text: string }[];
};
let host: InferenceHost;
beforeAll(async () => {
  host = createInferenceHost();
  await host.load("phi", tinyPhi3, { threads: 1 });
});
afterAll(() => host.close());

/** The answer to a prompt, its ids and its end. */
async function goOn(prompt: string, options: GenerateOptions = {}, from: InferenceHost = host) {
  const answer = { text: "", ids: [] as number[], done: undefined as GenerateEvent | undefined };
  for await (const event of from.generate({ model: "phi", prompt, options }, new AbortController().signal)) {
    if (event.type === "delta") {
      answer.text += event.text;
      answer.ids.push(...event.tokenIds);
    }
    answer.done = event;
  }
  return answer;
}

describe("a raw prompt", () => {
  test.each(recorded.cases)(
    "has the tokens and the greedy answer that onnxruntime-genai has: $prompt",
    async (given) => {
      expect(await host.tokenize("phi", { text: given.prompt })).toEqual({ ids: given.prompt_ids });
      const { text, ids, done } = await goOn(given.prompt, { maxTokens: recorded.origin.max_new_tokens });
      expect(ids).toEqual(given.output_ids);
      expect(done).toMatchObject({ usage: { promptTokens: given.prompt_ids.length } });
      expect(text).toBe(given.text);
    },
  );

  test("is gone on with, the space between included", async () => {
    expect((await goOn("The capital of France is")).text).toBe(" Paris.");
    expect((await goOn("The capital of France is", { stop: [" Par"] })).text).toBe("");
  });

  test("needs no chat template", async () => {
    await withFolder("tiny-fp32", async (folder) => {
      await folder.edit("tokenizer_config.json", (config) => {
        delete config.chat_template;
      });
      const other = createInferenceHost();
      try {
        await other.load("phi", folder.path, { threads: 1 });
        expect((await goOn("the model", { maxTokens: 3 }, other)).ids).toHaveLength(3);
        const messages = [{ role: "user", content: "x" }];
        expect((await failure(other.tokenize("phi", { messages }))).reason).toBe("TEMPLATE_MISSING");
      } finally {
        await other.close();
      }
    });
  });

  test("must have a token, and must fit the context", async () => {
    expect(await failure(goOn(""))).toMatchObject({ reason: "INVALID_OPTION", violations: [{ field: "prompt" }] });
    const error = await failure(goOn("word ".repeat(3000), { maxTokens: 7 }));
    expect(error).toMatchObject({ reason: "CONTEXT_OVERFLOW", metadata: { context_length: "2048" } });
    expect((await failure(goOn("word ".repeat(150_000)))).reason).toBe("CONTEXT_OVERFLOW");
  });
});

describe("tokens", () => {
  test("of messages are those that a chat has", async () => {
    const messages = [{ role: "user", content: "What is the capital of Spain?<|end|>" }];
    const { ids, pieces } = await host.tokenize("phi", { messages }, { pieces: true });
    const events: GenerateEvent[] = [];
    const request = { model: "phi", messages, options: { maxTokens: 1 } };
    for await (const event of host.generate(request, new AbortController().signal)) events.push(event);
    expect(events.at(-1)).toMatchObject({ usage: { promptTokens: ids.length } });
    expect(pieces).toHaveLength(ids.length);
    expect(pieces?.filter((piece) => piece === "<|end|>")).toHaveLength(1); // what the user wrote is text
  });

  test("come with the vocabulary's entries when asked for", async () => {
    expect(await host.tokenize("phi", { text: "<|user|>Hi ž" }, { pieces: true })).toEqual({
      ids: [2154, 878, 2049, 200, 193],
      pieces: ["<|user|>", "▁Hi", "▁", "<0xC5>", "<0xBE>"],
    });
    expect(await host.tokenize("phi", { text: "" })).toEqual({ ids: [] });
  });

  test("become text again, special ones written out when asked for", async () => {
    for (const { prompt_ids } of recorded.cases) {
      const text = await host.detokenize("phi", prompt_ids, { special: true });
      expect((await host.tokenize("phi", { text })).ids.filter((id) => id !== 2049)).toEqual(
        prompt_ids.filter((id) => id !== 2049),
      );
    }
    expect(await host.detokenize("phi", [348, 269, 2151])).toBe("What is");
    expect(await host.detokenize("phi", [348, 269, 2151], { special: true })).toBe("What is<|end|>");
    expect(await host.detokenize("phi", [])).toBe("");
  });

  test("that the model does not have are refused, each with its place", async () => {
    const error = await failure(host.detokenize("phi", [-1, 5, 2176, 1.5]));
    expect(error).toMatchObject({ reason: "INVALID_OPTION" });
    expect(error.violations.map(({ field }) => field)).toEqual(["token_ids[0]", "token_ids[2]", "token_ids[3]"]);
    expect((await failure(host.detokenize("phi", new Array(5000).fill(-1)))).violations).toHaveLength(100);
  });

  test("of a text too long to be encoded are refused, and of a model that is not loaded", async () => {
    expect(await failure(host.tokenize("phi", { text: "a".repeat(1_000_001) }))).toMatchObject({
      reason: "INVALID_OPTION",
      violations: [{ field: "text" }],
    });
    expect((await failure(host.tokenize("none", { text: "a" }))).reason).toBe("MODEL_NOT_LOADED");
    expect((await failure(host.detokenize("none", [1]))).reason).toBe("MODEL_NOT_LOADED");
  });
});
