// Every control of a chat as a program writes it, on the wire and back.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { StreamChatRequest, StreamChatResponseSchema } from "@modelwire/proto";
import { type ApiError, ChatService, FinishReason, ToolChoiceMode } from "@modelwire/proto";
import { expect, test } from "vitest";
import { type ChatTurn, createClient, tool } from "../../client/index.ts";
import { startTestServer } from "./test-server.ts";

type Event = MessageInitShape<typeof StreamChatResponseSchema>;

const END: Event = { event: { case: "done", value: { choices: [{ finishReason: FinishReason.STOP }] } } };

/** A server that remembers what it was asked and answers with these. */
async function startChat(events: readonly Event[] = [END]) {
  const server = await startTestServer();
  const requests: StreamChatRequest[] = [];
  server.add(ChatService, {
    async *streamChat(request: StreamChatRequest) {
      requests.push(request);
      yield* events;
    },
  });
  const client = createClient(server.address);
  return {
    chat: client.chat,
    requests,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.close();
    },
  };
}

const INPUT = { model: "tiny", messages: "hello" };

const weather = tool({
  name: "weather",
  description: "Weather of a place",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});

test("every option goes out under its own name, and what is absent stays absent", async () => {
  await using server = await startChat();
  const numbers = { minP: 0.1, repetitionPenalty: 1.2, presencePenalty: -1, frequencyPenalty: 0.5, minTokens: 0 };
  const input = { ...INPUT, ...numbers, stopTokenIds: [3], ignoreEos: false, cacheSalt: "s", priority: -5 };
  await server.chat.stream({ ...input, logprobs: 4, logitBias: new Map([[7, -100]]) }).final();
  await server.chat.stream({ ...INPUT, logprobs: true, logitBias: { 8: 2 } }).final();
  await server.chat.stream(INPUT).final();
  const [first, second, third] = server.requests;
  expect(first).toMatchObject({ cacheSalt: "s", priority: -5 });
  const logprobs = { logprobs: true, topLogprobs: 4 };
  expect(first?.options).toMatchObject({ ...numbers, ...logprobs, stopTokenIds: [3], ignoreEos: false });
  expect(first?.options?.logitBias).toEqual({ 7: -100 });
  expect(second?.options).toMatchObject({ logprobs: true, logitBias: { 8: 2 } });
  expect(second?.options && Object.hasOwn(second.options, "topLogprobs")).toBe(false);
  for (const key of ["minP", "minTokens", "ignoreEos", "logprobs", "repetitionPenalty"])
    expect(Object.hasOwn(third?.options ?? {}, key)).toBe(false);
  expect([third?.responseFormat, third?.toolChoice, third?.tools]).toEqual([undefined, undefined, []]);
});

test("a response format is one of four, a schema as an object or as its text", async () => {
  await using server = await startChat();
  for (const responseFormat of [
    { jsonSchema: { type: "string" } },
    { jsonSchema: '{"type":"null"}' },
    { jsonObject: true },
    { regex: "a+" },
    { grammar: 'root ::= "a"' },
  ] as const)
    await server.chat.stream({ ...INPUT, responseFormat }).final();
  expect(server.requests.map(({ responseFormat }) => responseFormat?.format)).toEqual([
    { case: "jsonSchema", value: '{"type":"string"}' },
    { case: "jsonSchema", value: '{"type":"null"}' },
    { case: "jsonObject", value: true },
    { case: "regex", value: "a+" },
    { case: "grammar", value: 'root ::= "a"' },
  ]);
});

test("tools, the choice among them, and the calls and results of earlier turns go along", async () => {
  await using server = await startChat();
  const call = { id: "call_1", name: "weather", argumentsJson: '{"city":"Rome"}' };
  const messages: ChatTurn[] = [
    { role: "assistant", content: "", toolCalls: [call] },
    { role: "tool", content: "sunny", toolCallId: "call_1" },
  ];
  await server.chat.stream({ ...INPUT, messages, tools: [weather, { name: "now" }], toolChoice: "required" }).final();
  await server.chat.stream({ ...INPUT, tools: [weather], toolChoice: { name: "weather" } }).final();
  const [first, second] = server.requests;
  expect(first).toMatchObject({
    messages: [
      { toolCalls: [call], content: "" },
      { toolCallId: "call_1", content: "sunny" },
    ],
    toolChoice: { choice: { case: "mode", value: ToolChoiceMode.REQUIRED } },
    tools: [
      { name: "weather", description: "Weather of a place", parametersJsonSchema: JSON.stringify(weather.parameters) },
      { name: "now", description: "", parametersJsonSchema: "" },
    ],
  });
  expect(second?.toolChoice?.choice).toEqual({ case: "name", value: "weather" });
});

test("calls that form in pieces are whole in the result, and its message goes back as it is", async () => {
  const piece = (index: number, argumentsJson: string, id = "", name = ""): Event => ({
    event: { case: "delta", value: { index: 0, toolCalls: [{ index, id, name, argumentsJson }] } },
  });
  const end = { index: 0, finishReason: FinishReason.TOOL_CALLS };
  await using server = await startChat([
    piece(0, "", "call_1", "weather"),
    piece(0, '{"city":'),
    piece(0, '"Rome"}'),
    piece(1, "{}", "call_2", "weather"),
    { event: { case: "done", value: { choices: [end] } } },
  ]);
  const answer = await server.chat.stream({ ...INPUT, tools: [weather] }).final();
  expect(answer.finishReason).toBe("tool_calls");
  expect(answer.toolCalls.map((call) => [call.id, call.name, call.arguments()])).toEqual([
    ["call_1", "weather", { city: "Rome" }],
    ["call_2", "weather", {}],
  ]);
  const results = answer.toolCalls.map((call) => call.result({ celsius: 20 }));
  expect(results[0]).toEqual({ role: "tool", content: '{"celsius":20}', toolCallId: "call_1" });
  const kept: ChatTurn[] = JSON.parse(JSON.stringify([answer.message, ...results]));
  await server.chat.stream({ ...INPUT, messages: kept, tools: [weather] }).final();
  expect(server.requests[1]?.messages[0]).toMatchObject({
    role: "assistant",
    toolCalls: [{ id: "call_1", argumentsJson: '{"city":"Rome"}' }, { id: "call_2" }],
  });
});

test("a result tells log-probabilities, steps, the ending token, and whether it can be had again", async () => {
  const token = (tokenId: number, logprob: number) => ({
    tokenId,
    text: `t${tokenId}`,
    utf8: Buffer.from("t"),
    logprob,
  });
  const logprobs = [{ ...token(5, -0.5), top: [token(5, -0.5), token(6, -1)] }];
  await using server = await startChat([
    { event: { case: "delta", value: { index: 0, content: "t5", tokenIds: [5], logprobs } } },
    {
      event: {
        case: "done",
        value: {
          choices: [{ finishReason: FinishReason.STOP, stopTokenId: 9 }],
          timings: { steps: 3, draftedTokens: 6, acceptedTokens: 4 },
          reproducible: true,
        },
      },
    },
  ]);
  const answer = await server.chat.stream({ ...INPUT, logprobs: 2 }).final();
  expect(answer).toMatchObject({ stopTokenId: 9, reproducible: true });
  expect(answer.timings).toMatchObject({ steps: 3, draftedTokens: 6, acceptedTokens: 4 });
  expect(answer.logprobs.map(({ tokenId, logprob, top }) => [tokenId, logprob, top.map((t) => t.tokenId)])).toEqual([
    [5, -0.5, [5, 6]],
  ]);
});

test("an answer in JSON is read, and one that was cut off says so", async () => {
  const text = (content: string, finishReason: FinishReason): Event[] => [
    { event: { case: "delta", value: { index: 0, content } } },
    { event: { case: "done", value: { choices: [{ index: 0, finishReason }] } } },
  ];
  const responseFormat = { jsonObject: true } as const;
  await using whole = await startChat(text('{"a": 1}', FinishReason.STOP));
  expect((await whole.chat.stream({ ...INPUT, responseFormat }).final()).json()).toEqual({ a: 1 });
  await using cut = await startChat(text('{"a": ', FinishReason.LENGTH));
  const answer = await cut.chat.stream({ ...INPUT, responseFormat }).final();
  expect(() => answer.json()).toThrow(/cut off; allow more with maxTokens/);
});

test("whatever cannot be sent as what it is is refused, all of it at once", () => {
  using client = createClient("127.0.0.1:1");
  const cycle: { self?: object } = {};
  cycle.self = cycle;
  try {
    client.chat.stream({
      ...INPUT,
      ...{ minTokens: 0.5, logprobs: 2.5, stopTokenIds: [1, 1.5], priority: 2 ** 40, logitBias: { 1.5: 1 } },
      tools: [{ name: "f", parameters: cycle }],
      responseFormat: { jsonSchema: { big: 1n } },
    });
    expect.unreachable();
  } catch (error) {
    expect((error as ApiError).violations.map(({ field }) => field)).toEqual([
      ...["options.min_tokens", "options.top_logprobs", "options.stop_token_ids[1]", "priority"],
      ...["options.logit_bias[1.5]", "response_format.json_schema", "tools[0].parameters_json_schema"],
    ]);
  }
});
