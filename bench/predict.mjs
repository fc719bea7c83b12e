// What a prediction of a small plain ONNX model costs around the model itself:
//   npm run build && node bench/predict.mjs [--python PYTHON] [--rounds N] [--calls N]
// One row of four numbers. In one process: all that PredictionService does, from the decoded request to the response,
// beside onnxruntime-node's own session.run with the tensor ready. Through the network: Predict over gRPC, beside
// `mlflow models serve` over HTTP of the same folder, both with one connection and one call at a time; PYTHON has mlflow
// and onnxruntime. Then a tensor of 100 MB there and back. Both sides take turns in one run; the figures are medians.
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@modelwire/client";
import { PredictRequestSchema, TensorType } from "@modelwire/proto";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { pino } from "pino";
import { createInferenceHost } from "../server/dist/inference/host.js";
import { ModelLoader } from "../server/dist/services/model-loader.js";
import { predictionService } from "../server/dist/services/prediction-service.js";
import { openModelStore } from "../server/dist/store/open.js";
import { median, printMachine, startService } from "./service.mjs";

const { values } = parseArgs({
  options: {
    python: { type: "string" },
    rounds: { type: "string", default: "5" },
    calls: { type: "string", default: "2000" },
  },
});
const [rounds, calls] = [Number(values.rounds), Number(values.calls)];
const ROW = [5.1, 3.5, 1.4, 0.2];
const COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
const work = mkdtempSync(join(tmpdir(), "modelwire-bench-"));
const store = join(work, "store");
const graphs = fileURLToPath(new URL("../test/fixtures/onnx/plain/", import.meta.url));
printMachine(`${rounds} rounds of ${calls} calls`);
mkdirSync(store);
const service = await startService(store, ["--max-message-bytes", String(256 << 20)]);
const client = createClient(service.address, { maxReceiveBytes: 256 << 20, maxSendBytes: 256 << 20 });
const closing = [() => client.close(), () => service.stop()];
try {
  const models = {};
  for (const name of ["iris", "identity"]) {
    mkdirSync(join(work, name));
    cpSync(join(graphs, `${name}.onnx`), join(work, name, `${name}.onnx`));
    const columns = { columns: COLUMNS, data: [ROW] };
    models[name] = (await client.models.log(join(work, name), { name })).model;
    if (name === "iris")
      models.columns = (await client.models.log(join(work, name), { name: "columns", inputExample: columns })).model;
  }
  await inOneProcess(models);
  await throughTheNetwork(models);
  await large(models);
} finally {
  for (const close of closing.reverse()) await close();
  rmSync(work, { recursive: true, force: true });
}

/** PredictionService's own function beside the runtime's, on one thread each. */
async function inOneProcess({ iris, columns }) {
  const log = pino({ level: "silent" });
  const models = await openModelStore(store, log);
  const host = createInferenceHost();
  const loader = new ModelLoader(models, host, { set() {} }, { threads: 1 });
  const { predict } = predictionService(loader, host);
  const context = { signal: new AbortController().signal, log };
  const json = (body) => ({ case: "json", value: JSON.stringify(body) });
  const split = { columns: COLUMNS.map(String), data: [{ values: ROW.map((value) => double(value)) }] };
  const tensor = { type: TensorType.FLOAT, shape: [1n, 4n], data: new Uint8Array(Float32Array.from(ROW).buffer) };
  const forms = {
    "a tensor": [iris, { case: "tensors", value: { tensors: [{ name: "X", tensor }] } }],
    "a table of columns": [columns, { case: "dataframeSplit", value: split }],
    "JSON of a table": [columns, json({ dataframe_split: { columns: COLUMNS, data: [ROW] } })],
  };
  for (const [what, [model, form]] of Object.entries(forms)) {
    const session = await InferenceSession.create(join(model.artifactLocation, onnxFile(model)), {
      intraOpNumThreads: 1,
    });
    const feeds = { [session.inputNames[0]]: new Tensor("float32", Float32Array.from(ROW), [1, 4]) };
    const fetches = session.outputNames.filter((name) => name !== "probabilities"); // onnxruntime-node has no maps
    const asked = create(PredictRequestSchema, { model: model.modelUri, input: { form } });
    const [ours, raw] = [[], []];
    await time(calls, () => predict(asked, context));
    await time(calls, () => session.run(feeds, fetches));
    for (let round = 0; round < rounds; round += 1) {
      ours.push(await time(calls, () => predict(asked, context)));
      raw.push(await time(calls, () => session.run(feeds, fetches)));
    }
    const [a, b] = [median(ours), median(raw)];
    console.log(
      `figure: ${`PredictionService, ${what}`.padEnd(38)} ${a.toFixed(3)} ms, session.run alone ${b.toFixed(3)} ms: ${(a - b).toFixed(3)} ms around it`,
    );
    await session.release();
  }
  await host.close();
  await models.close();
}

async function throughTheNetwork({ columns }) {
  const body = JSON.stringify({ dataframe_split: { columns: COLUMNS, data: [ROW] } });
  const ours = () =>
    client.prediction.predict({ model: columns.modelUri, input: { form: { case: "json", value: body } } });
  const peer = values.python ? await mlflowServer(columns.artifactLocation) : undefined;
  const [a, b] = [[], []];
  await time(calls, ours);
  if (peer) await time(20, () => peer(body));
  for (let round = 0; round < rounds; round += 1) {
    a.push(await time(calls, ours));
    if (peer) b.push(await time(Math.ceil(calls / 10), () => peer(body)));
  }
  const beside = peer
    ? `   mlflow models serve ${median(b).toFixed(2)} ms   x${(median(b) / median(a)).toFixed(1)}`
    : "";
  console.log(`figure: ${"one row through the network".padEnd(38)} ${median(a).toFixed(2)} ms${beside}`);
}

/** @returns a function that posts a body to `mlflow models serve`. */
async function mlflowServer(folder) {
  const port = await new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
  const args = [
    "-m",
    "mlflow",
    "models",
    "serve",
    "-m",
    folder,
    "--env-manager",
    "local",
    "-p",
    String(port),
    "-w",
    "1",
  ];
  const env = { ...process.env, PATH: `${dirname(values.python)}:${process.env.PATH}` }; // it looks for uvicorn there
  const child = spawn(values.python, args, { stdio: "ignore", detached: true, env });
  closing.push(() => child.exitCode ?? process.kill(-child.pid, "SIGTERM"));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const call = (method, path, body) =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json" };
      const sent = request({ agent, port, method, path, headers, host: "127.0.0.1" }, (response) => {
        response
          .resume()
          .on("end", () => (response.statusCode === 200 ? resolve() : reject(new Error(response.statusCode))));
      });
      sent.on("error", reject).end(body);
    });
  for (let tries = 0; ; tries += 1) {
    const up = await call("GET", "/ping").then(
      () => true,
      () => false,
    );
    if (up) break;
    if (tries === 300 || child.exitCode !== null) throw new Error("mlflow models serve did not come up");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return (body) => call("POST", "/invocations", body);
}

/** 100 MB there and back, and what the service holds at most meanwhile. */
async function large({ identity }) {
  const data = new Uint8Array(100_000_000);
  const tensor = { type: TensorType.FLOAT, shape: [BigInt(data.length / 4)], data };
  const input = { form: { case: "tensors", value: { tensors: [{ name: "x", tensor }] } } };
  const before = service.memory("VmRSS");
  const seconds = [];
  const work = [];
  for (let round = 0; round < rounds; round += 1) {
    const started = performance.now();
    const { output, timings } = await client.prediction.predict({ model: identity.modelUri, input });
    seconds.push((performance.now() - started) / 1000);
    work.push(Number(timings.model.seconds) * 1000 + timings.model.nanos / 1e6);
    if (output.form.value.tensors[0].tensor.data.length !== data.length) throw new Error("it came back shorter");
  }
  console.log(
    `figure: ${"100 MB there and back".padEnd(38)} ${median(seconds).toFixed(2)} s, of which ${median(work).toFixed(0)} ms between the service's handler and the model; resident ${before} MiB before, at most ${service.memory("VmHWM")} MiB`,
  );
}

/** Milliseconds of one call, of so many one after the other. */
async function time(count, call) {
  const started = performance.now();
  for (let i = 0; i < count; i += 1) await call();
  return (performance.now() - started) / count;
}

function onnxFile(model) {
  return /\n {2}onnx:\n(?: {4}.*\n)* {4}data: (.*)\n/.exec(
    readFileSync(join(model.artifactLocation, "MLmodel"), "utf8"),
  )[1];
}

function double(value) {
  return { kind: { case: "doubleValue", value } };
}
