import { describe, expect, test } from "vitest";
import { optionViolations } from "../../server/decoder/options.ts";

const spec = {
  ...{ vocabSize: 100, contextLength: 64, layers: 1, kvHeads: 1, headSize: 8 },
  ...{ eosIds: [2], bosId: 1, padId: 0, allLogits: true },
};
const fine = { temperature: 1, topK: 0, topP: 1 };

type Options = Partial<Parameters<typeof optionViolations>[0]>;
const fields = (options: Options) => optionViolations({ ...fine, ...options }, spec).map(({ field }) => field);

describe("the options of a request", () => {
  test("are fine when absent, and at both ends of their ranges", () => {
    const least: Options = {
      ...{ temperature: 0, topK: 0, topP: 0, minP: 0, repetitionPenalty: 1e-9, presencePenalty: -2 },
      ...{ frequencyPenalty: -2, maxTokens: 1, minTokens: 0, logprobs: 0, stopTokenIds: [0] },
      logitBias: new Map([[0, -100]]),
    };
    const most: Options = {
      ...{ temperature: 100, topK: 100_000, topP: 1, minP: 1, repetitionPenalty: 10, presencePenalty: 2 },
      ...{ frequencyPenalty: 2, maxTokens: 9, minTokens: 9, logprobs: 20 },
      stopTokenIds: Array.from({ length: 64 }, (_, i) => i),
      logitBias: new Map([[99, 100]]),
    };
    for (const options of [{}, least, most]) expect(fields(options)).toEqual([]);
  });

  test.each<[string, Options[]]>([
    ["temperature", [{ temperature: -0.1 }, { temperature: Number.NaN }, { temperature: Infinity }]],
    ["top_k", [{ topK: -1 }, { topK: 1.5 }, { topK: Number.NaN }]],
    ["top_p", [{ topP: -0.1 }, { topP: 1.1 }, { topP: Number.NaN }]],
    ["min_p", [{ minP: -0.1 }, { minP: 1.1 }, { minP: Number.NaN }]],
    ["repetition_penalty", [{ repetitionPenalty: 0 }, { repetitionPenalty: 10.1 }, { repetitionPenalty: Number.NaN }]],
    ["presence_penalty", [{ presencePenalty: -2.1 }, { presencePenalty: 2.1 }, { presencePenalty: Number.NaN }]],
    ["frequency_penalty", [{ frequencyPenalty: -2.1 }, { frequencyPenalty: 2.1 }]],
    ["max_tokens", [{ maxTokens: 0 }, { maxTokens: 1.5 }]],
    ["min_tokens", [{ minTokens: -1 }, { minTokens: 1.5 }, { minTokens: 5, maxTokens: 4 }]],
    ["top_logprobs", [{ logprobs: -1 }, { logprobs: 21 }, { logprobs: 0.5 }]],
    [
      "stop_token_ids",
      [
        { stopTokenIds: [100] },
        { stopTokenIds: [-1] },
        { stopTokenIds: [1.5] },
        { stopTokenIds: new Array(65).fill(1) },
      ],
    ],
    [
      "logit_bias",
      [
        { logitBias: new Map([[100, 1]]) },
        { logitBias: new Map([[1, 101]]) },
        { logitBias: new Map([[1, -101]]) },
        { logitBias: new Map([[1, Number.NaN]]) },
      ],
    ],
  ])("are refused outside of it: %s", (field, all) => {
    for (const options of all) expect(fields(options)).toEqual([field]);
  });

  test("are all told when several are wrong", () => {
    const wrong: Options = { temperature: -1, minP: 2, presencePenalty: 3, logprobs: 99, stopTokenIds: [1000] };
    expect(fields(wrong)).toEqual(["temperature", "min_p", "presence_penalty", "top_logprobs", "stop_token_ids"]);
  });

  test("name a few of many foreign tokens, and how many there are", () => {
    const logitBias = new Map(Array.from({ length: 1025 }, (_, i) => [i + 100, 1]));
    const texts = optionViolations({ ...fine, logitBias }, spec).map(({ description }) => description);
    expect(texts).toEqual([
      "must name at most 1024 tokens; found 1025.",
      "names token 100, 101, 102 and 1022 more; the model has 100 tokens.",
    ]);
  });
});
