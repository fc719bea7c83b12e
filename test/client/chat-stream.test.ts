// The answer that forms, as a program reads it.
import { once } from "node:events";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { StreamChatRequest, StreamChatResponseSchema } from "@modelwire/proto";
import { ApiError, ChatService, FinishReason } from "@modelwire/proto";
import { expect, test } from "vitest";
import { createClient } from "../../client/index.ts";
import { collect } from "./echo.ts";
import type { TestContext } from "./test-server.ts";
import { startTestServer } from "./test-server.ts";

type Event = MessageInitShape<typeof StreamChatResponseSchema>;

const delta = (content: string, index = 0, tokenIds = [7]): Event => ({
  event: { case: "delta", value: { index, content, tokenIds } },
});

const end = {
  id: "chatcmpl-1",
  modelId: "m-1",
  createTime: { seconds: 1_700_000_000n, nanos: 0 },
  usage: { promptTokens: 5, completionTokens: 3, totalTokens: 8, cachedPromptTokens: 2 },
  timings: { timeToFirstToken: { seconds: 0n, nanos: 25_000_000 }, total: { seconds: 1n }, tokensPerSecond: 40 },
  options: { seed: 18_446_744_073_709_551_615n, temperature: 0 },
};

const done: Event = {
  event: {
    case: "done",
    value: {
      ...end,
      choices: [
        { index: 0, finishReason: FinishReason.STOP, stopText: "\n" },
        { index: 1, finishReason: FinishReason.LENGTH },
      ],
    },
  },
};

const ANSWER = [delta("Ma"), delta("Par", 1), delta("", 0), delta("drid"), delta("is", 1), done];

type Script = (request: StreamChatRequest, context: TestContext) => AsyncIterable<Event>;

async function startChat(script: Script) {
  const server = await startTestServer();
  server.add(ChatService, {
    streamChat: script,
    chat: async () => ({
      ...end,
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Madrid" },
          finishReason: FinishReason.STOP,
          stopText: "\n",
        },
        { index: 1, message: { role: "assistant", content: "Paris" }, finishReason: FinishReason.LENGTH },
      ],
    }),
  });
  const client = createClient(server.address);
  return {
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.close();
    },
  };
}

const scripted: Script = async function* () {
  yield* ANSWER;
};

const INPUT = { model: "tiny", messages: "hello" };

test("iterating gives the text of choice 0 in pieces, without empty ones", async () => {
  await using chat = await startChat(scripted);
  expect(await collect(chat.client.chat.stream(INPUT))).toEqual(["Ma", "drid"]);
});

test("deltas and events are the messages as they came", async () => {
  await using chat = await startChat(scripted);
  const stream = chat.client.chat.stream(INPUT);
  expect((await collect(stream.deltas())).map((d) => [d.index, d.content, ...d.tokenIds])).toEqual([
    [0, "Ma", 7],
    [1, "Par", 7],
    [0, "", 7],
    [0, "drid", 7],
    [1, "is", 7],
  ]);
  expect((await collect(stream.events())).map((e) => e.event.case)).toEqual([...Array(5).fill("delta"), "done"]);
});

test("final has the whole text and all facts, whether nothing, a part or all was read before", async () => {
  await using chat = await startChat(scripted);
  const unread = chat.client.chat.stream(INPUT);
  const whole = await unread.final();
  expect(whole).toMatchObject({
    id: "chatcmpl-1",
    modelId: "m-1",
    createTime: new Date(1_700_000_000_000),
    text: "Madrid",
    message: { role: "assistant", content: "Madrid" },
    finishReason: "stop",
    stopText: "\n",
    choices: [
      { index: 0, text: "Madrid", finishReason: "stop", stopText: "\n" },
      { index: 1, text: "Paris", finishReason: "length" },
    ],
    usage: { promptTokens: 5, completionTokens: 3, totalTokens: 8, cachedPromptTokens: 2 },
    timings: { queueMs: 0, timeToFirstTokenMs: 25, totalMs: 1_000, tokensPerSecond: 40 },
    seed: 2n ** 64n - 1n,
    options: { temperature: 0 },
  });
  const partly = chat.client.chat.stream(INPUT);
  expect((await partly[Symbol.asyncIterator]().next()).value).toBe("Ma");
  expect(await partly.final()).toEqual(whole);
  const read = chat.client.chat.stream(INPUT);
  await collect(read);
  expect(await read.final()).toEqual(whole);
});

test("final beside a loop takes nothing away from it", async () => {
  await using chat = await startChat(scripted);
  const stream = chat.client.chat.stream(INPUT);
  const [whole, pieces, again] = await Promise.all([stream.final(), collect(stream), collect(stream)]);
  expect([whole.text, pieces, again]).toEqual(["Madrid", ["Ma", "drid"], ["Ma", "drid"]]);
});

test("the whole answer at once is the stream's, folded", async () => {
  await using chat = await startChat(scripted);
  expect(await chat.client.chat.complete(INPUT)).toEqual(await chat.client.chat.stream(INPUT).final());
});

test("a request says what the input says, absent stays absent and zero stays zero", async () => {
  const requests: StreamChatRequest[] = [];
  await using chat = await startChat(async function* (request) {
    requests.push(request);
    yield done;
  });
  await chat.client.chat.stream(INPUT).final();
  const messages = [{ role: "user", content: "hi", name: "ann" }];
  const options = { temperature: 0, maxTokens: 9, topP: 0.5, topK: 0, n: 2, seed: 3 };
  await chat.client.chat.stream({ model: "m", messages, stop: "END", ...options }).final();
  await chat.client.chat.stream({ model: "m", messages, stop: ["x", "y"], seed: 2n ** 64n - 1n }).final();
  expect(requests[0]).toMatchObject({ messages: [{ role: "user", content: "hello" }], options: { stop: [] } });
  for (const key of ["temperature", "maxTokens", "topP", "topK", "n", "seed"]) {
    expect(Object.hasOwn(requests[0]?.options ?? {}, key)).toBe(false);
  }
  expect(requests[1]).toMatchObject({ messages, options: { ...options, seed: 3n, stop: ["END"] } });
  expect(requests[2]).toMatchObject({ options: { seed: 2n ** 64n - 1n, stop: ["x", "y"] } });
});

test("numbers that cannot be sent as they are are refused, all of them, before anything is sent", () => {
  using client = createClient("127.0.0.1:1");
  const wrong = () => client.chat.stream({ ...INPUT, seed: 2 ** 60, maxTokens: 1.5, topK: 2 ** 40 });
  expect(wrong).toThrow(ApiError);
  try {
    wrong();
  } catch (error) {
    expect((error as ApiError).violations.map((v) => v.field)).toEqual([
      "options.max_tokens",
      "options.top_k",
      "options.seed",
    ]);
  }
});

/** Says one word, then waits until the client is gone. */
function halting() {
  let gone = () => {};
  const left = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const script: Script = async function* (_, { signal }) {
    yield delta("Ma");
    if (!signal.aborted) await once(signal, "abort");
    gone();
  };
  return { script, left };
}

test("leaving the loop cancels the call; what had come is still there, and reading on says CANCELLED", async () => {
  const { script, left } = halting();
  await using chat = await startChat(script);
  const stream = chat.client.chat.stream(INPUT);
  for await (const _ of stream) break;
  await left;
  expect(stream.text).toBe("Ma");
  await expect(stream.final()).rejects.toMatchObject({ code: status.CANCELLED });
});

test("cancel ends whoever waits with CANCELLED and the given reason, and may be called again", async () => {
  const { script, left } = halting();
  await using chat = await startChat(script);
  const stream = chat.client.chat.stream(INPUT);
  const reading = (async () => {
    for await (const _ of stream) stream.cancel("enough");
  })();
  await expect(reading).rejects.toMatchObject({ code: status.CANCELLED, cause: "enough" });
  stream.cancel();
  await left;
});

test("the caller's signal cancels, and an answer that nobody reads leaves nothing on it", async () => {
  const { script, left } = halting();
  await using chat = await startChat(script);
  const abort = new AbortController();
  chat.client.chat.stream(INPUT, { signal: abort.signal }); // never read, so never asked
  const stream = chat.client.chat.stream(INPUT, { signal: abort.signal });
  const reading = (async () => {
    for await (const _ of stream) abort.abort("mine");
  })();
  await expect(reading).rejects.toMatchObject({ code: status.CANCELLED, cause: "mine" });
  await left;
});

test("an answer that breaks off throws the server's error after what had come, each time it is read", async () => {
  let told = () => {};
  const read = new Promise<void>((resolve) => {
    told = resolve;
  });
  await using chat = await startChat(async function* () {
    yield delta("Ma");
    await read; // grpc-js hands an error over at once, before messages that are still on their way
    throw new ApiError("WORKER_DIED", "gone");
  });
  const stream = chat.client.chat.stream(INPUT);
  const reading = (async () => {
    for await (const _ of stream) told();
  })();
  await expect(reading).rejects.toMatchObject({ reason: "WORKER_DIED" });
  expect(stream.text).toBe("Ma");
  await expect(stream.final()).rejects.toMatchObject({ reason: "WORKER_DIED" });
  await expect(collect(stream)).rejects.toMatchObject({ reason: "WORKER_DIED" });
});

test("a stream without its last message is an error and not a short answer", async () => {
  await using chat = await startChat(async function* () {
    yield delta("Ma");
  });
  const stream = chat.client.chat.stream(INPUT);
  await expect(stream.final()).rejects.toMatchObject({ code: status.INTERNAL });
  await expect(collect(stream)).rejects.toMatchObject({ code: status.INTERNAL });
});

test("the generated methods are there beside the helpers", async () => {
  await using chat = await startChat(scripted);
  const raw = await collect(chat.client.chat.streamChat({ model: "tiny", messages: [{ role: "user", content: "x" }] }));
  expect(raw).toHaveLength(ANSWER.length);
});
