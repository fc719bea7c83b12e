// A model asked by its signature: against a server that says what it was asked, and against the real rules.
import { once } from "node:events";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { ModelwireClient } from "@modelwire/client";
import type { PredictRequest, PredictResponseSchema, StreamPredictRequest } from "@modelwire/proto";
import {
  ApiError,
  DataInputSchema,
  PredictionService,
  SignatureService,
  TokenizerService,
  ValueSchema,
} from "@modelwire/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InputColumns } from "../../client/column-values.ts";
import { toValue } from "../../client/data.ts";
import { toDataInput } from "../../client/data-input.ts";
import { createClient, tensor } from "../../client/index.ts";
import { type Service, startService } from "../e2e/service.ts";
import { collect } from "./echo.ts";
import type { TestContext } from "./test-server.ts";
import { startTestServer } from "./test-server.ts";

type Answer = MessageInitShape<typeof PredictResponseSchema>;

const answer = (output: unknown, more: Omit<Answer, "$typeName"> = {}): Answer => ({
  modelId: "m-1",
  output: { form: { case: "predictions", value: toValue(output, "output") } },
  ...more,
});

/** A server that streams the pieces of a text, and answers everything else with what it was asked. */
async function start(script: (request: PredictRequest | StreamPredictRequest) => Answer, pieces: string[] = []) {
  const server = await startTestServer();
  const requests: (PredictRequest | StreamPredictRequest)[] = [];
  const ends: string[] = [];
  server.add(PredictionService, {
    predict: async (request) => {
      requests.push(request);
      return script(request);
    },
    async *streamPredict(request: StreamPredictRequest, { signal }: TestContext) {
      requests.push(request);
      for (const text of pieces) yield { event: { case: "delta" as const, value: { text } } };
      yield { event: { case: "delta" as const, value: { index: 1, text: "other" } } };
      if (request.strict && !signal.aborted) await once(signal, "abort");
      if (signal.aborted) ends.push("cancelled");
      else yield { event: { case: "done" as const, value: script(request) } };
    },
  });
  server.add(SignatureService, { getSignature: async ({ model }) => ({ modelId: "m-1", signature: { text: model } }) });
  server.add(TokenizerService, {
    tokenize: async ({ source, withPieces }) => ({
      tokenIds: [1, 2],
      pieces: withPieces ? ["a", String(source.case)] : [],
    }),
    countTokens: async ({ source }) => ({ tokenCount: source.case === "text" ? 1 : 2, contextLength: 2048 }),
  });
  const client = createClient(server.address, { retry: false });
  return {
    client,
    requests,
    ends,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.close();
    },
  };
}

test("a prediction has its output, what was ignored, usage and timings", async () => {
  await using service = await start(() =>
    answer([{ label: 2 }], {
      ignored: { columns: ["x"], params: ["y"] },
      usage: { promptTokens: 3, completionTokens: 4, totalTokens: 7 },
      timings: { enforcement: { nanos: 1_500_000 }, model: { seconds: 1n } },
    }),
  );
  const model = service.client.model<{ a: number }, { label: number }[], { depth?: number }>("iris");
  expect(await model.predict({ a: 1 }, { params: { depth: 2 }, strict: true })).toEqual({
    output: [{ label: 2 }],
    modelId: "m-1",
    ignored: { columns: ["x"], params: ["y"] },
    usage: { promptTokens: 3, completionTokens: 4, totalTokens: 7, cachedPromptTokens: 0 },
    timings: { enforcementMs: 1.5, modelMs: 1_000 },
  });
  expect(service.requests[0]).toMatchObject({
    model: "iris",
    strict: true,
    input: { form: { case: "inputs" } },
    params: { entries: [{ key: "depth", value: { kind: { case: "intValue", value: 2n } } }] },
  });
});

test("absent parameters are absent, and a model without tokens has no usage", async () => {
  await using service = await start(() => answer(null));
  const prediction = await service.client.model("m").predict([]);
  expect(prediction).toEqual({
    output: null,
    modelId: "m-1",
    ignored: { columns: [], params: [] },
    timings: { enforcementMs: 0, modelMs: 0 },
  });
  expect(service.requests[0]).toMatchObject({ strict: false });
  expect(service.requests[0]?.params).toBeUndefined();
});

test("a stream gives text, deltas, and the same whole as predict", async () => {
  await using service = await start(() => answer("Madrid"), ["Ma", "", "drid"]);
  const model = service.client.model<{ prompt: string }, string>("m");
  const stream = model.stream({ prompt: "x" });
  expect(await collect(stream)).toEqual(["Ma", "drid"]);
  expect([stream.text, stream.textOf(1)]).toEqual(["Madrid", "other"]);
  expect(await collect(stream.deltas())).toHaveLength(4);
  expect(await stream.final()).toEqual(await model.predict({ prompt: "x" }));
});

test("leaving a stream cancels the call", async () => {
  await using service = await start(() => answer("x"), ["a", "b"]);
  const stream = service.client.model("m").stream("x", { strict: true });
  for await (const _ of stream) break;
  await expect(stream.final()).rejects.toMatchObject({ codeName: "CANCELLED" });
  expect(stream.text).toBe("a");
});

test("an input that is no data is refused before anything is sent", async () => {
  await using service = await start(() => answer(null));
  const model = service.client.model<unknown, unknown, unknown>("m");
  await expect(model.predict({ f: () => 1 })).rejects.toMatchObject({ codeName: "INVALID_ARGUMENT" });
  await expect(model.predict(1, { params: [1] })).rejects.toThrow(/params: must be a plain object/);
  expect(() => model.stream(new Map())).toThrow(ApiError);
  expect(service.requests).toEqual([]);
});

test("an answer without a prediction is INTERNAL", async () => {
  await using service = await start(() => ({ modelId: "m-1" }));
  await expect(service.client.model("m").predict(1)).rejects.toMatchObject({ codeName: "INTERNAL" });
});

test("signature, tokens and counts are asked by the same address", async () => {
  await using service = await start(() => answer(null));
  const model = service.client.model("models:/m-1");
  expect((await model.signature()).text).toBe("models:/m-1");
  expect(await model.tokenize("x")).toEqual({ tokenIds: [1, 2], pieces: ["a", "text"] });
  expect(await model.countTokens([{ role: "user", content: "x" }])).toEqual({ tokenCount: 2, contextLength: 2048 });
});

test("what is no signature is refused where the model is named", () => {
  using client = createClient("localhost:1");
  for (const inputs of ["", "{}", "[1]", '[{"name": "a"}]'])
    expect(() => client.model("m", { inputs })).toThrow(ApiError);
});

let real: Service;
let client: ModelwireClient;

beforeAll(async () => {
  real = await startService();
  client = real.client;
});

afterAll(async () => {
  await real.close();
});

const column = (type: object, name?: string | number) => ({
  ...type,
  ...(name !== undefined && { name }),
  required: true,
});
const scalar = (type: string) => ({ type });
const list = (items: object) => ({ type: "array", items });
const object = (properties: object) => ({ type: "object", properties });
const map = (values: object) => ({ type: "map", values });

/** Columns, and an input of JavaScript's one kind of number that MLflow takes only when each goes as its column wants it. */
const KINDS: [string, object[], unknown][] = [
  ["a double in a list", [column(list(scalar("double")), "a")], { a: [3, 2] }],
  ["a float in a list", [column(list(scalar("float")), "a")], { a: [3, 0.5] }],
  ["an integer in a list", [column(list(scalar("integer")), "a")], { a: [1, -5] }],
  ["lists in a list", [column(list(list(scalar("float"))), "a")], { a: [[3], [0.5, 2]] }],
  [
    "numbers in an object",
    [column(object({ d: scalar("double"), f: scalar("float"), i: scalar("integer"), l: scalar("long") }), "a")],
    { a: { d: 3, f: 2, i: 3, l: 4 } },
  ],
  ["objects in a list", [column(list(object({ d: scalar("double") })), "a")], [{ a: [{ d: 3 }, { d: 2.5 }] }]],
  ["a number in a map", [column(map(scalar("double")), "a")], { a: { x: 3 } }],
  ["lists in a map", [column(map(list(scalar("integer"))), "a")], [{ a: { x: [3] } }]],
  ["anything, alone", [column(scalar("any"), "a")], { a: { deep: [1] } }],
  ["columns with numbers for names", [column(scalar("double"), 0), column(scalar("long"), 1)], { 0: 1, 1: 2 }],
  ["columns without names", [column(scalar("long")), column(scalar("string"))], [[1, "a"]]],
];

async function valid(columns: object[], data: unknown, known: boolean) {
  const inputs = JSON.stringify(columns);
  const input = create(DataInputSchema, toDataInput(data, undefined, known ? new InputColumns(inputs) : undefined));
  const against = { case: "signature" as const, value: { inputs } };
  return await client.signatures.validateInput({ against, input });
}

test.each(KINDS)("%s fits when the client knows the columns, and only then", async (_, columns, data) => {
  expect(await valid(columns, data, true)).toMatchObject({ valid: true, errorMessage: "" });
  const plain = await valid(columns, data, false).catch((error: unknown) => error);
  const lost = plain instanceof ApiError || !("valid" in (plain as object)) || !(plain as { valid: boolean }).valid;
  // Of `any` MLflow makes rows without a word: it fits, and is not what was meant.
  expect(lost || columns.some((one) => "type" in one && one.type === "any")).toBe(true);
});

test("what does not fit its column goes out as it is, for the server to refuse", async () => {
  for (const [type, value] of [
    ["integer", 2 ** 31],
    ["integer", 0.5],
    ["double", "1"],
    ["double", 3n],
  ] as const)
    expect(await valid([column(list(scalar(type)), "a")], { a: [value] }, true)).toMatchObject({ valid: false });
  const missing = [column(scalar("double"), 0), column(scalar("double"), 1)];
  expect(await valid(missing, { 0: 1 }, true)).toMatchObject({ valid: false });
  expect(await valid(missing, { 0: 1, 7: 2 }, true)).toMatchObject({ valid: false });
});

test("a value without a column keeps its way, and a typed array is a tensor", () => {
  const columns = new InputColumns(JSON.stringify([column(list(scalar("double")), "a")]));
  const { form } = create(
    DataInputSchema,
    toDataInput({ b: [1], a: new Float32Array(1), c: tensor(["x"]) }, "inputs", columns),
  );
  const entries = form.case === "inputs" && form.value.kind.case === "objectValue" ? form.value.kind.value.entries : [];
  expect(entries.map(({ value }) => value?.kind.case)).toEqual(["listValue", "tensorValue", "tensorValue"]);
  expect(create(ValueSchema, toValue([1], "x")).kind.case).toBe("listValue");
});
