import { setMaxListeners } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createInferenceHost,
  type GraphOutput,
  type GraphTensor,
  type InferenceHost,
  type TensorValue,
} from "../../server/inference/host.ts";
import { RunPlaces } from "../../server/inference/loaded-graph.ts";
import { failure } from "./failure.ts";
import { fixture, tinyPhi3 } from "./folders.ts";

const path = (name: string) => fixture(`plain/${name}.onnx`);
const never = new AbortController().signal;
setMaxListeners(0, never);
const folder = mkdtempSync(join(tmpdir(), "graphs-"));
let host: InferenceHost;
beforeAll(async () => {
  host = createInferenceHost();
  const names = ["identity", "types", "several", "iris", "iris-columns", "halves", "pieces", "long", "unshaped"];
  for (const name of names) await host.loadGraph(name, path(name), { threads: 1 });
});
afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const floatsOf = ({ data }: TensorValue) => [...new Float32Array((data as Uint8Array).slice().buffer)];
const x = (data: Uint8Array, dims = [data.length / 4]): GraphTensor => ({ name: "x", type: "float", dims, data });
const run = (key: string, feeds: readonly GraphTensor[], signal = never) => host.run(key, feeds, signal);
const tensor = (output: GraphOutput | undefined): TensorValue => {
  expect(output).toMatchObject({ kind: "tensor" });
  return output as TensorValue;
};

describe("a plain graph", () => {
  test("is inspected: names, types, fixed and free dimensions, and none where it has no shape", async () => {
    expect(await host.inspectGraph(path("iris"))).toEqual({
      inputs: [{ name: "X", kind: "tensor", type: "float", dims: ["n", 4] }],
      outputs: [
        { name: "label", kind: "tensor", type: "int64", dims: ["n"] },
        { name: "probabilities", kind: "sequence", type: "", dims: null },
      ],
      warnings: [],
    });
    expect((await host.inspectGraph(path("unshaped"))).inputs).toMatchObject([{ dims: null }]);
    expect((await host.inspectGraph(path("external"))).inputs).toMatchObject([{ dims: [4] }]);
  });

  test("takes and gives every element type, bit for bit, in any order of the feeds", async () => {
    const width = { float: 4, double: 8, float16: 2, bfloat16: 2, int8: 1, int16: 2, int32: 4, int64: 8, uint8: 1 };
    const widths = { ...width, uint16: 2, uint32: 4, uint64: 8, bool: 1 };
    const feeds = Object.entries(widths).map(([type, bytes], k): GraphTensor => {
      const data = Uint8Array.from({ length: 3 * bytes }, (_, i) => (type === "bool" ? i % 2 : (i * 37 + k) % 251));
      return { name: `in_${type}`, type, dims: [3], data };
    });
    feeds.push({ name: "in_string", type: "string", dims: [4], data: ["", "plain", "žluť 😀 日本", "two\nlines"] });
    const outputs = await run("types", feeds.reverse());
    expect(outputs).toHaveLength(14);
    for (const { name, type, dims, data } of feeds)
      expect(outputs.find((output) => output.name === name.replace("in_", "out_"))).toEqual({
        name: name.replace("in_", "out_"),
        kind: "tensor",
        type,
        dims,
        data,
      });
  });

  test("takes tensors without items, and scalars and tensors of any rank where it has no shape", async () => {
    expect(tensor((await run("identity", [x(floats())]))[0])).toMatchObject({ dims: [0], data: new Uint8Array() });
    const scalar = tensor((await run("unshaped", [x(floats(2), [])]))[0]);
    expect([scalar.dims, floatsOf(scalar)]).toEqual([[], [-2]]);
    expect(tensor((await run("unshaped", [x(floats(1, 2), [1, 2, 1])]))[0]).dims).toEqual([1, 2, 1]);
  });

  test("gives a classifier's labels, and its maps as keys and rows of values", async () => {
    const data = floats(5.1, 3.5, 1.4, 0.2, 6.7, 3.1, 4.7, 1.5);
    const [label, maps] = await run("iris", [{ name: "X", type: "float", dims: [2, 4], data }]);
    expect([...new BigInt64Array((tensor(label).data as Uint8Array).slice().buffer)]).toEqual([0n, 2n]);
    if (maps?.kind !== "maps") throw new Error("no maps");
    expect(maps.keys).toMatchObject({ type: "int64", dims: [3] });
    expect(maps.values).toMatchObject({ type: "float", dims: [2, 3] });
    expect(floatsOf(maps.values).map((value) => value.toFixed(4))).toEqual([
      ...["0.9037", "0.0960", "0.0002"],
      ...["0.0000", "0.0573", "0.9426"],
    ]);
  });

  test("gives labels and keys of text", async () => {
    const flower = { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };
    const feeds = Object.entries(flower).map(([name, value]) => ({ ...x(floats(value)), name }));
    const [label, maps] = await run("iris-columns", feeds);
    expect(label).toMatchObject({ type: "string", data: ["setosa"] });
    expect(maps).toMatchObject({ kind: "maps", keys: { data: ["setosa", "versicolor", "virginica"] } });
  });

  test("gives sequences of tensors", async () => {
    const [parts] = await run("pieces", [x(floats(1, 2, 3, 4), [2, 2])]);
    if (parts?.kind !== "sequence") throw new Error("no sequence");
    expect(parts.items.map((item) => floatsOf(item as TensorValue))).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("reads bytes wherever in a buffer they begin, taken or not", async () => {
    for (let offset = 0; offset < 8; offset++) {
      for (const mayTake of [false, true]) {
        const data = new Uint8Array(offset + (2 << 20) + 3).subarray(offset, offset + (2 << 20));
        data.set(floats(1.5, -2));
        const [y] = await run("identity", [{ ...x(data), mayTake }]);
        expect(floatsOf(tensor(y)).slice(0, 3)).toEqual([1.5, -2, 0]);
        expect(data.length).toBe(mayTake ? 0 : 2 << 20);
      }
    }
  });

  test("takes no buffer that others have a part in", async () => {
    const shared = new Uint8Array(4 << 20);
    const [a, b] = [shared.subarray(0, 3 << 20), shared.subarray(3 << 20)];
    const take = (data: Uint8Array, mayTake: boolean) => ({ ...x(data, [2, data.length / 8]), name: "a", mayTake });
    const double = (data: Uint8Array, mayTake: boolean): GraphTensor => ({
      ...{ name: "b", type: "double", dims: [2, data.length / 16], data, mayTake },
    });
    await failure(run("several", [take(a, true), double(b, false)])); // of sizes that do not go together
    expect(shared.length).toBe(4 << 20);
    await run("identity", [{ ...x(shared.subarray(0, 1 << 20)), mayTake: true }]); // a quarter
    expect(shared.length).toBe(4 << 20);
    const small = Buffer.from(floats(1));
    await run("identity", [{ ...x(small), mayTake: true }]); // Node's pool
    expect(small.length).toBe(4);
    await failure(run("several", [take(a, true), double(b, true)])); // both together
    expect(shared.length).toBe(0);
  });

  test("keeps overlapping runs apart", async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => floatsOf(tensor((await run("identity", [x(floats(i, i + 1))]))[0]))),
    );
    expect(answers).toEqual(Array.from({ length: 40 }, (_, i) => [i, i + 1]));
  });

  test("runs thousands of times, and is loaded and unloaded, without growing", async () => {
    const megabyte = new Uint8Array(1 << 20);
    const empty = host.graphs().find(({ key }) => key === "types")?.inputs ?? [];
    const text = empty.map(({ name, type }): GraphTensor => {
      if (type === "string") return { name, type, dims: [1], data: ["a".repeat(1 << 20)] };
      return { name, type, dims: [0], data: new Uint8Array() };
    });
    const round = async (count: number) => {
      for (let i = 0; i < count; i++) await run("identity", [x(i % 20 === 0 ? megabyte : floats(i))]);
      for (let i = 0; i < count / 20; i++) await run("types", text);
      for (let i = 0; i < count / 50; i++) {
        await host.loadGraph("again", path("iris"), { threads: 3 });
        await run("again", [{ name: "X", type: "float", dims: [1, 4], data: floats(1, 2, 3, 4) }]);
        await host.unload("again");
      }
      const threads = process.platform === "linux" ? readdirSync("/proc/self/task").length : 0;
      return { threads, megabytes: process.memoryUsage().rss / 2 ** 20 };
    };
    const before = await round(1000);
    const after = await round(2000);
    expect(after.threads - before.threads).toBeLessThan(3);
    // Keeping either kind of megabyte would be a hundred; what is less is for the garbage collectors.
    expect(after.megabytes - before.megabytes).toBeLessThan(80);
  });

  test("is listed and counted beside the models, and unloaded like one", async () => {
    await host.loadGraph("extra", path("halves"), { threads: 1, executionMode: "parallel", graphOptimization: 1 });
    expect(host.graphs().find(({ key }) => key === "extra")).toMatchObject({ path: path("halves"), warnings: [] });
    expect((await host.stats()).graphs).toContainEqual({ key: "extra", running: 0 });
    expect(host.models()).toEqual([]);
    await host.unload("extra");
    expect(host.graphs().some(({ key }) => key === "extra")).toBe(false);
    expect((await failure(run("extra", []))).reason).toBe("MODEL_NOT_LOADED");
  });

  test("is no model to chat with, nor is a model a graph", async () => {
    const request = { model: "identity", prompt: "x", options: {} };
    const generating = host.generate(request, never)[Symbol.asyncIterator]().next();
    expect((await failure(generating)).reason).toBe("MODEL_NOT_LOADED");
    expect((await failure(host.load("identity", tinyPhi3))).reason).toBe("INVALID_OPTION");
    expect((await failure(host.loadGraph("identity", path("iris")))).reason).toBe("INVALID_OPTION");
  });

  test("gets the session entries that bear on speed, and warnings about the others", async () => {
    const entries = { "session.set_denormal_as_zero": "1", "session.optimized_model_filepath": "/tmp/x" };
    const { warnings } = await host.loadGraph("entries", path("halves"), { entries });
    expect(warnings).toEqual([expect.stringContaining("session.optimized_model_filepath is ignored")]);
    const error = await failure(host.loadGraph("wrong", path("halves"), { threads: -1, interOpThreads: 1e9 }));
    expect(error).toMatchObject({ reason: "INVALID_OPTION" });
    expect(error.violations.map(({ field }) => field)).toEqual(["threads", "interOpThreads"]);
  });
});

describe("a run is refused", () => {
  test("with everything that is wrong with its feeds", async () => {
    const error = await failure(
      run("several", [
        { name: "a", type: "double", dims: [2, 1], data: floats(1, 2, 3, 4) },
        { name: "c", type: "float", dims: [1], data: floats(1) },
      ]),
    );
    expect(error.reason).toBe("PREDICTION_FAILED");
    expect(error.violations).toEqual([
      { field: "c", description: 'is no input of the graph, which has "a", "b".' },
      { field: "a", description: "is double; the graph needs float [2, n]." },
      { field: "b", description: "is missing: the graph needs double [2, n]." },
    ]);
  });

  test.each<[string, string, Omit<GraphTensor, "name">, string]>([
    ["identity", "x", { type: "float", dims: [1, 1], data: floats(1) }, "has 2 dimensions, [1,1]; the graph needs"],
    ["identity", "x", { type: "float", dims: [2], data: floats(1) }, "has 4 bytes; a tensor of float"],
    ["identity", "x", { type: "float", dims: [-1], data: floats(1) }, "has the shape [-1]"],
    ["identity", "x", { type: "float", dims: [1e300], data: floats(1) }, "has the shape [1e+300]"],
    ["identity", "x", { type: "float32", dims: [1], data: floats(1) }, "is float32; the graph needs float [n]"],
    ["identity", "x", { type: "__proto__", dims: [1], data: floats(1) }, "is __proto__"],
    ["identity", "x", { type: "float", dims: [1], data: ["1"] }, "must be bytes, not strings"],
    ["halves", "x", { type: "float16", dims: [1, 3], data: floats(1) }, "shape [1,3]; the graph needs float16 [n, 2]"],
    ["types", "in_bool", { type: "bool", dims: [2], data: Uint8Array.of(1, 2) }, "whose bytes are 0 or 1"],
    ["types", "in_string", { type: "string", dims: [2], data: ["a"] }, "has 1 items"],
    ["types", "in_string", { type: "string", dims: [1], data: ["a\0b"] }, "NUL character in item 0"],
    ["types", "in_string", { type: "string", dims: [1], data: floats(1) }, "must be a list of strings"],
  ])("by %s: %s %o", async (key, name, feed, words) => {
    const error = await failure(run(key, [{ name, ...feed }]));
    expect(error.reason).toBe("PREDICTION_FAILED");
    expect(error.violations.filter(({ field }) => field === name).map(({ description }) => description)).toContainEqual(
      expect.stringContaining(words),
    );
  });

  test("twice the same input", async () => {
    const error = await failure(run("identity", [x(floats(1)), x(floats(1))]));
    expect(error.violations).toEqual([{ field: "x", description: "is fed twice." }]);
  });

  test("by ONNX Runtime, in its own words", async () => {
    const a = { name: "a", type: "float", dims: [2, 3], data: new Uint8Array(24) };
    const b = { name: "b", type: "double", dims: [2, 2], data: new Uint8Array(32) };
    const error = await failure(run("several", [a, b]));
    expect(error.reason).toBe("PREDICTION_FAILED");
    expect(error.message).toMatch(/ONNX Runtime refuses it: .*broadcast/);
    expect(tensor((await run("several", [a, { ...b, dims: [2, 3], data: new Uint8Array(48) }]))[0]).dims).toEqual([
      2, 3,
    ]);
  });
});

describe("a run that nobody waits for", () => {
  const sines = (rounds: bigint, signal: AbortSignal, from = host) => {
    const data = new Uint8Array(BigInt64Array.of(rounds).buffer);
    return from.run("long", [x(floats(1)), { name: "rounds", type: "int64", dims: [], data }], signal);
  };
  const endless = (signal: AbortSignal, from = host) => sines(2n ** 40n, signal, from);

  test("is ended, and its caller told at once", async () => {
    const abort = new AbortController();
    const running = endless(abort.signal);
    await host.stats(); // it has begun
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    await expect(endless(AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
    // The same graph runs again, in every place, once the ended run has let go of its own.
    while ((await host.stats()).graphs.some(({ running }) => running > 0));
    for (const outputs of await Promise.all([sines(1n, never), sines(1n, never)]))
      expect(floatsOf(tensor(outputs[0]))).toEqual([Math.fround(Math.sin(1))]);
  });

  test("gives up its place in the line", async () => {
    const aborts = Array.from({ length: 6 }, () => new AbortController());
    const all = aborts.map(({ signal }) => endless(signal).catch((error: Error) => error.message));
    await host.stats();
    for (const [i, abort] of [...aborts.entries()].reverse()) abort.abort(new Error(`${i}`));
    expect(await Promise.all(all)).toEqual(["0", "1", "2", "3", "4", "5"]);
    expect(floatsOf(tensor((await run("identity", [x(floats(7))]))[0]))).toEqual([7]);
    await host.unload("long"); // waits for those that were running
    expect((await host.stats()).graphs.every(({ running }) => running === 0)).toBe(true);
    await host.loadGraph("long", path("long"), { threads: 1 });
  });

  test("is ended when its graph is unloaded with a signal", async () => {
    const error = failure(endless(never));
    await host.stats();
    await host.unload("long", AbortSignal.abort());
    expect(await error).toMatchObject({ reason: "MODEL_NOT_LOADED", message: "The model long was unloaded." });
    await host.loadGraph("long", path("long"), { threads: 1 });
  });

  test("does not hold up closing", async () => {
    const other = createInferenceHost();
    await other.loadGraph("long", path("long"), { threads: 1 });
    const running = endless(never, other).catch((error: unknown) => error);
    await other.stats();
    await other.close();
    expect(await running).toMatchObject({ reason: "CLOSED" });
  });
});

test("the line of waiting runs has an end", async () => {
  const places = new RunPlaces();
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  const forever = () => new Promise<void>((resolve) => abort.signal.addEventListener("abort", () => resolve()));
  const all = Array.from({ length: 2 + 1024 }, () => places.use(abort.signal, forever).catch(() => "left"));
  await expect(places.use(abort.signal, forever)).rejects.toMatchObject({ reason: "QUEUE_FULL" });
  abort.abort();
  expect((await Promise.all(all)).filter((end) => end === "left")).toHaveLength(1024);
  expect(await places.use(never, async () => "free")).toBe("free");
});

describe("a hostile graph is refused, and the next one is served", () => {
  const refused = async (bytes: Uint8Array | string) => {
    const file = join(folder, "model.onnx");
    writeFileSync(file, bytes);
    const [inspected, loaded] = await Promise.all([
      failure(host.inspectGraph(file)),
      failure(host.loadGraph("hostile", file)),
    ]);
    expect([inspected.reason, loaded.reason]).toEqual(["MODEL_INVALID", "MODEL_INVALID"]);
    expect(inspected.violations.length).toBeGreaterThan(0);
    return inspected.message;
  };

  test("cut off anywhere", async () => {
    const whole = readFileSync(path("iris-columns"));
    const opset = 11; // a file that ends before its last field, which says the version, is still a model
    for (let length = 0; length < whole.length - opset; length += 41) await refused(whole.subarray(0, length));
  });

  test("a hundred megabytes of zeros, text, or nothing", async () => {
    await refused(new Uint8Array(100 << 20));
    await refused("this is no protobuf");
    await refused("");
  });

  test("without the weights beside it, and without a word on where the server keeps it", async () => {
    const message = await refused(readFileSync(path("external")));
    expect(message).toContain("external.bin");
    expect(message).not.toContain(folder);
  });

  test.each([
    ["optional", "input x: is of a type (number -6) that cannot be fed"],
    ["external-outside", "escapes model directory"],
    ["cyclic", "the graph is not acyclic"],
    ["negative-weight", "Out of bounds dimensions"],
    ["huge-weight", "declares a size of"],
    ["huge-input", "x: has a dimension larger than any tensor"],
    ["unknown-operator", "Nope"],
    ["recursive-function", "64 deep"],
  ])("%s", async (name, words) => {
    expect((await failure(host.inspectGraph(path(name)))).message).toContain(words);
    expect(await failure(host.loadGraph("hostile", path(name)))).toMatchObject({ reason: "MODEL_INVALID" });
    expect(floatsOf(tensor((await run("identity", [x(floats(7))]))[0]))).toEqual([7]);
  });

  test("bodies in bodies, as deep as protobuf allows, are served", async () => {
    expect((await host.inspectGraph(path("nested"))).outputs).toMatchObject([{ name: "y" }]);
  });

  test("none, or a folder", async () => {
    for (const nothing of ["/no/such/graph.onnx", folder])
      expect(await failure(host.inspectGraph(nothing))).toMatchObject({
        reason: "MODEL_INVALID",
        violations: [{ field: "graph", description: "is no file." }],
      });
  });
});
