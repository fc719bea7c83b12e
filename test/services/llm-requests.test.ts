// What rows of a table, dicts and texts ask of the decoder.
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import { type Data, NdArray, Table } from "../../server/mlmodel/data/data.ts";
import { llmRequests } from "../../server/services/llm-requests.ts";

const dict = (entries: Record<string, Data>): Data => new Map(Object.entries(entries));
const QUESTION = dict({ role: "user", content: "What is the capital of Spain?" });

function table(columns: Record<string, readonly Data[]>): Table {
  const rows = Object.values(columns)[0]?.length ?? 0;
  return new Table(
    Object.entries(columns).map(([name, items]) => ({ name, values: NdArray.ofItems("object", [rows], items) })),
    rows,
  );
}

function violations(work: () => unknown): Record<string, string> {
  try {
    work();
  } catch (error) {
    if (error instanceof ApiError)
      return Object.fromEntries(error.violations.map((one) => [one.field, one.description]));
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("a row", () => {
  test("with messages is a conversation, with its options", () => {
    const row = table({ messages: [[QUESTION]], temperature: [0], max_tokens: [7n], stop: [["."]], n: [null] });
    expect(llmRequests(row, undefined)).toEqual({
      requests: [
        {
          messages: [{ role: "user", content: "What is the capital of Spain?" }],
          options: { temperature: 0, maxTokens: 7, stop: ["."] },
        },
      ],
      unused: [],
    });
  });

  test("with a prompt goes on with it as it stands", () => {
    expect(llmRequests(table({ prompt: ["<|user|>Hi<|end|>"] }), undefined).requests).toEqual([
      { prompt: "<|user|>Hi<|end|>", options: {} },
    ]);
  });

  test("with one text only is a prompt, whatever its column is called", () => {
    expect(llmRequests(table({ question: ["Why?"], depth: [3n] }), undefined)).toEqual({
      requests: [{ prompt: "Why?", options: {} }],
      unused: ["depth"],
    });
    expect(Object.keys(violations(() => llmRequests(table({ a: ["x"], b: ["y"] }), undefined)))).toEqual([
      "input.messages",
    ]);
  });

  test("goes before the parameters", () => {
    const params = new Map<string, Data>([
      ["max_tokens", 5n],
      ["seed", 18446744073709551615n],
    ]);
    expect(llmRequests(dict({ prompt: "a", max_tokens: 2n }), params).requests[0]?.options).toEqual({
      maxTokens: 2,
      seed: 18446744073709551615n,
    });
  });

  test("without anything to answer is refused, each with its place", () => {
    const rows = [dict({ prompt: "a", messages: [QUESTION] }), dict({ max_tokens: 1n }), dict({ prompt: "b" })];
    expect(violations(() => llmRequests(rows, undefined))).toEqual({
      "input[0].prompt": "does not go together with messages; give one of them",
      "input[1].messages": "is missing: give messages, or a prompt",
    });
  });
});

test("a text is a prompt, a list of texts is as many, a list of messages is one conversation", () => {
  const asks = (data: Data) =>
    llmRequests(data, undefined).requests.map((one) => ("prompt" in one ? one.prompt : one.messages));
  expect(asks("a")).toEqual(["a"]);
  expect(asks(["a", "b"])).toEqual(["a", "b"]);
  expect(asks([QUESTION])).toEqual([[{ role: "user", content: "What is the capital of Spain?" }]]);
  expect(violations(() => asks([]))).toHaveProperty("input");
  expect(violations(() => asks(5n))).toHaveProperty("input");
  expect(violations(() => asks(Array.from({ length: 65 }, () => "a")))).toEqual({
    input: expect.stringContaining("got 65 rows"),
  });
});

test("every option that is wrong is named", () => {
  const wrong = dict({
    prompt: "a",
    temperature: -1,
    max_tokens: 1.5,
    n: 9n,
    top_p: 0,
    stop: [1n],
    seed: -1n,
    tools: [dict({ type: "function" })],
    logprobs: true,
    response_format: dict({ type: "json_object" }),
    presence_penalty: 3,
    frequency_penalty: "no",
    repetition_penalty: 0,
    min_p: 1.5,
    min_tokens: -1n,
    ignore_eos: 1n,
    logit_bias: dict({ x: 1 }),
    stop_token_ids: [1.5],
  });
  expect(Object.keys(violations(() => llmRequests(wrong, undefined))).sort()).toEqual(
    [
      ...["frequency_penalty", "ignore_eos", "logit_bias", "logprobs", "max_tokens", "min_p", "min_tokens", "n"],
      ...["presence_penalty", "repetition_penalty", "response_format", "seed", "stop", "stop_token_ids[0]"],
      ...["temperature", "tools", "top_p"],
    ].map((name) => `input.${name}`),
  );
});

test("every control of the decoder is taken, under its name in MLflow and OpenAI", () => {
  const penalties = { repetition_penalty: 1.2, presence_penalty: 1n, frequency_penalty: -0.5 };
  const tokens = {
    stop_token_ids: [7n, 8n],
    logit_bias: dict({ "5": -100, "6": 2n }),
    min_tokens: 3n,
    ignore_eos: true,
  };
  expect(llmRequests(dict({ prompt: "a", min_p: 0.1, ...penalties, ...tokens }), undefined)).toEqual({
    requests: [
      {
        prompt: "a",
        options: {
          ...{ minP: 0.1, repetitionPenalty: 1.2, presencePenalty: 1, frequencyPenalty: -0.5 },
          ...{ stopTokenIds: [7, 8], minTokens: 3, ignoreEos: true },
          logitBias: new Map([
            [5, -100],
            [6, 2],
          ]),
        },
      },
    ],
    unused: [],
  });
});

test("what asks for nothing is taken: no tools, text, no log-probabilities, stream", () => {
  const none = { tools: [], tool_choice: "auto", response_format: dict({ type: "text" }), logprobs: false };
  const row = dict({ prompt: "a", ...none, stream: true });
  expect(llmRequests(row, undefined)).toEqual({ requests: [{ prompt: "a", options: {} }], unused: [] });
});

test("content that is no text and tool calls are refused, not turned into text", () => {
  const messages = [
    dict({ role: "user", content: ["a"] }),
    dict({ role: "assistant", content: "", tool_calls: [dict({})] }),
  ];
  expect(Object.keys(violations(() => llmRequests(dict({ messages }), undefined)))).toEqual([
    "input.messages[0].content",
    "input.messages[1].tool_calls",
  ]);
});
