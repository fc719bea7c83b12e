// Generated clients at work: what they allow is what the real service takes, and what comes back is what they say.
import { cp, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type ModelwireClient, type ServedTextModel, type Tensor, tensor } from "@modelwire/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inside } from "../cli/cli.ts";
import { collect } from "../client/echo.ts";
import { MODEL, type Service, startService, temporaryFolder } from "../e2e/service.ts";

const GRAPHS = fileURLToPath(new URL("../fixtures/onnx/plain/", import.meta.url));

let service: Service;
let folder: string;

beforeAll(async () => {
  service = await startService();
  folder = await temporaryFolder();
  for (const graph of ["iris", "several", "halves"]) {
    await mkdir(join(folder, graph));
    await cp(join(GRAPHS, `${graph}.onnx`), join(folder, graph, `${graph}.onnx`));
    await service.client.models.log(join(folder, graph), { name: graph });
  }
  await service.client.models.log(MODEL, { name: "chat", task: "llm/v1/chat" });
  await service.client.models.log(MODEL, { name: "prompt", inputExample: { prompt: "hi" } });
});

afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

/** The model as its generated module gives it; what its types allow, typescript.test.ts says. */
async function connect(name: string): Promise<ServedTextModel<unknown, unknown, unknown>> {
  const out = join(folder, `${name}.ts`);
  const written = await inside(["codegen", name, "--out", out], { env: { MODELWIRE_ADDRESS: service.address } });
  expect(written).toMatchObject({ code: 0 });
  const module: Record<string, (client: ModelwireClient) => ServedTextModel<unknown, unknown, unknown>> = await import(
    pathToFileURL(out).href
  );
  const made = module[name];
  if (!made) throw new Error(`${out} exports no ${name}`);
  return made(service.client);
}

const QUESTION = {
  messages: [{ role: "user", content: "What is the capital of Spain?" }],
  temperature: 0,
  max_tokens: 64n,
};

test("a chat: the answer in OpenAI's shape, the same text as it forms, and its tokens", async () => {
  const chat = await connect("chat");
  const { output, usage } = await chat.predict(QUESTION, { strict: true });
  expect(output).toMatchObject({
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", content: "The capital of Spain is Madrid." } }],
    usage: { total_tokens: usage?.totalTokens },
  });
  const stream = chat.stream(QUESTION);
  expect((await collect(stream)).join("")).toBe("The capital of Spain is Madrid.");
  expect((await stream.final()).output).toMatchObject({ choices: [{ finish_reason: "stop" }] });
  expect(await chat.countTokens(QUESTION.messages)).toEqual({ tokenCount: usage?.promptTokens, contextLength: 2048 });
});

test("a prompt: a text comes out, and streams", async () => {
  const prompt = await connect("prompt");
  const input = { prompt: "<|user|>What is the capital of Spain?<|end|><|assistant|>" };
  const stream = prompt.stream(input);
  expect((await collect(stream)).join("")).toMatch(/Madrid/);
  expect((await stream.final()).output).toBe(stream.text);
  expect((await prompt.predict(input)).output).toBe(stream.text);
});

test("tensors of several types, there and back with their shapes", async () => {
  const several = await connect("several");
  const a = tensor(new Float32Array([1, 2, 3, 4]), [2, 2]);
  const b = tensor(new Float64Array([10, 20, 30, 40]), [2, 2]);
  const { output } = await several.predict({ a, b });
  const { sum, product } = output as { sum: Tensor<"float32">; product: Tensor<"float32"> };
  expect([sum.type, sum.shape, sum.data]).toEqual(["float32", [2, 2], new Float32Array([11, 22, 33, 44])]);
  expect(product.data).toEqual(new Float32Array([10, 40, 90, 160]));
  const wrong = several.predict({ a, b: tensor(new Float32Array(4), [2, 2]) });
  await expect(wrong).rejects.toMatchObject({ reason: "SCHEMA_ENFORCEMENT_FAILED" });
});

test("the bits of float16, there and back", async () => {
  const halves = await connect("halves");
  const x = tensor(new Uint16Array([0x3c00, 0xbc00]), [1, 2], "float16");
  const { output } = await halves.predict({ x });
  expect((output as { y: Tensor }).y).toMatchObject({ type: "float16", shape: [1, 2] });
});

test("a tensor into a graph that gives maps, whose signature does not say what comes out", async () => {
  const iris = await connect("iris");
  const { output } = await iris.predict({ X: tensor(new Float32Array([5.1, 3.5, 1.4, 0.2]), [1, 4]) });
  expect(output).toMatchObject({ label: [0], probabilities: [{ 0: expect.closeTo(0.9037) }] });
});
