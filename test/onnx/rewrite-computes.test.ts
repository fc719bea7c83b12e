// That a rewritten graph computes what the graph computed. Random models of every form run as they are and rewritten, with
// products in float32 and keys and values in float32, so that nothing but the order of sums may differ. The operators that
// stay are put before and behind the last attention, where every token is seen and where only the wanted rows are.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  elementType,
  floatAttribute,
  type GraphProto,
  intAttribute,
  intsAttribute,
  makeTensor,
  type NodeParts,
} from "../../server/onnx/graph-proto.ts";
import { openStockRunner, readModelFolder } from "../../server/onnx/model-folder.ts";
import { openRunner } from "../../server/onnx/open-runner.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { type RandomModelOptions, writeRandomModel } from "./random-models.ts";
import { insertBehind, writeChanged } from "./rewritten.ts";

let runtime: Runtime;
let root: string;
beforeAll(() => {
  runtime = new Runtime();
  root = mkdtempSync(join(tmpdir(), "modelwire-rewrite-"));
});
afterAll(() => {
  runtime.close();
  rmSync(root, { recursive: true, force: true });
});

const tokens = Int32Array.of(1, 5, 9, 33, 7, 100, 3, 44, 17, 2, 90, 11);
const exact: RandomModelOptions = { accuracyLevel: 0 };

/** Logits of the last token of a prompt, and of one more token behind it. */
async function logits(folder: string, runner: "native" | "stock"): Promise<Float32Array> {
  const opened = await openRunner(runtime, await readModelFolder(folder), {
    ...{ runner, cacheType: "float32", threads: 1, maxSequences: 2 },
  });
  try {
    const sequence = opened.runner.allocate()!;
    const [prompt] = await opened.runner.forward([{ sequence, tokens, position: 0, wantsLogits: "last" }]);
    const first = [...prompt!];
    const entry = { sequence, tokens: Int32Array.of(8), position: tokens.length, wantsLogits: "last" } as const;
    const [next] = await opened.runner.forward([entry]);
    return Float32Array.from([...first, ...next!]);
  } finally {
    await opened.runner.dispose();
  }
}

async function expectSame(folder: string): Promise<void> {
  const stock = await logits(folder, "stock");
  const native = await logits(folder, "native");
  expect(Math.max(...stock.map(Math.abs))).toBeGreaterThan(1);
  expect(Math.max(...stock.map((value, i) => Math.abs(value - native[i]!)))).toBeLessThan(1e-4);
}

test.each<[string, RandomModelOptions]>([
  ["4 bits", {}],
  ["weights in a file of their own", { external: true }],
  ["zero points, block 16", { zeroPoints: true, block: 16 }],
  ["8 bits, block 64", { bits: 8, block: 64 }],
  ["float weights", { bits: "float" }],
  ["biases behind the products", { biases: "added" }],
  ["biases inside of the products", { biases: "inside" }],
  ["query, key and value apart", { packed: false, heads: 4, kvHeads: 2 }],
  ["norms of heads", { packed: false, headNorms: true }],
  ["one head of keys for many", { heads: 8, kvHeads: 1 }],
  ["a window", { window: 5 }],
  ["windows of single layers", { layers: 3, windows: [4, -1, 6] }],
  ["softcap and scale", { softcap: 10, scale: 0.4 }],
  ["partial rotation", { headSize: 32, heads: 2, rotated: 16 }],
  ["interleaved rotation", { interleaved: true }],
  ["no rotation", { rotated: 0 }],
  ["positions for the attention", { positions: "attention", index: "int32" }],
  ["rotation before the attention", { positions: "rotation", packed: false }],
  [
    "partial rotation before the attention",
    { positions: "rotation", packed: false, headSize: 32, heads: 2, rotated: 16 },
  ],
  ["the last token by Gather", { pruned: "gather" }],
  ["the last token by Gather and Unsqueeze", { pruned: "unsqueeze" }],
  ["the last token by Slice", { pruned: "slice" }],
  ["two rotary tables", { shortRotary: 64 }],
  ["an embedding that shares lm_head's weights", { tied: true }],
  ["an embedding that shares lm_head's float weights", { tied: true, bits: "float" }],
  ["an embedding that shares lm_head's weights of 8 bits", { tied: true, bits: 8 }],
])("a random model with %s computes the same", async (name, options) => {
  const folder = writeRandomModel(join(root, name), { ...exact, ...options });
  const runner = await openStockRunner(runtime, await readModelFolder(folder), { threads: 1 });
  await runner.dispose();
  await expectSame(folder);
});

test("a random model whose products take int8 loads, rewritten", async () => {
  for (const options of [
    {},
    { zeroPoints: true, external: true },
    { bits: 8, block: 128 },
    { biases: "inside" },
  ] as const) {
    const native = await logits(writeRandomModel(join(root, JSON.stringify(options)), options), "native");
    expect(native.every(Number.isFinite)).toBe(true);
  }
});

/** Nodes from a value [1, tokens, 64] to another of the same shape, named by a prefix. */
type Chain = (from: string, to: string, p: string) => NodeParts[];
const node = (
  operator: string,
  inputs: string[],
  outputs: string[],
  attributes: NodeParts["attributes"] = [],
): NodeParts => {
  const [, domain, type = operator] = /^(.*)\.([^.]*)$/.exec(operator) ?? [];
  return { ...(domain ? { domain } : {}), operator: type, name: outputs.find(Boolean)!, inputs, outputs, attributes };
};
const axis = (value: number) => intAttribute("axis", value);
const keep = (value: number) => intAttribute("keepdims", value);

const chains: readonly (readonly [string, Chain])[] = [
  [
    "elementwise, constants on either side",
    (from, to, p) => [
      node("Mul", ["half", from], [`${p}a`]),
      node("Add", [`${p}a`, "vector"], [`${p}b`]),
      node("Max", [`${p}b`, "column", "half"], [`${p}c`]),
      node("Where", ["pattern", `${p}c`, from], [`${p}d`]),
      node("Tanh", [`${p}d`], [`${p}e`]),
      node("com.microsoft.Gelu", [`${p}e`], [to]),
    ],
  ],
  [
    "Cast there and back",
    (from, to, p) => [
      node("Cast", [from], [`${p}a`], [intAttribute("to", 11)]),
      node("Cast", [`${p}a`], [to], [intAttribute("to", elementType.float)]),
    ],
  ],
  [
    "Split and Concat",
    (from, to, p) => [
      node("Split", [from], [`${p}a`, `${p}b`], [axis(-1), intAttribute("num_outputs", 2)]),
      node("Concat", [`${p}b`, `${p}a`], [to], [axis(2)]),
    ],
  ],
  [
    "Split by sizes, after which a Reshape must know them",
    (from, to, p) => [
      node("Split", [from, "sizes"], [`${p}a`, `${p}b`], [axis(2)]),
      node("Reshape", [`${p}a`, "[0,-1,16]"], [`${p}c`]),
      node("Reshape", [`${p}c`, "[0,-1,48]"], [`${p}d`]),
      node("Concat", [`${p}d`, `${p}b`], [to], [axis(-1)]),
    ],
  ],
  [
    "Slice",
    (from, to, p) => [
      node("Slice", [from, "[0]", "[32]", "[2]"], [`${p}a`]),
      node("Slice", [from, "[-32]", "[9999]", "[-1]"], [`${p}b`]),
      node("Concat", [`${p}b`, `${p}a`], [to], [axis(-1)]),
    ],
  ],
  [
    "heads as an axis of their own, transposed",
    (from, to, p) => [
      node("Reshape", [from, "[0,0,4,16]"], [`${p}a`]),
      node("Transpose", [`${p}a`], [`${p}b`], [intsAttribute("perm", [0, 1, 3, 2])]),
      node("Reshape", [`${p}b`, "[0,0,-1]"], [to]),
    ],
  ],
  [
    "tokens without a batch axis, through Gemm",
    (from, to, p) => [
      node("Reshape", [from, "[-1,64]"], [`${p}a`]),
      node("Gemm", [`${p}a`, "square", "vector"], [`${p}b`], [intAttribute("transB", 1)]),
      node("Reshape", [`${p}b`, "[1,-1,64]"], [to]),
    ],
  ],
  [
    "heads merged with tokens, normalised",
    (from, to, p) => [
      node("Reshape", [from, "[0,-1,16]"], [`${p}a`]),
      node("LayerNormalization", [`${p}a`, "sixteen"], [`${p}b`], [axis(-1), floatAttribute("epsilon", 1e-5)]),
      node("Reshape", [`${p}b`, "[0,-1,64]"], [to]),
    ],
  ],
  [
    "means and sums within a token",
    (from, to, p) => [
      node("ReduceMean", [from, "[-1]"], [`${p}a`], [keep(1)]),
      node("Sub", [from, `${p}a`], [`${p}b`]),
      node("ReduceSum", [`${p}b`, "[2]"], [`${p}c`], [keep(0)]),
      node("Unsqueeze", [`${p}c`, "[-1]"], [`${p}d`]),
      node("Add", [`${p}b`, `${p}d`], [to]),
    ],
  ],
  [
    "axes added and taken away",
    (from, to, p) => [
      node("Unsqueeze", [from, "[0]"], [`${p}a`]),
      node("Unsqueeze", [`${p}a`, "[3]"], [`${p}b`]),
      node("Squeeze", [`${p}b`, "[3]"], [`${p}c`]),
      node("Squeeze", [`${p}c`, "[0]"], [to]),
    ],
  ],
  [
    "Softmax and TopK",
    (from, to, p) => [
      node("Softmax", [from], [`${p}a`], [axis(-1)]),
      node("TopK", [`${p}a`, "[4]"], [`${p}b`, `${p}i`], [axis(-1)]),
      node("ReduceSum", [`${p}b`, "[-1]"], [`${p}c`], [keep(1)]),
      node("Mul", [from, `${p}c`], [to]),
    ],
  ],
  ["parts of a token looked up", (from, to) => [node("Gather", [from, "permutation"], [to], [axis(2)])]],
  [
    "constants made of constants",
    (from, to, p) => [
      node("Mul", ["column", "half"], [`${p}a`]),
      node("Reshape", ["vector", "[1,1,64]"], [`${p}b`]),
      node("Sub", [`${p}b`, `${p}a`], [`${p}c`]),
      node("Add", [from, `${p}c`], [to]),
    ],
  ],
  [
    "a matrix product of a transposed constant",
    (from, to, p) => [
      node("Transpose", ["square"], [`${p}a`], [intsAttribute("perm", [1, 0])]),
      node("MatMul", [from, `${p}a`], [to]),
    ],
  ],
];

/** The constants that the chains name. */
function addConstants(graph: GraphProto): void {
  const floats = (name: string, dims: number[], of: (i: number) => number) => {
    const values = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => of(i));
    graph.initializer.push(makeTensor(name, elementType.float, dims, new Uint8Array(values.buffer)));
  };
  const ints = (name: string, values: number[]) => {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    graph.initializer.push(makeTensor(name, elementType.int64, [values.length], bytes));
  };
  floats("half", [], () => 0.5);
  floats("vector", [64], (i) => Math.sin(i));
  floats("column", [1, 1, 64], (i) => Math.cos(i));
  floats("sixteen", [16], (i) => 1 + i / 16);
  floats("square", [64, 64], (i) => Math.sin(7 * i) / 6);
  ints("sizes", [48, 16]);
  ints(
    "permutation",
    Array.from({ length: 64 }, (_, i) => (i * 13) % 64),
  );
  graph.initializer.push(
    makeTensor(
      "pattern",
      9,
      [64],
      Uint8Array.from({ length: 64 }, (_, i) => i % 2),
    ),
  );
  const lists = [
    "[0]",
    "[2]",
    "[3]",
    "[4]",
    "[32]",
    "[-1]",
    "[-32]",
    "[9999]",
    "[-1,64]",
    "[1,-1,64]",
    "[1,1,64]",
    "[0,0,4,16]",
  ];
  for (const text of [...lists, "[0,0,-1]", "[0,-1,16]", "[0,-1,48]", "[0,-1,64]"]) ints(text, JSON.parse(text));
}

test.each(chains)("%s: computes the same before the attention and behind it", async (name, chain) => {
  const folder = writeChanged(join(root, name), { ...exact, bits: "float" }, (graph) => {
    addConstants(graph);
    for (const [value, prefix] of [
      ["layer0.n1", "early."],
      ["layer1.n1", "late."],
    ] as const)
      insertBehind(graph, value, `${prefix}end`, chain(value, `${prefix}end`, prefix));
  });
  await expectSame(folder);
});
