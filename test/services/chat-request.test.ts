// What is wrong with a chat request, all of it at once, and what of it reaches the engine.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ApiError, StreamChatRequestSchema, ToolChoiceMode } from "@modelwire/proto";
import { expect, test } from "vitest";
import { askedOf, checkChat } from "../../server/services/chat-request.ts";

type Init = MessageInitShape<typeof StreamChatRequestSchema>;

const user = { role: "user", content: "hi" };
const request = (init: Init = {}) => create(StreamChatRequestSchema, { model: "m", messages: [user], ...init });
const tool = (name: string, parametersJsonSchema = "") => ({ name, description: "", parametersJsonSchema });
const call = (id: string, name = "f", argumentsJson = "{}") => ({ id, name, argumentsJson });

/** Fields in the order in which they are reported. */
function wrong(init: Init): string[] {
  try {
    checkChat(request(init));
    return [];
  } catch (error) {
    if (error instanceof ApiError) return error.violations.map(({ field }) => field);
    throw error;
  }
}

test("a request that says little and one that says everything within its bounds are taken", () => {
  expect(wrong({})).toEqual([]);
  const edges = {
    minP: 1,
    repetitionPenalty: 10,
    presencePenalty: -2,
    frequencyPenalty: 2,
    minTokens: 9,
    maxTokens: 9,
  };
  const options = {
    ...edges,
    logitBias: { 0: -100, 7: 100 },
    stopTokenIds: [0],
    logprobs: true,
    topLogprobs: 20,
    n: 8,
  };
  expect(wrong({ options, cacheSalt: "s".repeat(256), priority: -100 })).toEqual([]);
});

test("every option out of its bounds is named at once", () => {
  const options = {
    ...{ temperature: Number.NaN, maxTokens: 0, n: 9, topP: 0, topK: -1, minP: 1.1, repetitionPenalty: 0 },
    ...{ presencePenalty: 2.1, frequencyPenalty: -2.1, minTokens: -1, topLogprobs: 21 },
    ...{ logitBias: { "-1": 0, 5: 101, 6: Number.NaN }, stop: [""], stopTokenIds: [3, -1] },
  };
  expect(wrong({ options, cacheSalt: "s".repeat(257), priority: 101 })).toEqual([
    ...["temperature", "max_tokens", "n", "top_p", "top_k", "min_p", "repetition_penalty"].map((o) => `options.${o}`),
    ...["options.presence_penalty", "options.frequency_penalty", "options.min_tokens"],
    ...["options.top_logprobs", "options.top_logprobs"],
    ...["options.logit_bias[5]", "options.logit_bias[6]", "options.logit_bias[-1]"],
    ...["options.stop[0]", "options.stop_token_ids[1]", "cache_salt", "priority"],
  ]);
});

test.each([
  ["temperature", "temperature", [0, 100], [-0.1, 100.1]],
  ["maxTokens", "max_tokens", [1], [0, -1]],
  ["n", "n", [1, 8], [0, 9]],
  ["topP", "top_p", [1e-9, 1], [0, 1.01]],
  ["topK", "top_k", [0, 1], [-1]],
  ["minP", "min_p", [0, 1], [-0.1, 1.1]],
  ["repetitionPenalty", "repetition_penalty", [1e-9, 10], [0, -1, 10.1]],
  ["presencePenalty", "presence_penalty", [-2, 2], [-2.1, 2.1]],
  ["frequencyPenalty", "frequency_penalty", [-2, 2], [-2.1, 2.1]],
  ["minTokens", "min_tokens", [0], [-1]],
])("%s is taken up to its bounds and refused beyond them", (option, field, good, bad) => {
  for (const value of good) expect(wrong({ options: { [option]: value } }), String(value)).toEqual([]);
  for (const value of [...bad, Number.NaN])
    expect(wrong({ options: { [option]: value } }), String(value)).toEqual([`options.${field}`]);
});

test("numbers that contradict each other are refused: min_tokens above max_tokens, top_logprobs without logprobs", () => {
  expect(wrong({ options: { minTokens: 5, maxTokens: 4 } })).toEqual(["options.min_tokens"]);
  expect(wrong({ options: { topLogprobs: 0, logprobs: false } })).toEqual(["options.top_logprobs"]);
});

test("too many of anything is refused with both numbers", () => {
  const logitBias = Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1]));
  const stopTokenIds = Array.from({ length: 65 }, (_, i) => i);
  const tools = Array.from({ length: 129 }, (_, i) => tool(`f${i}`));
  expect(wrong({ options: { logitBias, stopTokenIds }, tools })).toEqual([
    "options.logit_bias",
    "options.stop_token_ids",
    "tools",
  ]);
});

test("a response format says exactly one form that can be read", () => {
  const format = (form: NonNullable<Init["responseFormat"]>["format"]) => wrong({ responseFormat: { format: form } });
  expect(format({ case: "jsonSchema", value: '{"type": "string"}' })).toEqual([]);
  expect(format({ case: "jsonSchema", value: "[1]" })).toEqual(["response_format.json_schema"]);
  expect(format({ case: "jsonSchema", value: "{" })).toEqual(["response_format.json_schema"]);
  expect(format({ case: "jsonSchema", value: `{"a": "${"x".repeat(1 << 16)}"}` })).toEqual([
    "response_format.json_schema",
  ]);
  expect(format({ case: "jsonObject", value: false })).toEqual(["response_format.json_object"]);
  expect(format({ case: "regex", value: "" })).toEqual(["response_format.regex"]);
  expect(format({ case: "grammar", value: 'root ::= "a"' })).toEqual([]);
  expect(format({ case: undefined })).toEqual(["response_format"]);
});

test("tools have names of their own and schemas of objects", () => {
  const tools = [
    tool("a b"),
    tool("f", '{"type": "object"}'),
    tool("f"),
    tool("g", '{"type": "string"}'),
    tool("h", "{"),
  ];
  expect(wrong({ tools })).toEqual([
    "tools[0].name",
    "tools[2].name",
    "tools[3].parameters_json_schema",
    "tools[4].parameters_json_schema",
  ]);
});

test("a choice of tools needs them, and a name must be one of theirs", () => {
  const mode = (value: number) => ({ choice: { case: "mode" as const, value } });
  const name = (value: string) => ({ choice: { case: "name" as const, value } });
  expect(wrong({ toolChoice: mode(ToolChoiceMode.REQUIRED) })).toEqual(["tool_choice.mode"]);
  expect(wrong({ toolChoice: name("f") })).toEqual(["tool_choice.name"]);
  expect(wrong({ toolChoice: name("g"), tools: [tool("f")] })).toEqual(["tool_choice.name"]);
  expect(wrong({ toolChoice: mode(9), tools: [tool("f")] })).toEqual(["tool_choice.mode"]);
  expect(wrong({ toolChoice: name("f"), tools: [tool("f")] })).toEqual([]);
});

test("tools and a response format exclude each other unless no tool may be called", () => {
  const responseFormat = { format: { case: "jsonObject" as const, value: true } };
  const none = { choice: { case: "mode" as const, value: ToolChoiceMode.NONE } };
  expect(wrong({ responseFormat, tools: [tool("f")] })).toEqual(["response_format"]);
  expect(wrong({ responseFormat, tools: [tool("f")], toolChoice: none })).toEqual([]);
});

test("calls belong to the assistant, and results to a call that was made before", () => {
  const assistant = { role: "assistant", content: "", toolCalls: [call("call_1")] };
  const result = (toolCallId?: string) => ({ role: "tool", content: "4", ...(toolCallId && { toolCallId }) });
  expect(wrong({ messages: [user, assistant, result("call_1")] })).toEqual([]);
  expect(
    wrong({
      messages: [
        { ...user, toolCalls: [call("")], toolCallId: "x" },
        { ...assistant, toolCalls: [call("c", "a b", "[]")] },
        result(),
        result("call_9"),
      ],
    }),
  ).toEqual([
    ...["messages[0].tool_calls", "messages[0].tool_calls[0].id", "messages[0].tool_call_id"],
    ...["messages[1].tool_calls[0].name", "messages[1].tool_calls[0].arguments_json"],
    ...["messages[2].tool_call_id", "messages[3].tool_call_id"],
  ]);
});

test("the engine is asked what the request says, and nothing that it does not say", () => {
  expect(askedOf(request())).toEqual({ messages: [user], options: {} });
  const asked = askedOf(
    request({
      messages: [
        { role: "assistant", content: "", toolCalls: [call("call_1", "f", '{"a": 1}')] },
        { role: "tool", content: "4", toolCallId: "call_1" },
      ],
      options: { minP: 0, logitBias: { 5: -1 }, ignoreEos: false, logprobs: true },
      tools: [tool("f", "{}")],
      toolChoice: { choice: { case: "name", value: "f" } },
      priority: 0,
    }),
  );
  expect(asked).toEqual({
    messages: [
      { role: "assistant", content: "", toolCalls: [{ id: "call_1", name: "f", arguments: '{"a": 1}' }] },
      { role: "tool", content: "4", toolCallId: "call_1" },
    ],
    options: { minP: 0, logitBias: new Map([[5, -1]]), ignoreEos: false, logprobs: 0 },
    tools: [{ name: "f", description: "", parameters: "{}" }],
    toolChoice: { name: "f" },
    priority: 0,
  });
  expect(() => structuredClone(asked)).not.toThrow();
});
