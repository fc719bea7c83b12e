// What an answer is made of, through the real service and the real client: JSON of a schema, expressions, grammars.
import type { ApiError, ChatInput, ModelwireClient, ResponseFormat } from "@modelwire/client";
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

const input = { model: "tiny-phi3", messages: "What is the capital of Spain?", temperature: 0 };
const ask = (more: Partial<ChatInput>) => client.chat.complete({ ...input, ...more });

const CITY = {
  type: "object",
  properties: { city: { enum: ["Madrid", "Paris", "Rome"] }, sure: { type: "boolean" }, rank: { type: "integer" } },
  required: ["city", "sure"],
  additionalProperties: false,
} as const;

describe("a JSON schema", () => {
  test("is what the answer fits, with its type", async () => {
    const answer = await client.chat.complete({ ...input, responseFormat: { jsonSchema: CITY } });
    expect(answer.finishReason).toBe("stop");
    const { city, sure, rank }: { city: "Madrid" | "Paris" | "Rome"; sure: boolean; rank?: number } = answer.json();
    expect(["Madrid", "Paris", "Rome"]).toContain(city);
    expect(sure).toBeTypeOf("boolean");
    expect(rank === undefined || Number.isInteger(rank)).toBe(true);
  });

  test("holds for noise too, in every choice, streamed as at once", async () => {
    const noise = { temperature: 100, topK: 0, topP: 1, seed: 3n, n: 4, responseFormat: { jsonSchema: CITY } };
    const whole = await ask(noise);
    expect(whole.choices).toHaveLength(4);
    for (const choice of whole.choices) {
      expect(choice.finishReason).toBe("stop");
      expect(["Madrid", "Paris", "Rome"]).toContain((choice.json() as { city: string }).city);
    }
    const streamed = await client.chat.stream({ ...input, ...noise }).final();
    expect(streamed.choices.map(({ text }) => text)).toEqual(whole.choices.map(({ text }) => text));
  });

  test("that the answer was cut off in is no JSON, and the answer says so", async () => {
    const cut = await ask({ responseFormat: { jsonSchema: CITY }, maxTokens: 4 });
    expect(cut.finishReason).toBe("length");
    expect(() => cut.json()).toThrow(/cut off/);
  });
});

test("an expression matches the whole answer", async () => {
  const { text, finishReason } = await ask({
    responseFormat: { regex: "[a-z]{3,5}-\\d{2}" },
    temperature: 9,
    seed: 5n,
  });
  expect(text).toMatch(/^[a-z]{3,5}-\d{2}$/);
  expect(finishReason).toBe("stop");
});

test("a grammar makes the answer", async () => {
  const grammar = 'root ::= "the answer is " number\nnumber ::= [1-9] [0-9]?';
  expect((await ask({ responseFormat: { grammar } })).text).toMatch(/^the answer is [1-9][0-9]?$/);
});

test("the same seed gives the same answer in a form too, alone and beside answers of other forms", async () => {
  const noise = { temperature: 2, topK: 0, topP: 1, maxTokens: 40 };
  const sampled = { ...noise, seed: 11n, responseFormat: { jsonSchema: CITY } as ResponseFormat, logprobs: 1 };
  const alone = await ask(sampled);
  const others = [{ regex: "[a-z ]+" }, { grammar: 'root ::= ("a" | "b")+' }].map((responseFormat) =>
    ask({ ...noise, responseFormat }),
  );
  const beside = await ask({ ...sampled, cacheSalt: "anew" });
  await Promise.all([...others, ask(noise)]);
  expect([beside.text, beside.logprobs]).toEqual([alone.text, alone.logprobs]);
});

test("a form that cannot be kept to is refused with its place", async () => {
  const fields = async (responseFormat: ResponseFormat) => {
    const error: ApiError = await ask({ responseFormat }).catch((thrown) => thrown);
    expect(error.reason).toBe("INVALID_FIELD");
    return error.violations.map(({ field }) => field);
  };
  expect(await fields({ regex: "[a-" })).toEqual(["response_format.regex"]);
  expect(await fields({ grammar: "root ::= nothing" })).toEqual(["response_format.grammar"]);
  const properties = { a: { type: "stringy" }, b: { minLength: -1, type: "string" } };
  const both = await fields({ jsonSchema: { type: "object", properties } });
  expect(both).toHaveLength(2);
  expect(both[0]).toMatch(/^response_format\.json_schema.*a/);
});
