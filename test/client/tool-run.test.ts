// A program that answers the model's calls by itself.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChatRequest, ChatResponseSchema } from "@modelwire/proto";
import { ChatService, FinishReason } from "@modelwire/proto";
import { expect, test } from "vitest";
import { createClient, tool } from "../../client/index.ts";
import { startTestServer } from "./test-server.ts";

type Response = MessageInitShape<typeof ChatResponseSchema>;

const calls = (...asked: [name: string, argumentsJson: string][]): Response => ({
  choices: [
    {
      finishReason: FinishReason.TOOL_CALLS,
      message: {
        role: "assistant",
        toolCalls: asked.map(([name, argumentsJson], i) => ({ id: `call_${i}`, name, argumentsJson })),
      },
    },
  ],
});
const says = (content: string): Response => ({
  choices: [{ finishReason: FinishReason.STOP, message: { role: "assistant", content } }],
});

/** A model that answers with these, one after the other, the last again and again. */
async function startModel(...answers: readonly Response[]) {
  const server = await startTestServer();
  const requests: ChatRequest[] = [];
  server.add(ChatService, {
    chat: async (request: ChatRequest) => {
      requests.push(request);
      return answers[Math.min(requests.length, answers.length) - 1] ?? says("");
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

const cities: string[] = [];
const weather = tool({
  name: "weather",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  call: async ({ city }) => {
    cities.push(city);
    return { city, celsius: 20 };
  },
});
const INPUT = { model: "m", messages: "How warm?", tools: [weather, tool({ name: "now", call: () => "noon" })] };

test("calls are answered and the model is asked again, until it calls no more", async () => {
  await using model = await startModel(calls(["weather", '{"city":"Rome"}'], ["now", "{}"]), says("20 at noon"));
  const { answer, messages } = await model.chat.runTools({ ...INPUT, toolChoice: "required" });
  expect(answer.text).toBe("20 at noon");
  expect(cities.splice(0)).toEqual(["Rome"]);
  expect(messages.map(({ role, content, toolCallId }) => [role, content, toolCallId])).toEqual([
    ["user", "How warm?", undefined],
    ["assistant", "", undefined],
    ["tool", '{"city":"Rome","celsius":20}', "call_0"],
    ["tool", "noon", "call_1"],
    ["assistant", "20 at noon", undefined],
  ]);
  expect(model.requests.map(({ messages, toolChoice }) => [messages.length, toolChoice?.choice.case])).toEqual([
    [1, "mode"],
    [4, undefined],
  ]);
});

test("a call that nobody answers ends it, with the call in the answer", async () => {
  await using model = await startModel(calls(["now", "{}"]));
  const { answer, messages } = await model.chat.runTools({ ...INPUT, tools: [{ name: "now" }] });
  expect(answer.toolCalls.map(({ name }) => name)).toEqual(["now"]);
  expect(messages).toHaveLength(2);
});

test("a model that never stops calling is asked so many times and no more", async () => {
  await using model = await startModel(calls(["now", "{}"]));
  const { answer } = await model.chat.runTools({ ...INPUT, maxAnswers: 3 });
  expect([model.requests.length, answer.finishReason]).toEqual([3, "tool_calls"]);
});

test("what a tool throws comes out as it is", async () => {
  await using model = await startModel(calls(["now", "{}"]));
  const broken = tool({
    name: "now",
    call: () => {
      throw new RangeError("no clock");
    },
  });
  await expect(model.chat.runTools({ ...INPUT, tools: [broken] })).rejects.toThrow(RangeError);
});
