// Graphs that no folder may have: they are refused before anything native sees them, with every violation.

import { describe, expect, test } from "vitest";
import { ModelFolderError } from "../../server/onnx/errors.ts";
import { parseGenaiConfig } from "../../server/onnx/genai-config.ts";
import {
  attributeOf,
  elementType,
  encodeModel,
  type GraphProto,
  type ModelProto,
  makeNode,
  makeTensor,
} from "../../server/onnx/graph-proto.ts";
import { rewriteGraph } from "../../server/onnx/rewrite.ts";
import { type RandomModelOptions, randomModel } from "./random-models.ts";
import { randomNumbers } from "./random-weights.ts";
import { nodeOf, oneLayer, rewrite } from "./rewritten.ts";

describe("a malformed graph is refused", () => {
  function violations(
    change: (graph: GraphProto, model: ModelProto) => void,
    options: RandomModelOptions = oneLayer,
  ): string[] {
    try {
      rewrite(options, change);
    } catch (error) {
      if (error instanceof ModelFolderError)
        return error.violations.map(({ field, description }) => `${field} ${description}`);
      throw error;
    }
    return [];
  }
  const outside: RandomModelOptions = { ...oneLayer, external: true };
  const entry = ({ initializer }: GraphProto, key: string) =>
    initializer.find(({ name }) => name === "norm")!.externalData.find((one) => one.key === key)!;

  test.each([["/etc/passwd"], ["../model.onnx.data"], ["a/../../b"], ["C:\\weights"], ["\\\\host\\weights"], ["a\0b"]])(
    "with data outside of its folder: %j",
    (location) => {
      expect(
        violations((graph) => {
          entry(graph, "location").value = location;
        }, outside),
      ).toEqual([`tensor "norm" must lie in a file below the model's folder, not in ${JSON.stringify(location)}.`]);
    },
  );

  test.each([["-1"], ["1e3"], ["0x10"], [""], ["99999999999999999999"], ["1.5"]])(
    "with data from byte %j on",
    (value) => {
      for (const key of ["offset", "length"])
        expect(
          violations((graph) => {
            entry(graph, key).value = value;
          }, outside),
        ).toEqual([`tensor "norm" has the ${key} ${JSON.stringify(value)}, which is no number of bytes.`]);
    },
  );

  test("with data at an address", () => {
    expect(
      violations((graph) => {
        entry(graph, "location").value = "*/_ORT_MEM_ADDR_/*";
      }, outside),
    ).toEqual(['tensor "norm" names an address in memory in place of a file.']);
  });

  test("with every violation, those in graphs within graphs too", () => {
    const found = violations(
      (graph) => {
        entry(graph, "location").value = "/a";
        entry(graph, "offset").value = "x";
        const inner = attributeOf(nodeOf(graph, "If"), "then_branch")!.g!;
        Object.assign(attributeOf(inner.node[0]!, "value")!.t!, { rawData: new Uint8Array(), dataLocation: 1 });
        graph.initializer.push(
          makeTensor("long", elementType.float, [-1], new Uint8Array()),
          makeTensor("n", elementType.float, [], new Uint8Array(4)),
        );
        graph.node.push(
          makeNode({ domain: "modelwire", operator: "MatMulInt4", name: "ours", inputs: [], outputs: ["m"] }),
        );
      },
      { ...outside, shortRotary: 16 },
    );
    expect(found).toEqual([
      'tensor "norm" must lie in a file below the model\'s folder, not in "/a".',
      'tensor "norm" has the offset "x", which is no number of bytes.',
      'tensor "long" has the negative size [-1].',
      'tensor "cos_large" does not say in which file its data lies.',
      'node "ours" is modelwire.MatMulInt4, which only the server itself puts into a graph.',
      'value "n" is made twice.',
    ]);
  });

  test("when it is no protobuf, or holds no graph", () => {
    const { model, config } = randomModel(oneLayer);
    const parsed = parseGenaiConfig(JSON.stringify(config)).config;
    const bytes = encodeModel(model);
    expect(() => rewriteGraph(bytes.subarray(0, bytes.length - 9), parsed)).toThrow(/model.onnx: is no ONNX file/);
    expect(() => rewriteGraph(new Uint8Array(), parsed)).toThrow(/model.onnx: holds no graph/);
    expect(() => rewriteGraph(Buffer.from("not a model"), parsed)).toThrow(ModelFolderError);
  });

  test("and one that is garbled is refused, left as it is or rewritten; nothing else comes of it", () => {
    const { model, config } = randomModel({
      ...oneLayer,
      ...{ hidden: 32, inner: 32, vocab: 32, context: 16, heads: 2 },
    });
    const whole = encodeModel(model);
    const parsed = parseGenaiConfig(JSON.stringify(config)).config;
    const random = randomNumbers(5);
    const below = (count: number) => Math.floor(random() * count);
    const results = { rewritten: 0, left: 0, refused: 0 };
    for (let round = 0; round < 1000; round++) {
      const bytes = whole.slice();
      for (let change = below(4); change >= 0; change--) bytes[below(bytes.length)] = below(256);
      try {
        const { graph } = rewriteGraph(bytes, parsed);
        graph?.encode(new Map(graph.weights.map(({ name }) => [name, 0])));
        results[graph ? "rewritten" : "left"]++;
      } catch (error) {
        if (!(error instanceof ModelFolderError)) throw error;
        results.refused++;
      }
    }
    expect(Object.values(results).every((count) => count > 10)).toBe(true);
  });
});
