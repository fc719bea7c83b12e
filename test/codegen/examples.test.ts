// The examples, run as a user runs them, against the real service; and the typed client that is committed with them.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inside } from "../cli/cli.ts";
import { type Service, startService } from "../e2e/service.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const at = (path: string) => join(ROOT, path);

let service: Service;
let env: Record<string, string>;

beforeAll(async () => {
  service = await startService();
  env = { MODELWIRE_ADDRESS: service.address };
  const args = ["log", at("examples/iris"), "--name", "iris", "--input-example", at("examples/iris-example.json")];
  expect(await inside(args, { env })).toMatchObject({ code: 0 });
});

afterAll(async () => {
  await service.close();
});

/** What an example prints. */
async function run(name: string): Promise<string> {
  const command = ["--import", "tsx", at(`examples/${name}.ts`)];
  const child = spawn(process.execPath, command, { cwd: ROOT, env: { ...process.env, ...env }, stdio: "pipe" });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const [out, error] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect([await ended, error]).toEqual([0, ""]);
  return out;
}

test("the committed client is what codegen writes for the logged model", async () => {
  const args = ["codegen", "iris", "--out", at("examples/iris-client.ts"), "--check"];
  expect(await inside(args, { env })).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("the example's graph is the one whose making is recorded", async () => {
  const fixture = await readFile(at("test/fixtures/onnx/plain/iris-columns.onnx"));
  expect((await readFile(at("examples/iris/iris.onnx"))).equals(fixture)).toBe(true);
});

test("predict asks the typed client for three flowers", async () => {
  expect(await run("predict")).toMatch(
    /^setosa 0\.9\d*\n\w+ 0\.\d+\nvirginica 0\.\d+\n[\d.]+ ms in the model, [\d.]+ ms/,
  );
});

test("the chat model answers in OpenAI's shape, with usage", async () => {
  const out = await run("chat-model");
  expect(out).toMatch(/^logged models:\/m-\w{32}, task llm\/v1\/chat\n/);
  const answer = JSON.parse(out.slice(out.indexOf("{")));
  expect(answer).toMatchObject({
    object: "chat.completion",
    choices: [{ message: { role: "assistant", content: expect.stringContaining("Madrid") }, finish_reason: "stop" }],
    usage: { prompt_tokens: 10, total_tokens: 10 + answer.usage.completion_tokens },
  });
});

test("the prompt model has the signature of its example, and tells a joke", async () => {
  const out = await run("prompt-model");
  expect(out).toMatch(/^inputs: \n {2}\['prompt': string \(required\)\]\noutputs: \n {2}\[string \(required\)\]\n/);
  expect(out).toMatch(/atom/i);
  expect(out).toMatch(/\n\d+ tokens\n$/);
});
