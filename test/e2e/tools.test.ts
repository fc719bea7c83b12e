// Calls of tools through the real service and the real client, on the bundled model with a chat template that knows tools.
// What it calls is nonsense, as it never learnt to; what is proven is that everything it calls has the promised form.
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ChatTurn, type ModelwireClient, tool } from "@modelwire/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MODEL, type Service, startService, temporaryFolder } from "./service.ts";

/** As models of the Hermes kind have it. */
const TEMPLATE = `{%- if tools %}<|system|>
Call these within <tool_call></tool_call>: {% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|end|>
{%- endif %}
{%- for message in messages %}<|{{ 'user' if message.role == 'tool' else message.role }}|>
{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|end|>
{%- endfor %}<|assistant|>
`;

let service: Service;
let client: ModelwireClient;
let folder: string;
beforeAll(async () => {
  service = await startService();
  client = service.client;
  folder = await temporaryFolder();
  const model = join(folder, "model");
  await mkdir(model);
  await cp(MODEL, model, { recursive: true });
  const file = join(model, "tokenizer_config.json");
  const config = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...config, chat_template: TEMPLATE }));
  await client.models.log(model, { name: "caller" });
  await client.models.log(MODEL, { name: "plain" });
});
afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

const weather = tool({
  name: "weather",
  description: "The weather of a city",
  parameters: {
    type: "object",
    properties: { city: { enum: ["Rome", "Oslo"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
    required: ["city"],
    additionalProperties: false,
  },
});
const now = tool({ name: "now", parameters: { type: "object", properties: {}, additionalProperties: false } });
const tools = [weather, now];

const question: ChatTurn = { role: "user", content: "How warm is it in Rome?" };
const noise = { model: "caller", messages: [question], temperature: 3, topK: 0, topP: 1, maxTokens: 200 };

test("a call that is required comes, with a name of one of the tools and arguments that fit its schema", async () => {
  let whole = 0;
  for (const seed of [1n, 2n, 3n, 4n, 5n]) {
    const answer = await client.chat.complete({ ...noise, seed, tools, toolChoice: "required" });
    if (answer.finishReason === "length") continue;
    whole++;
    expect(answer.finishReason).toBe("tool_calls");
    expect(answer.toolCalls.length).toBeGreaterThan(0);
    expect(answer.text).toBe("");
    for (const call of answer.toolCalls) {
      expect(call.id).toMatch(/^call_\w+/);
      if (call.name === "now") expect(call.arguments()).toEqual({});
      else expect(["Rome", "Oslo"]).toContain(call.arguments().city);
    }
    expect(new Set(answer.toolCalls.map(({ id }) => id)).size).toBe(answer.toolCalls.length);
  }
  expect(whole).toBeGreaterThan(0);
});

test("a function that is named is the one that is called, once", async () => {
  const answer = await client.chat.complete({ ...noise, seed: 7n, tools, toolChoice: { name: "now" } });
  expect(answer.toolCalls.map(({ name, argumentsJson }) => [name, JSON.parse(argumentsJson)])).toEqual([["now", {}]]);
});

test("streamed, a call forms piece by piece, and is the unary answer's", async () => {
  const input = { ...noise, seed: 9n, tools, toolChoice: { name: "weather" } } as const;
  const stream = client.chat.stream(input);
  const pieces: { index: number; id: string; name: string; argumentsJson: string }[] = [];
  for await (const { toolCalls } of stream.deltas()) pieces.push(...toolCalls);
  expect(pieces[0]).toMatchObject({ index: 0, name: "weather" });
  expect(pieces[0]?.id).toMatch(/^call_/);
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.slice(1).every(({ id, name }) => id === "" && name === "")).toBe(true);
  const text = pieces.map(({ argumentsJson }) => argumentsJson).join("");
  const streamed = await stream.final();
  const whole = await client.chat.complete(input);
  expect(streamed.toolCalls.map(({ argumentsJson }) => argumentsJson)).toEqual([text]);
  expect(whole.toolCalls.map(({ argumentsJson }) => argumentsJson)).toEqual([text]);
  const [call] = whole.toolCalls;
  expect(["Rome", "Oslo"]).toContain(call?.name === "weather" && call.arguments().city);
});

test("call and result go back as they are, and the template puts them into the prompt", async () => {
  const first = await client.chat.complete({ ...noise, seed: 9n, tools, toolChoice: { name: "weather" } });
  const results = first.toolCalls.map((call) => call.result({ celsius: 20 }));
  const messages = [question, first.message, ...results];
  const second = await client.chat.complete({ ...noise, messages, toolChoice: "none", tools, seed: 1n });
  expect(second.finishReason).not.toBe("tool_calls");
  expect(second.usage.promptTokens).toBe((await client.model("caller").countTokens(messages)).tokenCount);
  const { pieces } = await client.model("caller").tokenize(messages);
  const prompt = pieces.join("").replaceAll("▁", " ");
  expect(prompt).toContain('{"name": "weather", "arguments"');
  expect(prompt).toContain('{"celsius":20}');
});

test("a run of tools answers calls by itself, with arguments of the promised types", async () => {
  const cities: ("Rome" | "Oslo")[] = [];
  const answering = tool({
    ...weather,
    call: ({ city }) => {
      cities.push(city);
      return { city, celsius: 20 };
    },
  });
  const toolChoice = { name: "weather" } as const;
  const run = await client.chat.runTools({ ...noise, seed: 9n, tools: [answering], toolChoice, maxAnswers: 2 });
  expect(run.messages.slice(0, 4).map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
  expect(JSON.parse(run.messages[2]?.content ?? "")).toEqual({ city: cities[0], celsius: 20 });
});

test("with none the template sees no tools, and nothing is called", async () => {
  const plain = await client.chat.complete({ ...noise, seed: 3n, temperature: 0 });
  const none = await client.chat.complete({ ...noise, seed: 3n, temperature: 0, tools, toolChoice: "none" });
  expect([none.text, none.toolCalls, none.usage.promptTokens]).toEqual([plain.text, [], plain.usage.promptTokens]);
});

test("a model whose template knows no tools says so", async () => {
  await expect(client.chat.complete({ ...noise, model: "plain", tools })).rejects.toMatchObject({
    codeName: "FAILED_PRECONDITION",
    reason: "TOOLS_NOT_SUPPORTED",
  });
});

test("a tool whose schema cannot be kept to is named by its place", async () => {
  const odd = { name: "odd", parameters: { type: "object", properties: { a: { type: "stringy" } } } };
  const error = await client.chat
    .complete({ ...noise, tools: [weather, odd], toolChoice: "required" })
    .catch((thrown) => thrown);
  expect(error).toMatchObject({ reason: "INVALID_FIELD" });
  expect(error.violations.map(({ field }: { field: string }) => field)).toEqual([
    expect.stringMatching(/^tools\[1\]\.parameters_json_schema.*a/),
  ]);
});
