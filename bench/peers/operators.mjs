// Our two operators beside ONNX Runtime's in graphs of one kind of node, in one process without spinning threads, taking
// turns, one measurement per line:
//   node bench/peers/operators.mjs '{"threads": N}'
// A graph has as many copies of its node as it takes for the weights, or keys and values, to come from memory each time
// and not from a cache of the processor; what is told is the time of one.

import { openKernels } from "../../server/dist/onnx/kernels.js";
import { KvPool, metaHeader } from "../../server/dist/onnx/kv-pool.js";
import { Runtime } from "../../server/dist/onnx/runtime.js";
import { disableTelemetry } from "../../server/dist/onnx/telemetry.js";
import { attentionAttributes } from "../models/onnx-folder.mjs";
import { attribute, model, node, tensor, types, value } from "../models/onnx-model.mjs";
import { bytesOf, randomFloats, randomNibbles, randomScales, scaleExponent } from "../models/random-weights.mjs";
import { answerLines } from "./answer-lines.mjs";

const { threads } = JSON.parse(process.argv[2]);
const block = 32;
const blockTokens = 32;
/** More than the caches of the processors that this is for share with one guest. */
const beyondCaches = 400e6;

disableTelemetry();
const runtime = new Runtime();
const { kernels, reason } = openKernels();
if (!kernels) throw new Error(reason);
const operatorSets = { "": 21, "com.microsoft": 1, modelwire: 1 };

await answerLines(async () => ({ facts: { version: `${kernels.variant}, ONNX Runtime ${runtime.version}` } }), {
  /** MatMulInt4 against MatMulNBits: milliseconds of a product of `rows` activations. */
  async product(_, { n, k, rows, rounds }) {
    const copies = rows > 16 ? 2 : Math.ceil(beyondCaches / ((n * k) / 2));
    const weights = matrix(n, k);
    const activations = own(randomFloats(3, "a", rows * k, 1), rows * k * 4);
    const output = runtime.allocate(rows * n * 4);
    const names = Array.from({ length: copies }, (_, i) => `y${i}`);
    const graph = {
      inputs: [value("a", types.float, ["rows", k])],
      outputs: names.map((name) => value(name, types.float, ["rows", n])),
      operatorSets,
    };
    const sides = {
      ours: await ourProduct(graph, names, weights),
      onnxruntime: await stockProduct(graph, names, weights),
    };
    const inputs = { a: runtime.tensor(activations, 0, "float32", [rows, k]) };
    const outputs = Object.fromEntries(names.map((name) => [name, runtime.tensor(output, 0, "float32", [rows, n])]));
    const ms = await takeTurns(sides, { inputs, outputs }, copies, rounds);
    release([inputs.a, ...Object.values(outputs)], activations, output);
    return ms;
  },

  /** PagedAttention against GroupQueryAttention: milliseconds for `tokens` new ones in each of `batch` sequences. */
  async attention(_, { heads, headSize, batch, tokens, context, rounds }) {
    const width = heads * headSize;
    const layers = Math.max(2, Math.ceil(beyondCaches / (batch * context * width * 8)));
    const shape = { heads, headSize, batch, tokens, context, width, layers };
    const stock = await stockAttention(shape);
    const ours = { ours: await pagedAttention(shape, "f16"), "ours f32": await pagedAttention(shape, "f32") };
    return await takeTurns({ ...ours, onnxruntime: stock }, {}, layers, rounds);
  },
});

/** Weights and scales of a random product in MatMulNBits' form. */
function matrix(n, k) {
  const weights = joined(randomNibbles(1, `${n}x${k}`, (n * k) / 2));
  const scales = joined(randomScales(1, `${n}x${k}.scales`, (n * k) / block, scaleExponent(k), "bf16"));
  return { n, k, weights, scales };
}

async function stockProduct(graph, names, { n, k, weights, scales }) {
  const blocks = k / block;
  const initializers = [
    tensor("w", types.uint8, [n, blocks, block / 2], weights),
    tensor("s", types.float, [n, blocks], scales),
  ];
  const numbers = { K: k, N: n, bits: 4, block_size: block, accuracy_level: 4 };
  const attributes = Object.entries(numbers).map(([name, number]) => attribute.int(name, number));
  // Each node packs the weights into memory of its own.
  const nodes = names.map((name) =>
    node("MatMulNBits", ["a", "w", "s"], [name], attributes, { domain: "com.microsoft", name }),
  );
  return { session: await open({ ...graph, nodes, initializers }) };
}

async function ourProduct(graph, names, { n, k, weights, scales }) {
  const factors = new Float32Array(scales.buffer, scales.byteOffset, scales.length / 4);
  const scaleType = kernels.scaleType(factors);
  const form = { columns: n, depth: k, bits: 4, block, zeroPoints: false, scaleType };
  const bytes = kernels.packedBytes(form);
  const packed = runtime.allocate(bytes * names.length);
  await kernels.pack(packed.bytes(0, bytes), { form, weights, scales: factors, zeroPoints: null }, 0, n);
  for (let i = 1; i < names.length; i += 1) packed.bytes(i * bytes, bytes).set(packed.bytes(0, bytes));
  const numbers = { K: k, N: n, bits: 4, block_size: block, zero_points: 0, scale_type: scaleType };
  const attributes = Object.entries(numbers).map(([name, number]) => attribute.int(name, number));
  const nodes = names.map((name, i) =>
    node("MatMulInt4", ["a", `w${i}`], [name], attributes, { domain: "modelwire", name }),
  );
  const initializers = names.map((_, i) => tensor(`w${i}`, types.uint8, [0], Buffer.alloc(0)));
  const given = names.map((_, i) => ({ name: `w${i}`, tensor: runtime.tensor(packed, i * bytes, "uint8", [bytes]) }));
  const session = await open({ ...graph, nodes, initializers }, { initializers: given });
  return {
    session,
    free: () =>
      release(
        given.map((one) => one.tensor),
        packed,
      ),
  };
}

async function stockAttention({ heads, headSize, batch, tokens, context, width, layers }) {
  const nodes = [];
  const caches = [];
  for (let layer = 0; layer < layers; layer += 1) {
    const [past, present] = ["past", "present"].map((name) => [`${name}.${layer}.key`, `${name}.${layer}.value`]);
    nodes.push(
      node(
        "GroupQueryAttention",
        ["qkv", "", "", ...past, "past_lengths", "total", "cos", "sin"],
        [`y${layer}`, ...present],
        attentionAttributes({ heads, kvHeads: heads, headSize }),
        { domain: "com.microsoft", name: `y${layer}` },
      ),
    );
    caches.push({ past, present });
  }
  const cacheShape = [batch, heads, context, headSize];
  const cacheBytes = cacheShape.reduce((product, dim) => product * dim, 4);
  const session = await open({
    nodes,
    inputs: [
      value("qkv", types.float, [batch, tokens, 3 * width]),
      ...caches.flatMap(({ past }) => past.map((name) => value(name, types.float, cacheShape))),
      value("past_lengths", types.int32, [batch]),
      value("total", types.int32, []),
      ...rotaryInputs(context, headSize),
    ],
    outputs: nodes.flatMap((_, layer) => [
      value(`y${layer}`, types.float, [batch, tokens, width]),
      ...caches[layer].present.map((name) => value(name, types.float, cacheShape)),
    ]),
    operatorSets,
  });
  const bound = attentionTensors({ headSize, batch, tokens, context, width, layers }, [batch, tokens]);
  bound.add("past_lengths", bytesOf(new Int32Array(batch).fill(context - 1)), "int32", [batch]);
  bound.add("total", bytesOf(Int32Array.of(context)), "int32", []);
  for (const { past, present } of caches) {
    past.forEach((name, i) => {
      const memory = own(randomFloats(5, name, cacheBytes / 4, 1), cacheBytes);
      bound.inputs[name] = runtime.tensor(memory, 0, "float32", cacheShape);
      bound.outputs[present[i]] = bound.inputs[name];
      bound.memory.push(memory);
    });
  }
  return { session, ...bound };
}

async function pagedAttention({ heads, headSize, batch, tokens, context, width, layers }, type) {
  const pages = Math.ceil(context / blockTokens);
  const pool = new KvPool(kernels, { blocks: batch * pages, layers, kvHeads: heads, headSize, type });
  const nodes = Array.from({ length: layers }, (_, layer) =>
    node(
      "PagedAttention",
      ["qkv", "", "", "cos", "sin", "meta"],
      [`y${layer}`],
      [
        ...attentionAttributes({ heads, kvHeads: heads, headSize }),
        attribute.int("head_size", headSize),
        attribute.int("layer", layer),
      ],
      { domain: "modelwire", name: `y${layer}` },
    ),
  );
  const session = await open({
    nodes,
    inputs: [
      value("qkv", types.float, ["tokens", 3 * width]),
      ...rotaryInputs(context, headSize),
      value("meta", types.int64, ["meta"]),
    ],
    outputs: nodes.map((_, layer) => value(`y${layer}`, types.float, ["tokens", width])),
    operatorSets,
  });
  /** Every sequence has `count` new tokens behind `past` ones, in blocks that lie apart from each other. */
  const bind = (count, past) => {
    const bound = attentionTensors({ headSize, tokens: count, batch, context, width, layers }, [batch * count]);
    const meta = new BigInt64Array(metaHeader + batch * (4 + pages));
    pool.describe(meta, batch);
    for (let i = 0; i < batch; i += 1) {
      const table = metaHeader + batch * 4 + i * pages;
      meta.set([i * count, count, past, table].map(BigInt), metaHeader + i * 4);
      for (let page = 0; page < pages; page += 1) meta[table + page] = BigInt(page * batch + i);
    }
    bound.add("meta", bytesOf(meta), "int64", [meta.length]);
    return bound;
  };
  for (let past = 0; past < context; past += 256) {
    const filling = bind(Math.min(256, context - past), past);
    await run(session, filling);
    filling.free();
  }
  const bound = bind(tokens, context - tokens);
  return {
    session,
    ...bound,
    free() {
      bound.free();
      pool.dispose();
    },
  };
}

function rotaryInputs(context, headSize) {
  return ["cos", "sin"].map((name) => value(name, types.float, [context, headSize / 2]));
}

/** The tensors that both kinds take, by name, and what they lie in. */
function attentionTensors({ headSize, batch, tokens, context, width, layers }, dims) {
  const bound = { inputs: {}, outputs: {}, memory: [] };
  const place = (chunks, bytes) => {
    const memory = own(chunks, bytes);
    bound.memory.push(memory);
    return memory;
  };
  const count = batch * tokens;
  const qkv = place(randomFloats(4, "qkv", count * 3 * width, 1), count * 3 * width * 4);
  bound.inputs.qkv = runtime.tensor(qkv, 0, "float32", [...dims, 3 * width]);
  const pairs = headSize / 2;
  for (const [name, of] of [
    ["cos", Math.cos],
    ["sin", Math.sin],
  ]) {
    const angle = (i) => Math.floor(i / pairs) / 10_000 ** ((i % pairs) / pairs);
    const table = Float32Array.from({ length: context * pairs }, (_, i) => of(angle(i)));
    const memory = place([bytesOf(table)], table.byteLength);
    bound.inputs[name] = runtime.tensor(memory, 0, "float32", [context, pairs]);
  }
  const output = place([], count * width * 4);
  for (let layer = 0; layer < layers; layer += 1)
    bound.outputs[`y${layer}`] = runtime.tensor(output, 0, "float32", [...dims, width]);
  return {
    ...bound,
    add(name, bytes, type, shape) {
      bound.inputs[name] = runtime.tensor(place([bytes], bytes.length), 0, type, shape);
    },
    free: () => release([...Object.values(bound.inputs), ...Object.values(bound.outputs)], ...bound.memory),
  };
}

async function open(graph, options = {}) {
  return await runtime.openSessionFromBytes(model(graph), {
    intraOpThreads: threads,
    entries: { "session.intra_op.allow_spinning": "0" },
    operators: kernels,
    ...options,
  });
}

/** Milliseconds of one copy, by side; `shared` are tensors that every side takes. Ends the sides. */
async function takeTurns(sides, shared, copies, rounds) {
  const ms = {};
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, side] of Object.entries(sides)) {
      const started = performance.now();
      await run(side.session, { ...side, ...shared });
      if (round >= 0) ms[name] = [...(ms[name] ?? []), (performance.now() - started) / copies];
    }
  }
  for (const { session, free } of Object.values(sides)) {
    await session.dispose();
    free?.();
  }
  return { ms };
}

async function run(session, { inputs, outputs }) {
  const [from, to] = [session.inputs, session.outputs].map((list) => list.map(({ name }) => name));
  const binding = runtime.bind(from, to);
  from.forEach((name, i) => {
    binding.setInput(i, inputs[name]);
  });
  to.forEach((name, i) => {
    binding.setOutput(i, outputs[name]);
  });
  const control = runtime.runControl();
  try {
    await session.run(binding, control);
  } finally {
    binding.dispose();
    control.dispose();
  }
}

/** Native memory filled with the chunks. */
function own(chunks, bytes) {
  const memory = runtime.allocate(bytes);
  let end = 0;
  for (const chunk of chunks) {
    memory.bytes(end, chunk.length).set(chunk);
    end += chunk.length;
  }
  return memory;
}

function release(tensors, ...memory) {
  for (const one of new Set(tensors)) one.dispose();
  for (const one of memory) one.dispose();
}

function joined(chunks) {
  return Buffer.concat([...chunks].map((chunk) => Buffer.from(chunk)));
}
