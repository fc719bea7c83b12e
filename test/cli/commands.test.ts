// The commands that talk to a server, as processes.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { cli, hasTerminals, inside, start, startAtTerminal } from "./cli.ts";
import { startFakeServer } from "./fake-server.ts";

let server: Awaited<ReturnType<typeof startFakeServer>>;
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  server = await startFakeServer();
  env = { MODELWIRE_ADDRESS: server.address };
  folder = await mkdtemp(join(tmpdir(), "modelwire-cli-"));
  await mkdir(join(folder, "model"));
  await writeFile(join(folder, "model", "a.txt"), "hello");
  await writeFile(join(folder, "model", "big.bin"), Buffer.alloc(1 << 20));
});

beforeEach(() => {
  server.models.models.length = 0;
  server.requests.length = 0;
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("log sends a folder and sums up; progress goes to stderr", async () => {
  const args = [
    "log",
    join(folder, "model"),
    "--name",
    "n",
    "--tag",
    "a=b=c",
    "--tag",
    "warn=careful",
    "--param",
    "k=v",
  ];
  const { code, stdout, stderr } = await cli(args, { env });
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^m-1\n {2}name {7}n\n {2}uri {8}models:\/m-1\n {2}size {7}1\.0 MiB in 2 files\n {2}time {7}\d/,
  );
  expect(stderr).toBe(
    `hashing 100% of 1.0 MiB\n${[25, 50, 75, 100].map((share) => `uploading ${share}% of 1.0 MiB\n`).join("")}warning: careful\n`,
  );
  expect(server.models.models[0]?.header).toMatchObject({ tags: { a: "b=c" }, params: { k: "v" } });
});

test("log of a folder that cannot be sent names each problem", async () => {
  const { code, stderr } = await cli(["log", join(folder, "missing"), "--name", "n"], { env });
  expect(code).toBe(1);
  expect(stderr).toContain("(INVALID_ARGUMENT, INVALID_PATH)");
  expect(stderr).toContain("missing: cannot be opened");
});

test("chat --once prints the answer as it comes, without what could steer a terminal, and stats when asked", async () => {
  server.models.add("n", {});
  const flags = ["--system", "be short", "--temperature", "0", "--max-tokens", "8", "--top-p", "0.5", "--top-k", "3"];
  const args = ["chat", "n", "--once", "hi", "--stats", "--seed", "18446744073709551615", "--stop", "x", "--stop", "y"];
  const { code, stdout, stderr } = await cli([...args, ...flags], { env });
  expect([code, stdout]).toEqual([0, "2: hi[31m!\n"]);
  expect(stderr).toBe(
    "5 prompt tokens (4 cached), 1 completion token, first token after 12 ms, 80.0 tokens/s, seed 18446744073709551615\n",
  );
  expect(server.requests[0]).toMatchObject({
    messages: [
      { role: "system", content: "be short" },
      { role: "user", content: "hi" },
    ],
    options: { temperature: 0, maxTokens: 8, topP: 0.5, topK: 3, stop: ["x", "y"] },
  });
});

test("chat sends every control, forms and tools from files, and --json prints all that comes back", async () => {
  server.models.add("n", {});
  const tools = join(folder, "tools.json");
  const parameters = { type: "object", properties: {} };
  await writeFile(tools, JSON.stringify([{ type: "function", function: { name: "now", parameters } }]));
  const penalties = ["--repetition-penalty", "1.1", "--presence-penalty", "0.5", "--frequency-penalty=-0.5"];
  const tokens = ["--logit-bias", "5=-100", "--logit-bias", "6=2.5", "--stop-token", "9", "--min-tokens", "1"];
  const rest = ["--min-p", "0.1", "--n", "1", "--ignore-eos", "--logprobs", "1", "--salt", "s", "--priority=-3"];
  const flags = [...penalties, ...tokens, ...rest, "--tools", tools, "--tool-choice", "now"];
  const { code, stdout, stderr } = await inside(["chat", "n", "--once", "hi", "--json", ...flags], { env });
  expect([code, stderr]).toEqual([0, ""]);
  const [request] = server.requests;
  expect(request).toMatchObject({ cacheSalt: "s", priority: -3, tools: [{ name: "now" }] });
  expect(request?.tools[0]?.parametersJsonSchema).toBe(JSON.stringify(parameters));
  expect(request?.toolChoice?.choice).toEqual({ case: "name", value: "now" });
  expect(request?.options).toMatchObject({
    ...{ repetitionPenalty: 1.1, presencePenalty: 0.5, frequencyPenalty: -0.5, minP: 0.1, n: 1, ignoreEos: true },
    ...{ logitBias: { 5: -100, 6: 2.5 }, stopTokenIds: [9], minTokens: 1, logprobs: true, topLogprobs: 1 },
  });
  expect(JSON.parse(stdout)).toMatchObject({
    choices: [
      {
        text: "1: hi\u001b[31m!",
        toolCalls: [{ id: "call_1", name: "now", argumentsJson: "{}" }],
        logprobs: [{ tokenId: 5, utf8: [104, 105], logprob: -0.25, top: [{ tokenId: 5 }] }],
      },
    ],
    seed: "9",
    options: { seed: "9" },
  });
});

test("chat prints calls below the text, and log-probabilities as a table on stderr", async () => {
  server.models.add("n", {});
  const args = ["chat", "n", "--once", "hi", "--logprobs", "1", "--tools", '[{"name": "now"}]'];
  const { stdout, stderr } = await inside(args, { env });
  expect(stdout).toBe("1: hi[31m!\nnow({})\n");
  expect(stderr).toBe('ID  TOKEN  LOGPROB  LIKELIEST\n5   "hi"   -0.250   "hi" -0.250\n');
});

test.each([
  ["--json-schema", '{"type": "string"}', { case: "jsonSchema", value: '{"type": "string"}' }],
  ["--regex", "a+", { case: "regex", value: "a+" }],
  ["--grammar", "FILE", { case: "grammar", value: 'root ::= "a"' }],
  ["--json-object", undefined, { case: "jsonObject", value: true }],
])("chat %s says what the answer is made of", async (flag, value, format) => {
  server.models.add("n", {});
  const file = join(folder, "a.ebnf");
  await writeFile(file, 'root ::= "a"');
  const given = value === undefined ? [] : [value === "FILE" ? file : value];
  expect((await inside(["chat", "n", "--once", "hi", flag, ...given], { env })).code).toBe(0);
  expect(server.requests[0]?.responseFormat?.format).toEqual(format);
});

test("chat takes the question from its input when that is no terminal", async () => {
  server.models.add("n", {});
  const { code, stdout } = await cli(["chat", "n"], { env, input: "two\nlines\n" });
  expect([code, stdout]).toEqual([0, "1: two\nlines[31m!\n"]);
});

test("Ctrl-C in an answer ends with 130 and keeps what was printed", async () => {
  server.models.add("n", {});
  const chat = start(["chat", "n", "--once", "forever"], { env });
  await chat.seen("1: forever");
  chat.kill("SIGINT");
  const { code, stdout, stderr } = await chat.done;
  expect([code, stdout, stderr]).toEqual([130, "1: forever[31m!\n", "interrupted\n"]);
});

test("Ctrl-C in a prediction ends with 130 and keeps what was printed", async () => {
  const predict = start(["predict", "n", "--prompt", "hi", "--stream"], { env });
  await predict.seen("so far");
  predict.kill("SIGINT");
  expect(await predict.done).toEqual({ code: 130, stdout: "so far[31m", stderr: "interrupted\n" });
});

test("a refused request shows every violation on its own line", async () => {
  server.models.add("n", {});
  const { code, stderr } = await cli(["chat", "n", "--once", "bad"], { env });
  expect(code).toBe(1);
  expect(stderr).toBe(
    "modelwire: the request was refused (INVALID_ARGUMENT, INVALID_FIELD)\n" +
      "  messages[0].role: is empty\n  options.temperature: is below 0\n",
  );
});

test("a missing model is exit 1, with the request id and what to do", async () => {
  const { code, stdout, stderr } = await cli(["models", "show", "nope"], { env });
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toBe(
    'modelwire: there is no model "nope" (NOT_FOUND, MODEL_NOT_FOUND)\n' +
      "  request id, for the server's log: req-7\n  see what there is: modelwire models list\n",
  );
});

test("a server that is not there is exit 1, and says how to start one", async () => {
  const { code, stderr } = await cli(["models", "list", "--address", "127.0.0.1:1"]);
  expect(code).toBe(1);
  expect(stderr).toContain("127.0.0.1:1");
  expect(stderr).toContain("modelwire serve");
});

test("models list, show and files are tables, or JSON that a program can read", async () => {
  expect((await cli(["models", "list"], { env })).stdout).toContain("no models yet");
  server.models.add("one", { "a.txt": "hello" });
  server.models.add("two\u001b[31m", { b: "x" });
  const list = await cli(["models", "list"], { env });
  expect(list.stdout).toMatch(/^MODEL ID {2}NAME.*\nm-2.*two\[31m.*\nm-1.*one .*READY.*5 bytes/);
  const json = JSON.parse((await cli(["models", "list", "--json", "--name", "one"], { env })).stdout);
  expect(json).toMatchObject([{ modelId: "m-1", name: "one", status: "MODEL_STATUS_READY", sizeBytes: "5" }]);
  expect((await cli(["models", "show", "one"], { env })).stdout).toContain("uri        models:/m-1\n");
  expect(JSON.parse((await cli(["models", "show", "one", "--json"], { env })).stdout)).toMatchObject({
    modelId: "m-1",
  });
  expect((await cli(["models", "files", "one"], { env })).stdout).toMatch(/a\.txt {2}5 bytes {2}2cf24dba/);
});

test("models download brings the files, and keeps them the second time", async () => {
  server.models.add("one", { "sub/a.txt": "hello" });
  const first = await cli(["models", "download", "one", join(folder, "copy")], { env });
  expect([first.code, await readFile(join(folder, "copy/sub/a.txt"), "utf8")]).toEqual([0, "hello"]);
  const second = await cli(["models", "download", "one", join(folder, "copy")], { env });
  expect(second.stdout).toContain("1 file, 5 bytes (1 of them there already)");
});

test("models delete asks, and where nobody can be asked needs --yes", async () => {
  server.models.add("one", {});
  const asked = await cli(["models", "delete", "m-1"], { env });
  expect([asked.code, asked.stderr]).toEqual([2, expect.stringContaining("--yes")]);
  expect(server.models.models).toHaveLength(1);
  expect(await cli(["models", "delete", "m-1", "--yes"], { env })).toMatchObject({ code: 0, stdout: "deleted m-1\n" });
  expect(server.models.models).toHaveLength(0);
});

test.skipIf(!hasTerminals)(
  "models delete at a terminal deletes the id that it showed, and only after a yes",
  async () => {
    server.models.add("one", {});
    for (const [answer, left] of [
      ["n", 1],
      ["y", 0],
    ] as const) {
      const asking = startAtTerminal(["models", "delete", "one", "--address", server.address]);
      await asking.seen("delete one (m-1)? [y/N] ");
      asking.write(`${answer}\r`);
      expect((await asking.done).code).toBe(0);
      expect(server.models.models).toHaveLength(left);
    }
  },
);

test("models inspect says what runs where and why, and each node when asked", async () => {
  server.models.add("one", { "a.txt": "hello" });
  const { stdout } = await cli(["models", "inspect", "one"], { env });
  expect(stdout).toBe(
    [
      "runner     native (avx2)",
      "because    Attention and 2 products are of a known form.",
      "cache      float16, 3.0 KiB a token",
      "weights    3.8 MiB packed, in the cache",
      "",
      "NODES  OPERATOR                   RUNS ON       WHY",
      "2      com.microsoft.MatMulNBits  Modelwire     int4 product, block 32",
      "1      Gather                     ONNX Runtime  a look-up",
      "",
    ].join("\n"),
  );
  const nodes = (await cli(["models", "inspect", "one", "--nodes"], { env })).stdout;
  expect(nodes).toMatch(/^\/o\[31m +com.microsoft.MatMulNBits +Modelwire /m);
  expect(nodes).toMatch(/^\/embed +Gather +ONNX Runtime /m);
  const json = JSON.parse((await cli(["models", "inspect", "one", "--json"], { env })).stdout);
  expect(json.nodes[1]).toMatchObject({ place: "NODE_PLACE_ONNXRUNTIME", names: ["/embed"] });
});

test("models load, loaded and unload", async () => {
  server.models.add("one", {});
  expect((await cli(["models", "loaded"], { env })).stdout).toContain("no model is loaded");
  const load = await cli(["models", "load", "one"], { env });
  expect(load.stdout).toMatch(/m-1 .*one .*2048 tokens .*native \(avx2\) .*40 ms/);
  expect(load.stderr).toBe("packing weights 25% of 3.8 MiB\npacking weights 100% of 3.8 MiB\n");
  expect(JSON.parse((await cli(["models", "loaded", "--json"], { env })).stdout)).toMatchObject([{ modelId: "m-1" }]);
  expect((await inside(["models", "loaded"], { env })).stdout).toMatch(
    /^m-1 +one +16384 tokens +3\.0 GiB +2 of 8, 3 waiting +just now *\none is not reproducible: a batch of two/m,
  );
  expect((await cli(["models", "unload", "one"], { env })).stdout).toBe("unloaded one\n");
  expect((await cli(["models", "loaded"], { env })).stdout).toContain("no model is loaded");
});
