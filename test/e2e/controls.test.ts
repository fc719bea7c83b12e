// Every control of a chat has its effect, through the real service and the real client.
import { type ApiError, type ChatInput, type ChatResult, createClient, type ModelwireClient } from "@modelwire/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MODEL, type Service, startService } from "./service.ts";

let service: Service;
let client: ModelwireClient;
beforeAll(async () => {
  service = await startService();
  client = service.client;
  await client.models.log(MODEL, { name: "tiny-phi3" });
});
afterAll(() => service.close());

const spain = [{ role: "user", content: "What is the capital of Spain?" }];
const joke = [{ role: "user", content: "Tell me a joke about atoms." }];

/** Greedy unless told otherwise, with the tokens of the answer in `logprobs`. */
const ask = (input: Partial<ChatInput> = {}): Promise<ChatResult> =>
  client.chat.complete({ model: "tiny-phi3", messages: spain, temperature: 0, logprobs: true, ...input });
/** Noise that does not end by itself. */
const endless = { model: "tiny-phi3", messages: joke, temperature: 100, topK: 0, topP: 1, ignoreEos: true };
const ids = ({ logprobs }: ChatResult) => logprobs.map(({ tokenId }) => tokenId);

describe("tokens", () => {
  test("logit_bias forces a token, and bans one", async () => {
    const plain = await ask();
    const [first = 0, second = 0] = ids(plain);
    expect(ids(await ask({ logitBias: { [second]: 100 }, maxTokens: 3 }))).toEqual([second, second, second]);
    expect(ids(await ask({ logitBias: { [first]: -100 } }))).not.toContain(first);
  });

  test("stop_token_ids end the answer and are not part of it", async () => {
    const plain = ids(await ask());
    const stop = plain[3] ?? 0;
    const stopped = await ask({ stopTokenIds: [stop] });
    expect(ids(stopped)).toEqual(plain.slice(0, plain.indexOf(stop)));
    expect(stopped).toMatchObject({ finishReason: "stop", stopTokenId: stop });
    expect(stopped.usage.completionTokens).toBe(plain.indexOf(stop));
  });

  test("min_tokens and ignore_eos hold off the end", async () => {
    const plain = await ask();
    const short = plain.usage.completionTokens;
    expect(plain.finishReason).toBe("stop");
    const longer = await ask({ minTokens: short + 5, maxTokens: short + 40 });
    expect(longer.usage.completionTokens).toBeGreaterThanOrEqual(short + 5);
    expect(longer.text.startsWith(plain.text)).toBe(true);
    const endless = await ask({ ignoreEos: true, maxTokens: short + 7 });
    expect(endless).toMatchObject({ finishReason: "length", usage: { completionTokens: short + 7 } });
  });

  test("penalties turn the answer away from what was said: in the answer, or in prompt and answer", async () => {
    const long = { messages: joke, ignoreEos: true, maxTokens: 80 };
    const plain = ids(await ask(long));
    const { tokenIds: prompt } = await client.model("tiny-phi3").tokenize(joke);
    for (const [penalty, said] of [
      [{ presencePenalty: 2 }, []],
      [{ frequencyPenalty: 2 }, []],
      [{ repetitionPenalty: 1.5 }, prompt],
    ] as const) {
      const other = ids(await ask({ ...long, ...penalty }));
      const place = plain.findIndex((id, i) => other[i] !== id);
      expect(place, JSON.stringify(penalty)).toBeGreaterThanOrEqual(0);
      expect([...said, ...plain.slice(0, place)]).toContain(plain[place]);
    }
    expect(ids(await ask({ ...long, repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0 }))).toEqual(plain);
  });

  test("min_p 1, top_k 1 and temperature 0 all take the likeliest token", async () => {
    const hot = { temperature: 50, topK: 0, topP: 1, maxTokens: 12, seed: 5n };
    const plain = await ask({ maxTokens: 12 });
    expect((await ask(hot)).text).not.toBe(plain.text);
    expect((await ask({ ...hot, minP: 1 })).text).toBe(plain.text);
    expect((await ask({ ...hot, topK: 1 })).text).toBe(plain.text);
  });
});

describe("log-probabilities", () => {
  test("are told of every token, with the likeliest of each place, the likeliest first", async () => {
    const { logprobs, usage, text } = await ask({ logprobs: 3 });
    expect(logprobs).toHaveLength(usage.completionTokens);
    // An answer begins without the blank that belongs to its first word.
    expect(
      Buffer.concat(logprobs.map(({ utf8 }) => utf8))
        .toString()
        .trimStart(),
    ).toBe(text);
    expect(
      logprobs
        .map((token) => token.text)
        .join("")
        .trimStart(),
    ).toBe(text);
    for (const { tokenId, logprob, top } of logprobs) {
      expect(top).toHaveLength(3);
      expect(top[0]).toMatchObject({ tokenId, logprob });
      expect(top.map((one) => one.logprob)).toEqual(top.map((one) => one.logprob).sort((a, b) => b - a));
      expect(logprob).toBeLessThanOrEqual(0);
    }
    expect((await ask({ logprobs: false })).logprobs).toEqual([]);
  });

  test("are those of the model, whatever the options do to the choice", async () => {
    const plain = await ask({ logprobs: 1, maxTokens: 1 });
    const forced = await ask({ logprobs: 1, maxTokens: 1, logitBias: { 300: 100 }, temperature: 3 });
    expect(forced.logprobs[0]?.tokenId).toBe(300);
    expect(forced.logprobs[0]?.top).toEqual(plain.logprobs[0]?.top);
  });

  test("streamed are one for each token id of the same message", async () => {
    const stream = client.chat.stream({ model: "tiny-phi3", messages: spain, temperature: 0, logprobs: 0 });
    for await (const { tokenIds, logprobs } of stream.deltas())
      expect(logprobs.map(({ tokenId }) => tokenId)).toEqual(tokenIds);
    expect(ids(await stream.final())).toEqual(ids(await ask()));
  });
});

describe("an answer with a seed", () => {
  const sampled = { messages: joke, temperature: 1.5, topK: 0, topP: 1, maxTokens: 30, seed: 77n, logprobs: 2 };

  test("has the same tokens and the same log-probabilities, bit by bit, alone and beside eight others", async () => {
    const alone = await ask(sampled);
    expect(alone.reproducible).toBe(true);
    const others = Array.from({ length: 8 }, (_, i) => ask({ ...sampled, seed: BigInt(i), maxTokens: 20 + i }));
    const beside = await ask({ ...sampled, cacheSalt: "not from the cache" });
    expect(new Set((await Promise.all(others)).map(({ text }) => text)).size).toBeGreaterThan(4);
    expect(beside.logprobs).toEqual(alone.logprobs);
    expect(beside.text).toBe(alone.text);
  });

  test("tells every option as it was in force", async () => {
    const bias = { ...sampled, logitBias: { 7: -1 }, stopTokenIds: [9], minP: 0.01, minTokens: 2 };
    expect((await ask(bias)).options).toMatchObject({
      ...{ temperature: 1.5, topK: 0, topP: 1, minP: 0.01, maxTokens: 30, minTokens: 2, seed: 77n, n: 1 },
      ...{ repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, ignoreEos: false },
      ...{ logprobs: true, topLogprobs: 2, logitBias: { 7: -1 }, stopTokenIds: [9] },
    });
  });
});

describe("computed beginnings", () => {
  test("of a conversation are reused by its next turn, and only under the same salt", async () => {
    const messages = [{ role: "system", content: "You know all capitals, of every country, and tell them." }, ...spain];
    const first = await ask({ messages, cacheSalt: "a" });
    const next = [...messages, first.message, { role: "user", content: "And of France?" }];
    const reused = await ask({ messages: next, cacheSalt: "a" });
    // All that was computed before, but for what the template puts at the end of an answer.
    expect(reused.usage.cachedPromptTokens).toBeGreaterThan(first.usage.promptTokens * 0.9);
    expect((await ask({ messages: next, cacheSalt: "b" })).usage.cachedPromptTokens).toBe(0);
    const again = await ask({ messages: next, cacheSalt: "a" });
    expect(again.logprobs).toEqual(reused.logprobs);
  });
});

describe("a line", () => {
  test("is left by the higher priority first, whoever came first", async () => {
    const single = await startService(["--max-sequences", "1"]);
    try {
      const { chat, models, model } = single.client;
      await models.log(MODEL, { name: "tiny-phi3" });
      const running = chat.stream({ ...endless, maxTokens: 1900 });
      await running.deltas().next();
      const ended: number[] = [];
      const line = [-5, 0, 5].map(async (priority) => {
        await chat.complete({ ...endless, maxTokens: 20, priority });
        ended.push(priority);
      });
      // What is asked behind them has come to the model, so they have too.
      for (let i = 0; i < 2; i++) await model("tiny-phi3").countTokens("x");
      running.cancel();
      await Promise.all(line);
      expect(ended).toEqual([5, 0, -5]);
    } finally {
      await single.close();
    }
  });
});

describe("a request that cannot be answered as things are", () => {
  test("is told when to come again: the line is full, or the deadline would pass before the first token", async () => {
    const small = await startService(["--max-sequences", "1", "--max-queue", "10"]);
    const leave = new AbortController();
    try {
      const { chat, models, model } = small.client;
      await models.log(MODEL, { name: "tiny-phi3" });
      const long = { ...endless, maxTokens: 1900 };
      const pieces = chat.stream(long, leave).deltas();
      for (let i = 0; i < 50; i++) await pieces.next();
      const line = Array.from({ length: 9 }, () => chat.complete(long, leave).catch(() => {}));
      // What is asked behind them has come to the model, so they have too.
      for (let i = 0; i < 2; i++) await model("tiny-phi3").countTokens("x");
      const hurried = { model: "tiny-phi3", messages: spain, temperature: 0 };
      const late = await chat.complete(hurried, { timeoutMs: 3000 }).catch((error: ApiError) => error);
      expect(late).toMatchObject({ codeName: "RESOURCE_EXHAUSTED", reason: "DEADLINE_UNREACHABLE" });
      expect((late as ApiError).retryAfterMs).toBeGreaterThan(0);
      const more = Array.from({ length: 3 }, () => chat.complete(long, leave).catch((error: ApiError) => error));
      const refused = await Promise.race(more);
      expect(refused).toMatchObject({ codeName: "RESOURCE_EXHAUSTED", reason: "QUEUE_FULL" });
      expect((refused as ApiError).retryAfterMs).toBeGreaterThan(0);
      leave.abort();
      await Promise.all([...line, ...more]);
      // The line may still be full when this comes; then it comes again, when it was told to.
      using patient = createClient(small.address, { retry: { whenFull: true } });
      expect((await patient.chat.complete(hurried)).text).toContain("Madrid");
    } finally {
      leave.abort();
      await small.close();
    }
  });

  test("is told everything that is wrong with it, and what only the model knows under the same names", async () => {
    const fields = (error: unknown) => (error as ApiError).violations.map(({ field }) => field);
    const wrong = { minP: 2, repetitionPenalty: 0, minTokens: -1, logitBias: { 5: 101 }, priority: 101 };
    expect(fields(await ask({ ...wrong, cacheSalt: "s".repeat(300) }).catch((error) => error))).toEqual([
      ...["options.min_p", "options.repetition_penalty", "options.min_tokens", "options.logit_bias[5]"],
      ...["cache_salt", "priority"],
    ]);
    const unknown = await ask({ logitBias: { 99999: 1 }, stopTokenIds: [99_998] }).catch((error) => error);
    expect(fields(unknown).every((field) => /^options\.(logit_bias|stop_token_ids)/.test(field))).toBe(true);
    expect(fields(unknown)).toHaveLength(2);
  });
});
