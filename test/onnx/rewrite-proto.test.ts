// Models as protobuf: what is not known survives, and large contents are neither copied when read nor lost when written.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ModelProtoSchema } from "../../server/onnx/gen/onnx_pb.ts";
import { parseGenaiConfig } from "../../server/onnx/genai-config.ts";
import { changed, decodeModel, encodeModel, type TensorProto } from "../../server/onnx/graph-proto.ts";
import { smallInts } from "../../server/onnx/graph-proto-tensors.ts";
import { rewriteGraph } from "../../server/onnx/rewrite.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { randomModel } from "./random-models.ts";
import { loadedGraph, nativeGraph, oneLayer } from "./rewritten.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const files = ["models/tiny-phi3/onnx", "test/fixtures/onnx/tiny-int4", "test/fixtures/onnx/tiny-fp16"].map(
  (folder) => `${root}${folder}/model.onnx`,
);

test("a model that is read and written is the same model", () => {
  for (const file of files) {
    const model = decodeModel(readFileSync(file), file);
    const again = decodeModel(encodeModel(model), file);
    const bytes = (one: typeof model) => Buffer.from(toBinary(ModelProtoSchema, one));
    // Large tensors move behind small ones.
    const sorted = (tensors: TensorProto[]) => [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const one of [model, again]) one.graph!.initializer = sorted(one.graph!.initializer);
    expect(bytes(again).equals(bytes(model))).toBe(true);
  }
});

test("what the rewriting does not know of a model survives it", () => {
  const file = files[0]!;
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
  const { config } = parseGenaiConfig(readFileSync(`${root}models/tiny-phi3/onnx/genai_config.json`, "utf8"));
  const { graph } = rewriteGraph(readFileSync(file), config);
  const written = graph!.encode(new Map(graph!.weights.map(({ name }) => [name, 0])));
  // Fields 2 of the model and of its graph: who wrote it, and its name
  expect(text(readFileSync(file))).toContain("onnxruntime-genai");
  expect(text(written)).toContain("onnxruntime-genai");
  expect(decodeModel(written, file).$unknown?.map(({ no }) => no)).toEqual(
    decodeModel(readFileSync(file), file).$unknown?.map(({ no }) => no),
  );
});

test("ONNX Runtime reads what is written in several parts", async () => {
  const runtime = new Runtime();
  try {
    const session = await runtime.openSessionFromBytes(encodeModel(randomModel({ vocab: 2000 }).model));
    expect(session.inputs.map(({ name }) => name)).toContain("input_ids");
    await session.dispose();
  } finally {
    runtime.close();
  }
});

test("contents stay where they were read", () => {
  const bytes = encodeModel(randomModel(oneLayer).model);
  const { initializer } = decodeModel(bytes, "model").graph!;
  expect(initializer.every(({ rawData }) => rawData.length === 0 || rawData.buffer === bytes.buffer)).toBe(true);
  const { config } = parseGenaiConfig(JSON.stringify(randomModel(oneLayer).config));
  const { graph } = rewriteGraph(bytes, config);
  for (const { weights, scales } of graph!.weights)
    for (const source of [weights, scales])
      expect("bytes" in source && source.bytes.buffer === bytes.buffer).toBe(true);
});

test("contents in fields by type are the same as raw ones", () => {
  const raw = nativeGraph({ ...oneLayer, zeroPoints: true });
  const typed = nativeGraph({ ...oneLayer, zeroPoints: true }, ({ initializer }) => {
    for (const tensor of initializer) {
      const { rawData } = tensor;
      const view = new DataView(rawData.slice().buffer);
      const items = <T>(width: number, read: (at: number) => T) =>
        Array.from({ length: rawData.length / width }, (_, i) => read(width * i));
      if (tensor.dataType === 1) tensor.floatData = items(4, (at) => view.getFloat32(at, true));
      else if (tensor.dataType === 2) tensor.int32Data = [...rawData];
      else if (tensor.dataType === 7) tensor.int64Data = items(8, (at) => view.getBigInt64(at, true));
      else throw new Error(`type ${tensor.dataType}`);
      tensor.rawData = new Uint8Array();
    }
  });
  const contents = (one: typeof raw) =>
    one.weights.map((plan) =>
      [plan.weights, plan.scales, plan.zeroPoints!].map((source) =>
        "bytes" in source ? Buffer.from(source.bytes) : source,
      ),
    );
  expect(contents(typed)).toEqual(contents(raw));
  expect(loadedGraph(typed).node).toHaveLength(loadedGraph(raw).node.length);
});

test("small lists are read from either width, large and external ones are not", () => {
  const [tensor] = randomModel(oneLayer).model.graph!.initializer;
  const list = (dataType: number, dims: bigint[], rawData: Uint8Array) =>
    smallInts(changed(tensor!, { dataType, dims, rawData }));
  expect(list(7, [2n], new Uint8Array(BigInt64Array.of(-1n, 2n ** 40n).buffer))).toEqual([-1, 2 ** 40]);
  expect(list(6, [], new Uint8Array(Int32Array.of(-7).buffer))).toEqual([-7]);
  expect(list(7, [65n], new Uint8Array(8 * 65))).toBeUndefined();
  expect(list(7, [2n], new Uint8Array(8))).toBeUndefined();
  expect(list(1, [1n], new Uint8Array(4))).toBeUndefined();
});
