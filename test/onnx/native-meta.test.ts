// What the attention is told of a batch, item by item as it should not be: each comes back as ONNX Runtime's refusal before
// any memory is touched. The address and the size of the pool cannot be checked by anybody, and are the runner's own.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrtError } from "../../server/onnx/errors.ts";
import { openKernels } from "../../server/onnx/kernels.ts";
import { KvPool } from "../../server/onnx/kv-pool.ts";
import { readModelFolder } from "../../server/onnx/model-folder.ts";
import { openPackedWeights } from "../../server/onnx/packed-weights.ts";
import { rewriteGraph } from "../../server/onnx/rewrite.ts";
import { Runtime, type Tensor } from "../../server/onnx/runtime.ts";

const folder = fileURLToPath(new URL("../fixtures/onnx/tiny-int4", import.meta.url));
const blocks = 4;
const tokens = 4;
const vocabSize = 384;
const closers: (() => unknown)[] = [];
let run: (meta: BigInt64Array) => Promise<Float32Array>;
let pool: KvPool;

beforeAll(async () => {
  const runtime = new Runtime();
  const { config } = await readModelFolder(folder);
  const { graph } = rewriteGraph(readFileSync(join(folder, config.decoder.fileName)), config);
  const { kernels } = openKernels();
  if (!graph || !kernels) throw new Error("The small int4 model cannot be run natively.");
  const packed = await openPackedWeights(kernels, folder, graph.weights);
  const initializers = graph.weights.map(({ name }) => {
    const { buffer, byteOffset, byteLength } = packed.locate(name);
    return { name, tensor: runtime.tensor(buffer, byteOffset, "uint8", [byteLength]) };
  });
  const bytes = graph.encode(packed.scaleTypes);
  const session = await runtime.openSessionFromBytes(bytes, { operators: kernels, initializers });
  const { layers, kvHeads, headSize, inputs, logits } = graph;
  pool = new KvPool(kernels, { blocks, layers, kvHeads, headSize, type: "f16" });
  const binding = runtime.bind([inputs.ids.name, inputs.rows, inputs.meta], [logits.name]);
  const control = runtime.runControl();
  const wide = inputs.ids.type === "int64";
  const ids = () => {
    const items = Array.from({ length: tokens }, (_, i) => 5 + i);
    const bytes = bytesOf(wide ? BigInt64Array.from(items, BigInt) : Int32Array.from(items));
    return runtime.tensorOver(bytes, inputs.ids.type, [1, tokens]);
  };
  run = async (meta) => {
    const answer = new Float32Array(vocabSize);
    const list = (items: BigInt64Array, dims: number[]) => runtime.tensorOver(bytesOf(items), "int64", dims);
    const given: Tensor[] = [
      ids(),
      list(BigInt64Array.of(BigInt(tokens - 1)), [1]),
      list(meta, [meta.length]),
      runtime.tensorOver(bytesOf(answer), "float32", [1, 1, vocabSize]),
    ];
    for (const [i, tensor] of given.slice(0, 3).entries()) binding.setInput(i, tensor);
    binding.setOutput(0, given[3]!);
    try {
      await session.run(binding, control);
      return answer;
    } finally {
      for (const tensor of given) tensor.dispose();
    }
  };
  closers.push(() => runtime.close());
  closers.push(() => [pool, packed].forEach((thing) => void thing.dispose()));
  closers.push(() => initializers.forEach(({ tensor }) => void tensor.dispose()));
  closers.push(() => [binding, control].forEach((thing) => void thing.dispose()));
  closers.push(() => session.dispose());
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

const run0 = 8; // first token, count, position, index of the table
const table = run0 + 4;

/** The batch of one sequence with its first tokens, in block 2. */
function right(): BigInt64Array {
  const meta = new BigInt64Array(table + 1);
  pool.describe(meta, 1);
  meta.set([0, tokens, 0, table, 2].map(BigInt), run0);
  return meta;
}

describe("attention refuses a batch", () => {
  test.each<[string, number, bigint]>([
    ["of another version", 0, 2n],
    ["of blocks that are too small for the layers", 3, 64n],
    ["of other layers", 4, 1088n],
    ["of a type that does not exist", 5, 7n],
    ["of a type that the layers do not have room for", 5, 0n],
    ["without runs", 6, 0n],
    ["of fewer than no runs", 6, -1n],
    ["of more runs than are told", 6, 2n],
    ["of as many runs as there are numbers", 6, 2n ** 62n],
    ["that does not begin with its first token", run0, 1n],
    ["whose run has no tokens", run0 + 1, 0n],
    ["whose run has fewer tokens than the batch", run0 + 1, BigInt(tokens - 1)],
    ["whose run has more tokens than the batch", run0 + 1, BigInt(tokens + 1)],
    ["whose run has as many tokens as there are numbers", run0 + 1, 2n ** 63n - 1n],
    ["whose run lies before its sequence", run0 + 2, -1n],
    ["whose run reaches behind its table", run0 + 2, 29n],
    ["whose run lies where no rotation is", run0 + 2, 254n],
    ["whose run lies at the end of all numbers", run0 + 2, 2n ** 63n - 2n],
    ["whose table lies behind its end", run0 + 3, BigInt(table + 1)],
    ["whose table lies before its beginning", run0 + 3, -1n],
    ["with a block that does not exist", table, BigInt(blocks)],
    ["with a block before the first", table, -1n],
  ])("%s", async (_, index, value) => {
    const meta = right();
    meta[index] = value;
    await expect(run(meta)).rejects.toBeInstanceOf(OrtError);
    await expect(run(meta)).rejects.toThrow("PagedAttention");
    expect((await run(right())).every(Number.isFinite)).toBe(true);
  });

  test.each([0, 1, 7, run0 + 3, table])("told in %i numbers", async (length) => {
    await expect(run(right().slice(0, length))).rejects.toThrow("PagedAttention");
  });
});

function bytesOf(items: BigInt64Array | Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(items.buffer, items.byteOffset, items.byteLength);
}
