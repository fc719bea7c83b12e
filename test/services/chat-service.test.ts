// What goes from a chat request to the inference side, and what comes back of it, with a host that says what it is told to.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Metadata } from "@grpc/grpc-js";
import { ChatRequestSchema, FinishReason, StreamChatRequestSchema, type StreamChatResponse } from "@modelwire/proto";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { GenerateEvent, GenerateRequest } from "../../server/inference/types.ts";
import type { CallContext } from "../../server/rpc/context.ts";
import { chatService } from "../../server/services/chat-service.ts";
import type { LoadedLlm } from "../../server/services/model-loader.ts";

type Init = MessageInitShape<typeof StreamChatRequestSchema>;

const options = {
  ...{ maxTokens: 9, temperature: 0, topP: 1, topK: 0, stop: ["x"], n: 1, minP: 0.1, repetitionPenalty: 1 },
  ...{ presencePenalty: 0, frequencyPenalty: 0, stopTokenIds: [3], minTokens: 0, ignoreEos: false, logprobs: 1 },
  logitBias: new Map([[5, -1]]),
};

const done: GenerateEvent = {
  type: "done",
  usage: { promptTokens: 5, completionTokens: 3, cachedPromptTokens: 2 },
  timings: {
    ...{ queueMs: 1, promptMs: 2, timeToFirstTokenMs: 3, generationMs: 4, tokensPerSecond: 5 },
    ...{ steps: 3, draftedTokens: 8, acceptedTokens: 6 },
  },
  seed: 7n,
  options,
  reproducible: true,
};

const token = (id: number, logprob: number) => ({ id, text: `t${id}`, bytes: new TextEncoder().encode("t"), logprob });

const EVENTS: readonly GenerateEvent[] = [
  { type: "delta", index: 1, text: "a", tokenIds: [5], logprobs: [{ ...token(5, -1), top: [token(6, -0.5)] }] },
  {
    type: "delta",
    index: 0,
    text: "",
    tokenIds: [],
    toolCalls: [{ index: 0, id: "call_1", name: "f", arguments: "" }],
  },
  { type: "delta", index: 1, text: "b", tokenIds: [6], logprobs: [token(6, -2)] },
  { type: "delta", index: 0, text: "", tokenIds: [], toolCalls: [{ index: 0, arguments: '{"a"' }] },
  { type: "delta", index: 0, text: "", tokenIds: [], toolCalls: [{ index: 0, arguments: ": 1}" }] },
  {
    type: "delta",
    index: 0,
    text: "",
    tokenIds: [],
    toolCalls: [{ index: 1, id: "call_2", name: "g", arguments: "{}" }],
  },
  { type: "finish", index: 1, reason: "stop", stopTokenId: 3 },
  { type: "finish", index: 0, reason: "tool_calls" },
  done,
];

function service(prefixScope?: "shared" | "caller") {
  const asked: GenerateRequest[] = [];
  const loader = { load: async () => ({ modelId: "m-1" }) as LoadedLlm };
  const host = {
    async *generate(request: GenerateRequest) {
      asked.push(structuredClone(request));
      yield* EVENTS;
    },
  };
  return { asked, handlers: chatService(loader, host, { prefixScope }) };
}

const context = (fields: Partial<CallContext> = {}): CallContext => ({
  ...{ signal: new AbortController().signal, requestId: "r", metadata: new Metadata(), peer: "p", caller: "address:p" },
  ...{ deadlineMs: undefined, log: pino({ level: "silent" }), ...fields },
});

const INIT: Init = { model: "m", messages: [{ role: "user", content: "hi" }] };

async function asks(init: Init, scope?: "shared" | "caller", fields?: Partial<CallContext>): Promise<GenerateRequest> {
  const { asked, handlers } = service(scope);
  await handlers.chat(create(ChatRequestSchema, { ...INIT, ...init } as never), context(fields));
  return asked[0] as GenerateRequest;
}

test("the unary answer is the streamed one, folded: texts, calls, log-probabilities and ends of each choice", async () => {
  const { handlers } = service();
  const streamed: StreamChatResponse["event"][] = [];
  for await (const response of handlers.streamChat(create(StreamChatRequestSchema, INIT), context()))
    streamed.push((response as StreamChatResponse).event);
  const last = streamed.at(-1);
  if (last?.case !== "done") throw new Error("done is not last");
  const end = { finishReason: FinishReason.TOOL_CALLS, index: 0 };
  expect(last.value).toMatchObject({
    choices: [end, { index: 1, finishReason: FinishReason.STOP, stopTokenId: 3 }],
    usage: { promptTokens: 5, completionTokens: 3, totalTokens: 8, cachedPromptTokens: 2 },
    timings: { steps: 3, draftedTokens: 8, acceptedTokens: 6 },
    reproducible: true,
    options: { seed: 7n, minP: 0.1, logitBias: { 5: -1 }, stopTokenIds: [3], logprobs: true, topLogprobs: 1 },
  });
  const whole = await handlers.chat(create(ChatRequestSchema, INIT as never), context());
  const { usage, timings, options: inForce, reproducible, id } = last.value;
  expect(whole).toMatchObject({ usage, timings, options: inForce, reproducible, id });
  expect(whole.choices).toMatchObject([
    {
      ...end,
      logprobs: [],
      message: {
        role: "assistant",
        content: "",
        toolCalls: [
          { id: "call_1", name: "f", argumentsJson: '{"a": 1}' },
          { id: "call_2", name: "g", argumentsJson: "{}" },
        ],
      },
    },
    {
      index: 1,
      message: { content: "ab", toolCalls: [] },
      stopTokenId: 3,
      logprobs: [
        { tokenId: 5, logprob: -1, top: [{ tokenId: 6, logprob: -0.5 }] },
        { tokenId: 6, logprob: -2, top: [] },
      ],
    },
  ]);
});

test("who asks goes along, and beginnings are shared by salt, or by caller and salt", async () => {
  expect(await asks({})).toMatchObject({ model: "m-1", caller: "address:p", cacheScope: '[""]' });
  expect((await asks({ cacheSalt: "s" })).cacheScope).toBe('["s"]');
  expect((await asks({ cacheSalt: "s" }, "caller")).cacheScope).toBe('["address:p","s"]');
});

test("a deadline is what is left of it on the clock that never jumps; without one there is none", async () => {
  const now = () => performance.timeOrigin + performance.now();
  const before = now();
  const { arrivedAtMs = 0, deadlineAtMs = 0 } = await asks({}, "shared", { deadlineMs: Date.now() + 5000 });
  expect(arrivedAtMs).toBeGreaterThanOrEqual(before);
  expect(arrivedAtMs).toBeLessThanOrEqual(now());
  expect(deadlineAtMs - arrivedAtMs).toBeGreaterThan(4000);
  expect(deadlineAtMs - arrivedAtMs).toBeLessThanOrEqual(5001);
  expect("deadlineAtMs" in (await asks({}))).toBe(false);
});
