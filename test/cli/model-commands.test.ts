// The commands that ask models by their signature, against the real service: its rules, its tokens, its answers.
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asBody } from "../../server/cli/json-input.ts";
import { MODEL, type Service, startService, temporaryFolder } from "../e2e/service.ts";
import { inside } from "./cli.ts";

const GRAPH = fileURLToPath(new URL("../fixtures/onnx/plain/iris-columns.onnx", import.meta.url));
const PROMPT = "<|user|>What is the capital of Spain?<|end|><|assistant|>";
const FLOWER = { sepal_length: 5, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };

let service: Service;
let folder: string;
let env: Record<string, string>;

const run = (args: string[], input = "") => inside(args, { env, input });

beforeAll(async () => {
  service = await startService();
  env = { MODELWIRE_ADDRESS: service.address };
  folder = await temporaryFolder();
  await mkdir(join(folder, "iris"));
  await cp(GRAPH, join(folder, "iris", "iris.onnx"));
  await writeFile(
    join(folder, "example.json"),
    '{"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[5.1, 3.5, 1.4, 0.2]]}',
  );
  await service.client.models.log(MODEL, { name: "tiny-phi3" });
  await service.client.models.log(MODEL, { name: "wrapper", inputExample: { prompt: PROMPT } });
});

afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

test("log with an example prints flavors and the signature that was found, and what the server had already", async () => {
  const args = ["log", join(folder, "iris"), "--name", "iris", "--input-example", join(folder, "example.json")];
  const first = await run(args);
  expect(first.code).toBe(0);
  expect(first.stdout).toMatch(/\n {2}flavors {4}onnx, python_function\n {2}size {7}3\.\d KiB in 7 files\n/);
  expect(first.stdout).toContain("\n  inputs: \n    ['sepal_length': double (required), ");
  expect(first.stderr).toMatch(/^hashing 100% of 943 bytes\nuploading 100% of 943 bytes\n/);
  const second = await run(args);
  expect(second.stdout).toContain("in 7 files, 943 bytes of it on the server already\n");
  expect(second.stderr).not.toContain("uploading");
});

test("log takes the signature that signature infer --json prints", async () => {
  const inferred = await run(["signature", "infer", "--input", join(folder, "example.json"), "--json"]);
  expect(inferred.code).toBe(0);
  const example =
    '{"dataframe_records": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}';
  const { stdout } = await run(["signature", "infer", "--input", "-", "--json"], example);
  await writeFile(join(folder, "signature.json"), stdout);
  const args = ["log", join(folder, "iris"), "--name", "signed", "--signature", join(folder, "signature.json")];
  expect(await run(args)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("['sepal_length': double (required)"),
  });
  expect(JSON.parse((await run(["signature", "show", "signed", "--json"])).stdout)).toEqual(JSON.parse(stdout));
});

test("a text becomes a body where it is none, and is otherwise left as it is, 1.0 and NaN included", () => {
  for (const body of [
    '{"inputs": 1.0}',
    '{"messages": []}',
    '{"prompt": "x"}',
    '{"dataframe_split": {"data": [[NaN]]}}',
    "no JSON",
  ])
    expect(asBody(body)).toBe(body);
  expect(asBody('[{"a": 1.0}]')).toBe('{"dataframe_records": [{"a": 1.0}]}');
  for (const other of ["1.0", "[]", "[1, {}]", '{"a": 1}', '"text"'])
    expect(asBody(other)).toBe(`{"inputs": ${other}}`);
});

test("predict prints what the scoring server would answer; a list of objects is rows, from a flag, a file or stdin", async () => {
  const rows = JSON.stringify([FLOWER, FLOWER]);
  const { code, stdout, stderr } = await run(["predict", "iris", "--json", rows, "--stats"]);
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^enforcement \d.* ms, model \d.* ms\n$/)]);
  expect(JSON.parse(stdout)).toMatchObject({ predictions: [{ label: "setosa" }, { label: "setosa" }] });
  await writeFile(join(folder, "rows.json"), rows);
  expect((await run(["predict", "iris", "--input", join(folder, "rows.json")])).stdout).toBe(stdout);
  expect((await run(["predict", "iris", "--input", "-"], rows)).stdout).toBe(stdout);
  expect((await run(["predict", "iris", "--input", "-", "--stream"], rows)).stdout).toBe(stdout);
});

test("predict says what it ignored, and with --strict and for missing columns it is exit 1 with each of them", async () => {
  const extra = JSON.stringify([{ ...FLOWER, colour: "red" }]);
  const ignored = await run(["predict", "iris", "--json", extra, "--param", "depth=1"]);
  expect([ignored.code, ignored.stderr]).toEqual([
    0,
    'warning: ignored columns: "colour"\nwarning: ignored params: "depth"\n',
  ]);
  const strict = await run(["predict", "iris", "--json", extra, "--strict"]);
  expect([strict.code, strict.stdout]).toEqual([1, ""]);
  expect(strict.stderr).toContain("  colour: ");
  const missing = await run(["predict", "iris", "--json", '[{"sepal_lenght": 5}]']);
  expect(missing.code).toBe(1);
  for (const name of Object.keys(FLOWER)) expect(missing.stderr).toContain(`\n  ${name}: `);
});

test("predict of a chat model is OpenAI's answer, and of a prompt the text alone, streamed or whole", async () => {
  const question = JSON.stringify({ messages: [{ role: "user", content: "What is the capital of Spain?" }] });
  const chat = JSON.parse((await run(["predict", "tiny-phi3", "--json", question])).stdout);
  expect(chat).toMatchObject({ object: "chat.completion", usage: { prompt_tokens: 10 } });
  const whole = await run(["predict", "wrapper", "--prompt", PROMPT, "--stats"]);
  expect(whole.stdout).toBe(" The capital of Spain is Madrid.\n");
  expect(whole.stderr).toMatch(/^10 prompt tokens, \d+ completion tokens, enforcement/);
  expect((await run(["predict", "wrapper", "--prompt", PROMPT, "--stream"])).stdout).toBe(whole.stdout);
});

test("predict with several choices prints the first as it forms, then all of them", async () => {
  const body = JSON.stringify({ messages: [{ role: "user", content: "hi" }], n: 2, max_tokens: 2, temperature: 0 });
  const { stdout } = await run(["predict", "tiny-phi3", "--json", body, "--stream"]);
  const [text, json = ""] = stdout.trimEnd().split("\n");
  const { choices } = JSON.parse(json);
  expect(choices.map((choice: { message: { content: string } }) => choice.message.content)).toEqual([text, text]);
});

test("signature show prints what Python prints, and infer keeps 1 and 1.0 apart", async () => {
  expect((await run(["signature", "show", "wrapper"])).stdout).toBe(
    "inputs: \n  ['prompt': string (required)]\noutputs: \n  [string (required)]\nparams: \n  None\n",
  );
  const infer = ["signature", "infer", "--input", "-", "--param", "n=1", "--param", "t=1.0", "--param", "name=x"];
  const { stdout } = await run(infer, '{"a": [1.0, 2.5], "b": 1}');
  expect(stdout).toContain("['a': Array(double) (required), 'b': long (required)]");
  expect(stdout).toContain("['n': long (default: 1), 't': double (default: 1.0), 'name': string (default: x)]");
  expect((await run(["signature", "infer", "--input", "-"], '[{"a": 1}, {"a": 2.5}]')).code).toBe(1);
});

test("tokens counts a text from a flag or stdin, and a message with the template around it", async () => {
  const text = "What is the capital of Spain?";
  expect((await run(["tokens", "tiny-phi3", "--text", text])).stdout).toBe("7 tokens of 2048\n");
  expect((await run(["tokens", "tiny-phi3"], text)).stdout).toBe("7 tokens of 2048\n");
  expect((await run(["tokens", "tiny-phi3", "--message", text])).stdout).toBe("10 tokens of 2048\n");
  expect((await run(["tokens", "tiny-phi3", "--text", text, "--list"])).stdout).toMatch(/^ID +TOKEN\n\d+ +"▁What"\n/);
});

test("codegen writes the files, and --check says whether they are what would be written", async () => {
  const [out, proto] = [join(folder, "wrapper.ts"), join(folder, "wrapper.proto")];
  const args = ["codegen", "wrapper", "--out", out, "--proto", proto];
  const check = await run([...args, "--check"]);
  expect([check.code, check.stdout]).toEqual([1, ""]);
  expect(check.stderr).toContain(`${out} is not what`);
  expect(await run(args)).toMatchObject({ code: 0, stdout: `wrote ${out}\nwrote ${proto}\n` });
  expect(await run([...args, "--check"])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await readFile(out, "utf8")).toContain('uri: "wrapper"');
  expect(await readFile(proto, "utf8")).toContain("message WrapperRequest {");
  await writeFile(proto, "changed");
  const stale = await run([...args, "--check"]);
  expect([stale.code, stale.stderr]).toEqual([1, expect.not.stringContaining(out)]);
});

test("codegen asks by the id when it was given one, and takes the types' name from the model's", async () => {
  const { model } = await service.client.models.getModel({ model: "wrapper" });
  const out = join(folder, "by-id.ts");
  for (const ref of [model?.modelId ?? "", model?.modelUri ?? ""]) {
    expect((await run(["codegen", ref, "--out", out])).code).toBe(0);
    const text = await readFile(out, "utf8");
    expect(text).toContain(`uri: "${model?.modelUri}"`);
    expect(text).toContain("export function wrapper(");
  }
});

test("models show prints flavors, size, digests and the signature", async () => {
  const { stdout } = await run(["models", "show", "wrapper"]);
  expect(stdout).toMatch(/\nflavors {4}onnxruntime_genai, python_function\nsize {7}3\.\d MiB \(\d+ bytes\)\n/);
  expect(stdout).toMatch(/\n\nPATH +SIZE +SHA-256\nMLmodel +\S+ \S+ +[0-9a-f]{64}\n/);
  expect(stdout).toContain("\n\ninputs: \n  ['prompt': string (required)]\n");
});

test("a prompt and messages go together with parameters, as inputs do", async () => {
  const inputs = '[{"type": "string", "name": "prompt", "required": true}]';
  const outputs = '[{"type": "string", "required": true}]';
  const params = '[{"name": "max_tokens", "type": "long", "default": 64, "shape": null}]';
  await service.client.models.log(MODEL, { name: "limited", signature: { inputs, outputs, params } });
  const args = ["predict", "limited", "--stats", "--param", "max_tokens=2"];
  const answer = await run([...args, "--prompt", PROMPT]);
  expect([answer.code, answer.stderr]).toEqual([0, expect.stringContaining(" 2 completion tokens")]);
  const chat = await run([
    "predict",
    "tiny-phi3",
    "--param",
    "x=1",
    "--json",
    '{"messages": [{"role": "user", "content": "Hi"}]}',
  ]);
  expect([chat.code, chat.stderr]).toEqual([0, 'warning: ignored params: "x"\n']);
  const twice = await run([...args, "--json", JSON.stringify({ prompt: PROMPT, max_tokens: 3 })]);
  expect([twice.code, twice.stderr]).toEqual([1, expect.stringContaining("params: stand in the JSON body, too")]);
});

test("an input that does not fit says how to see what would, and nothing twice", async () => {
  const { stderr } = await run(["predict", "tiny-phi3", "--prompt", "Hi"]);
  expect(stderr).toContain("\n  see what it takes: modelwire signature show <model>\n");
  const text = await run(["predict", "tiny-phi3", "--json", '"Hi"']);
  expect(text.stderr).toContain("\n  Expected data to be list or numpy array, got str. Send a list.\n");
  const broken = await run(["predict", "tiny-phi3", "--json", "{"]);
  expect(broken.stderr.match(/Ensure that input is a valid JSON/g)).toHaveLength(1);
});

test("signature infer takes an example as log does, a table of columns and data included", async () => {
  const { stdout } = await run(["signature", "infer", "--input", join(folder, "example.json")]);
  expect(stdout).toContain("['sepal_length': double (required), ");
});

test("a task that does not exist is refused before anything is sent", async () => {
  const { code, stderr } = await run(["log", join(folder, "iris"), "--name", "iris", "--task", "chat"]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("header.task: must be one of llm/v1/chat, ")]);
  expect((await run(["models", "list"])).stdout).not.toContain("FAILED");
});

test("an input beyond gRPC's largest message says what to do", async () => {
  const { code, stderr } = await run(
    ["predict", "wrapper", "--input", "-"],
    JSON.stringify({ prompt: "x".repeat(5 << 20) }),
  );
  expect([code, stderr]).toEqual([1, expect.stringContaining("a larger --max-message-bytes")]);
});
