// Predictions through the real service and the real client: an ONNX LLM in its three tasks, plain ONNX models, and the
// signatures and tokens beside them.
import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ApiError, type ModelwireClient } from "@modelwire/client";
import { TensorType } from "@modelwire/proto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MODEL, type Service, startService, temporaryFolder } from "./service.ts";

const GRAPHS = fileURLToPath(new URL("../fixtures/onnx/plain/", import.meta.url));
const SPAIN = { messages: [{ role: "user", content: "What is the capital of Spain?" }] };
const PROMPT = "<|user|>What is the capital of Spain?<|end|><|assistant|>";

const SPECIES = ["setosa", "versicolor", "virginica"];
/** Name in the graph "types", type, and bytes of an element. */
const ELEMENTS = [
  ["float", TensorType.FLOAT, 4],
  ["double", TensorType.DOUBLE, 8],
  ["float16", TensorType.FLOAT16, 2],
  ["bfloat16", TensorType.BFLOAT16, 2],
  ["int8", TensorType.INT8, 1],
  ["int16", TensorType.INT16, 2],
  ["int32", TensorType.INT32, 4],
  ["int64", TensorType.INT64, 8],
  ["uint8", TensorType.UINT8, 1],
  ["uint16", TensorType.UINT16, 2],
  ["uint32", TensorType.UINT32, 4],
  ["uint64", TensorType.UINT64, 8],
  ["bool", TensorType.BOOL, 1],
  ["string", TensorType.STRING, 0],
] as const;

let service: Service;
let client: ModelwireClient;
let work: string;

beforeAll(async () => {
  service = await startService();
  client = service.client;
  work = await temporaryFolder();
  await client.models.log(MODEL, { name: "chat" });
  await client.models.log(MODEL, { name: "wrapper", inputExample: { prompt: PROMPT } });
  await client.models.log(MODEL, { name: "completions", task: "llm/v1/completions" });
  for (const graph of ["iris", "iris-columns", "types"]) {
    await mkdir(join(work, graph));
    await cp(join(GRAPHS, `${graph}.onnx`), join(work, graph, `${graph}.onnx`));
    await client.models.log(join(work, graph), { name: graph });
  }
});

afterAll(async () => {
  await service.close();
  await rm(work, { recursive: true, force: true });
});

/** What Predict answers to a JSON body, taken apart. */
async function ask(model: string, body: unknown, more: { strict?: boolean } = {}) {
  const json = typeof body === "string" ? body : JSON.stringify(body);
  const response = await client.prediction.predict({ model, input: { form: { case: "json", value: json } }, ...more });
  const { output } = response;
  if (output?.form.case !== "json") throw new Error(`the answer came as ${output?.form.case}`);
  return { ...response, body: JSON.parse(output.form.value) };
}

async function refused(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(error instanceof ApiError)) throw new Error(`it was not refused: ${error}`);
  return error;
}

test.each([[[[5.1, 3.5, 1.4, 0.2]]], [{ X: [[5.1, 3.5, 1.4, 0.2]] }]])(
  "nested lists are an example of tensors for a graph: %j",
  async (inputExample) => {
    const { model } = await client.models.log(join(work, "iris"), { name: "iris-with-example", inputExample });
    const X = { name: "X", type: "tensor", "tensor-spec": { dtype: "float32", shape: [-1, 4] } };
    expect(JSON.parse(model?.signature?.inputs ?? "")).toEqual([X]);
    const copy = join(work, `copy-${model?.modelId}`);
    await client.models.download(model?.modelId ?? "", copy);
    expect(JSON.parse(await readFile(join(copy, "input_example.json"), "utf8"))).toEqual({
      X: [[5.099999904632568, 3.5, 1.399999976158142, 0.20000000298023224]],
    });
    expect(await readFile(join(copy, "MLmodel"), "utf8")).toContain("type: ndarray");
    const serving = await readFile(join(copy, "serving_input_example.json"), "utf8");
    expect((await ask(model?.modelId ?? "", serving)).body.predictions.label).toEqual([0]);
  },
);

describe("a chat model", () => {
  test("answers in OpenAI's shape, with usage", async () => {
    const { body, usage, ignored } = await ask("chat", { ...SPAIN, temperature: 0 });
    expect(body).toMatchObject({
      object: "chat.completion",
      model: "chat",
      choices: [
        { index: 0, message: { role: "assistant", content: expect.stringContaining("Madrid") }, finish_reason: "stop" },
      ],
    });
    expect(body.usage.total_tokens).toBe(body.usage.prompt_tokens + body.usage.completion_tokens);
    expect(usage?.promptTokens).toBe(body.usage.prompt_tokens);
    expect(ignored).toMatchObject({ columns: [], params: [] });
  });

  test("says the same as ChatService, streamed and whole, with a row as a list", async () => {
    const chat = await client.chat.complete({ model: "chat", ...SPAIN });
    const pieces: string[] = [];
    let whole: unknown;
    const input = { form: { case: "json" as const, value: JSON.stringify({ dataframe_records: [SPAIN] }) } };
    for await (const { event } of client.prediction.streamPredict({ model: "chat", input })) {
      expect(whole).toBeUndefined();
      if (event.case === "delta") pieces.push(event.value.text);
      else if (event.value?.output?.form.case === "json") whole = JSON.parse(event.value.output.form.value);
    }
    expect(pieces.join("")).toBe(chat.text);
    expect(whole).toMatchObject({ predictions: [{ choices: [{ message: { content: chat.text } }] }] });
  });

  test("numbers its choices through all rows", async () => {
    const row = (n: number) => ({ ...SPAIN, n, max_tokens: 3 });
    const input = { form: { case: "json" as const, value: JSON.stringify({ dataframe_records: [row(2), row(1)] }) } };
    const texts: string[] = [];
    let done: { predictions: { choices: { message: { content: string } }[] }[] } | undefined;
    for await (const { event } of client.prediction.streamPredict({ model: "chat", input })) {
      if (event.case === "delta") texts[event.value.index] = (texts[event.value.index] ?? "") + event.value.text;
      else if (event.value?.output?.form.case === "json") done = JSON.parse(event.value.output.form.value);
    }
    const whole = done?.predictions.flatMap(({ choices }) => choices.map(({ message }) => message.content));
    expect(texts).toEqual(whole);
    expect(texts).toHaveLength(3);
  });

  test("says what it ignored, and refuses it when asked to be strict", async () => {
    const body = { ...SPAIN, max_tokens: 2, colour: "red", params: { depth: 1 } };
    expect((await ask("chat", body)).ignored).toMatchObject({ columns: ["colour", "params"] });
    const error = await refused(ask("chat", body, { strict: true }));
    expect(error).toMatchObject({ reason: "SCHEMA_ENFORCEMENT_FAILED", codeName: "INVALID_ARGUMENT" });
    expect(error.violations.map(({ field }) => field).sort()).toEqual(["colour", "params"]);
  });

  test("refuses what does not fit its signature, all of it at once", async () => {
    const error = await refused(ask("chat", { messages: [{ content: 5 }], max_tokens: "many" }));
    expect(error.reason).toBe("SCHEMA_ENFORCEMENT_FAILED");
    expect(error.message).toMatch(/^Missing required properties/);
    expect(error.violations.map(({ field }) => field)).toEqual(
      expect.arrayContaining(["messages[0].role", "messages[0].content", "max_tokens"]),
    );
  });
});

describe("a model that takes a prompt", () => {
  test("has the signature of its example, and gives the text alone", async () => {
    const { signature } = await client.signatures.getSignature({ model: "wrapper" });
    expect(signature?.text).toBe(
      "inputs: \n  ['prompt': string (required)]\noutputs: \n  [string (required)]\nparams: \n  None\n",
    );
    const { body } = await ask("wrapper", { prompt: PROMPT });
    const chat = await client.chat.complete({ model: "chat", ...SPAIN });
    expect(body).toBe(` ${chat.text}`);
  });

  test("gives a list of texts for a table", async () => {
    const { body } = await ask("wrapper", { dataframe_split: { columns: ["prompt"], data: [[PROMPT], [PROMPT]] } });
    expect(body.predictions).toHaveLength(2);
    expect(body.predictions[0]).toContain("Madrid");
    expect(body.predictions[1]).toBe(body.predictions[0]);
  });

  test("gives OpenAI's completion when that is its task", async () => {
    const { body } = await ask("completions", { prompt: PROMPT, max_tokens: 2, temperature: 0 });
    expect(body).toMatchObject({ object: "text_completion", choices: [{ index: 0, finish_reason: "length" }] });
    expect(typeof body.choices[0].text).toBe("string");
  });
});

describe("a plain ONNX model", () => {
  const rows = [
    [5.1, 3.5, 1.4, 0.2],
    [7.7, 3.0, 6.1, 2.3],
  ];

  test("has the signature of its graph", async () => {
    const { signature } = await client.signatures.getSignature({ model: "iris" });
    expect(signature?.inputs?.tensors).toMatchObject([{ dtype: "float32", shape: [-1n, 4n] }]);
    const { model } = await client.models.getModel({ model: "iris" });
    expect(model?.flavors).toEqual(["onnx", "python_function"]);
  });

  test("takes tensors of every type and gives tensors", async () => {
    const sent = ELEMENTS.map(([name, type, bytes]) => {
      const shape = [3n];
      if (type === TensorType.STRING) return { name, tensor: { type, shape, strings: ["", "größe", "😀"] } };
      const data = new Uint8Array(3 * bytes).map((_, i) => (type === TensorType.BOOL ? i % 2 : i + 1));
      return { name, tensor: { type, shape, data } };
    });
    const tensors = sent.map(({ name, tensor }) => ({ name: `in_${name}`, tensor }));
    const response = await client.prediction.predict({
      model: "types",
      input: { form: { case: "tensors", value: { tensors } } },
    });
    const form = response.output?.form;
    if (form?.case !== "tensors") throw new Error(`the answer came as ${form?.case}`);
    expect(form.value.tensors).toHaveLength(sent.length);
    for (const { name, tensor } of sent)
      expect(form.value.tensors.find((one) => one.name === `out_${name}`)?.tensor).toMatchObject(tensor);
  });

  test("takes columns from a table", async () => {
    const names =
      (await client.signatures.getSignature({ model: "iris-columns" })).signature?.inputs?.tensors.map(
        (one) => one.name ?? "",
      ) ?? [];
    expect(names).toHaveLength(4);
    const inputs = Object.fromEntries(names.map((name, i) => [name, rows.map((row) => row[i])]));
    const { predictions } = (await ask("iris-columns", { inputs })).body;
    expect(predictions.label).toEqual(["setosa", "virginica"]);
    expect(predictions.probabilities.map((one: object) => Object.keys(one))).toEqual([SPECIES, SPECIES]);
  });

  test("refuses a shape that it cannot take, naming it", async () => {
    const error = await refused(ask("iris", { inputs: [[1, 2, 3]] }));
    expect(error.reason).toBe("SCHEMA_ENFORCEMENT_FAILED");
    expect(error.message).toContain("(-1, 4)");
  });

  test("is loaded, listed and unloaded like any other, and does not chat", async () => {
    const { model } = await client.serving.loadModel({ model: "iris" });
    const { models } = await client.serving.listLoadedModels({});
    expect(models.map((one) => one.modelId)).toContain(model?.modelId);
    const error = await refused(client.chat.complete({ model: "iris", ...SPAIN }));
    expect(error).toMatchObject({ reason: "MODEL_NOT_SERVABLE", message: expect.stringContaining("Predict") });
    await client.serving.unloadModel({ model: "iris" });
    const after = await client.serving.listLoadedModels({});
    expect(after.models.map((one) => one.modelId)).not.toContain(model?.modelId);
    expect((await ask("iris", { inputs: rows })).body.predictions).toBeDefined();
  });
});

describe("tokens", () => {
  test("of a conversation are as many as a chat is charged for", async () => {
    const { tokenCount, contextLength } = await client.tokenizer.countTokens({
      model: "chat",
      source: { case: "conversation", value: SPAIN },
    });
    const { usage } = await client.chat.complete({ model: "chat", ...SPAIN, maxTokens: 1 });
    expect(tokenCount).toBe(usage.promptTokens);
    expect(contextLength).toBeGreaterThan(tokenCount);
  });

  test("of a text come back as the text", async () => {
    const text = "The capital of Spain is Madrid.";
    const { tokenIds, pieces } = await client.tokenizer.tokenize({
      model: "chat",
      source: { case: "text", value: text },
      withPieces: true,
    });
    expect(pieces).toHaveLength(tokenIds.length);
    expect((await client.tokenizer.detokenize({ model: "chat", tokenIds })).text.trim()).toBe(text);
  });

  test("that do not exist are refused, each by its place", async () => {
    const error = await refused(client.tokenizer.detokenize({ model: "chat", tokenIds: [1, -1, 2_000_000_000] }));
    expect(error.violations.map(({ field }) => field)).toEqual(["token_ids[1]", "token_ids[2]"]);
    expect(await refused(client.tokenizer.tokenize({ model: "chat" }))).toMatchObject({ reason: "INVALID_FIELD" });
  });
});

describe("signatures", () => {
  const json = (body: unknown) => ({ form: { case: "json" as const, value: JSON.stringify(body) } });

  test("are inferred as MLflow infers them", async () => {
    const { signature } = await client.signatures.inferSignature({
      input: { form: { case: "json", value: '{"inputs": {"a": 1, "b": [1.0], "c": null}}' } },
    });
    expect(signature?.json?.inputs).toBe(
      '[{"type": "long", "name": "a", "required": true}, {"type": "array", "items": {"type": "double"}, "name": "b", "required": true}, {"type": "any", "name": "c", "required": false}]',
    );
    const error = await refused(client.signatures.inferSignature({ input: json({ inputs: [1, "a"] }) }));
    expect(error.violations.map(({ field }) => field)).toEqual(["input[1]"]);
  });

  test("tell whether an input fits, without an error when it does not", async () => {
    const good = await client.signatures.validateInput({
      against: { case: "model", value: "wrapper" },
      input: json({ dataframe_records: [{ prompt: "a", extra: 1 }] }),
    });
    expect(good).toMatchObject({ valid: true, ignored: { columns: ["extra"] }, violations: [] });
    const bad = await client.signatures.validateInput({
      against: { case: "model", value: "wrapper" },
      input: json({ dataframe_records: [{ text: "a" }] }),
    });
    expect(bad.valid).toBe(false);
    expect(bad.errorMessage).toContain("Model is missing inputs ['prompt']");
    expect(bad.violations.map(({ field }) => field)).toEqual(["prompt"]);
  });
});

test("what no model can read is refused without harm", async () => {
  const bodies = [
    "",
    "[]",
    "5",
    "{",
    '{"inputs": 1, "instances": 2}',
    `{"inputs": ${"[".repeat(5000)}}`,
    '{"inputs": ',
    '{"x": 1}',
  ];
  for (const body of bodies) expect((await refused(ask("iris", body))).codeName).toBe("INVALID_ARGUMENT");
  expect(await refused(client.prediction.predict({ model: "iris" }))).toMatchObject({ reason: "INVALID_FIELD" });
  expect(await refused(client.prediction.predict({ model: "" }))).toMatchObject({ reason: "INVALID_FIELD" });
  const twice = {
    entries: [1, 2].map(() => ({ key: "a", value: { kind: { case: "boolValue" as const, value: true } } })),
  };
  const input = { form: { case: "inputs" as const, value: { kind: { case: "objectValue" as const, value: twice } } } };
  expect((await refused(client.prediction.predict({ model: "iris", input }))).violations).toMatchObject([
    { field: 'input.inputs["a"]', description: "comes twice" },
  ]);
  expect((await ask("iris", { inputs: [[1, 2, 3, 4]] })).body.predictions).toBeDefined();
});
