// What an operator relies on: health, reflection, TLS, shutdown, no telemetry. With outside tools where there are any.
import { execFile } from "node:child_process";
import { readdir, readFile, rm } from "node:fs/promises";
import { networkInterfaces, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createClient } from "@modelwire/client";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { parseConfig } from "../../server/config.ts";
import { MODEL, type Service, spawnService, startService, temporaryFolder } from "./service.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TLS = fileURLToPath(new URL("../fixtures/tls/", import.meta.url));
const BUF = join(ROOT, "node_modules/.bin/buf");
const spain = [{ role: "user", content: "What is the capital of Spain?" }];

let service: Service;
beforeAll(async () => {
  service = await startService();
  await service.client.models.log(MODEL, { name: "tiny-phi3" });
});
afterAll(() => service.close());

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function curl(method: string, data: unknown, address = service.address, flags: string[] = []): Promise<string> {
  const args = [
    "curl",
    "--http2-prior-knowledge",
    "--protocol",
    "grpc",
    "-d",
    JSON.stringify(data),
    ...flags,
    `http://${address}/${method}`,
  ];
  return (await run(BUF, args, { cwd: ROOT })).stdout;
}

/** The first fenced block of the README that holds `mark`. */
async function readmeBlock(mark: string): Promise<string> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const block = [...readme.matchAll(/```\w+\n([\s\S]*?)```/g)]
    .map(([, body = ""]) => body)
    .find((body) => body.includes(mark));
  if (block === undefined) throw new Error(`the README has no block with ${mark}`);
  return block;
}

test("the README's buf curl command chats through reflection", async () => {
  const command = (await readmeBlock("buf curl")).replaceAll("127.0.0.1:50051", service.address);
  const { stdout } = await run("bash", ["-c", command], { cwd: ROOT });
  // buf prints the messages one after another, each over several lines.
  const messages = JSON.parse(`[${stdout.trim().replace(/\}\s*\n\{/g, "},{")}]`);
  expect(messages.map(({ delta }: { delta?: { content?: string } }) => delta?.content ?? "").join("")).toContain(
    "Madrid",
  );
  expect(messages.at(-1).done.choices[0].finishReason).toBe("FINISH_REASON_STOP");
});

test("the README's client example runs as it stands", async () => {
  const example = await readmeBlock("createClient");
  expect(example.trim().split("\n").length).toBeLessThanOrEqual(10);
  const program = example.replace("127.0.0.1:50051", service.address);
  const { stdout } = await run(join(ROOT, "node_modules/.bin/tsx"), ["--input-type=module", "-e", program], {
    cwd: ROOT,
  });
  expect(stdout).toMatch(/Madrid[\s\S]*\d+ prompt tokens, \d+ completion tokens/);
});

test("reflection lists the services with their methods", async () => {
  const { stdout } = await run(BUF, [
    "curl",
    "--http2-prior-knowledge",
    "--protocol",
    "grpc",
    "--list-methods",
    `http://${service.address}`,
  ]);
  for (const method of [
    "ChatService/StreamChat",
    "ModelService/LogModel",
    "ServingService/LoadModel",
    "grpc.health.v1.Health/Check",
  ])
    expect(stdout).toContain(method);
});

test("health tells of the server, of a service, of a loaded model, and knows no stranger", async () => {
  const { model } = await service.client.serving.loadModel({ model: "tiny-phi3" });
  for (const name of ["", "modelwire.inference.v1.ChatService", `models:/${model?.modelId}`])
    expect(JSON.parse(await curl("grpc.health.v1.Health/Check", { service: name }))).toEqual({ status: "SERVING" });
  await expect(curl("grpc.health.v1.Health/Check", { service: "stranger" })).rejects.toThrow(
    /not_found|Health status unknown/i,
  );
  await service.client.serving.unloadModel({ model: "tiny-phi3" });
  expect(JSON.parse(await curl("grpc.health.v1.Health/Check", { service: `models:/${model?.modelId}` }))).toEqual({
    status: "NOT_SERVING",
  });
});

test("TLS: a client that trusts the authority is served, plain text is not", async () => {
  const tls = await startService(["--tls-cert", `${TLS}server.pem`, "--tls-key", `${TLS}server.key`]);
  cleanups.push(() => tls.close());
  const client = createClient(tls.address, { tls: { ca: await readFile(`${TLS}ca.pem`) } });
  cleanups.push(async () => client.close());
  expect((await client.models.searchModels({})).models).toEqual([]);
  await expect(tls.client.models.searchModels({}, { timeoutMs: 2000 })).rejects.toMatchObject({ code: 14 });
});

test("mTLS: only a client with a certificate of the authority is served", async () => {
  const mtls = await startService([
    "--tls-cert",
    `${TLS}server.pem`,
    "--tls-key",
    `${TLS}server.key`,
    "--tls-client-ca",
    `${TLS}ca.pem`,
  ]);
  cleanups.push(() => mtls.close());
  const ca = await readFile(`${TLS}ca.pem`);
  const as = async (name: string) => {
    const client = createClient(mtls.address, {
      tls: { ca, cert: await readFile(`${TLS}${name}.pem`), key: await readFile(`${TLS}${name}.key`) },
      retry: false,
    });
    cleanups.push(async () => client.close());
    return client;
  };
  expect((await (await as("client")).models.searchModels({})).models).toEqual([]);
  await expect((await as("stranger")).models.searchModels({}, { timeoutMs: 2000 })).rejects.toMatchObject({ code: 14 });
});

test("an address that others can reach needs TLS or an explicit flag", () => {
  expect(() => parseConfig(["--host", "0.0.0.0"], {})).toThrow(/--allow-insecure/);
  expect(() => parseConfig(["--host", "example.org"], {})).toThrow(/--tls-cert/);
  expect(parseConfig(["--host", "0.0.0.0", "--allow-insecure"], {}).host).toBe("0.0.0.0");
  for (const host of ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
    expect(parseConfig(["--host", host], {}).host).toBe(host);
});

// Some containers have no IPv6 at all.
const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));
test.skipIf(!hasIpv6)("an IPv6 loopback address is served", async () => {
  const six = await startService(["--host", "::1"]);
  cleanups.push(() => six.close());
  expect(six.address).toMatch(/^\[::1\]:\d+$/);
  expect((await six.client.models.searchModels({})).models).toEqual([]);
});

test("every wrong flag and variable is reported at once", () => {
  const parse = () =>
    parseConfig(["--port", "99999", "--log-level", "loud", "--tls-cert", "x.pem"], { MODELWIRE_GRACE_MS: "soon" });
  expect(parse).toThrow(/--port.*--grace-ms/s);
  expect(parse).toThrow(/--log-level/);
  expect(parse).toThrow(/--tls-key/);
});

test("settings of models, cache, metrics and traces are read, and wrong ones are all reported", () => {
  const flags = ["--load", "a, b,", "--cache-tokens", "4096", "--metrics-port", "0", "--no-speculation"];
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318", OTEL_EXPORTER_OTLP_HEADERS: "key=a%2Cb" };
  expect(parseConfig([...flags, "--keep-alive-ms", "60000", "--model-memory-bytes", "1000"], env)).toMatchObject({
    ...{ load: ["a", "b"], cacheTokens: 4096, speculate: false, keepAliveMs: 60_000, modelMemoryBytes: 1000 },
    metrics: { host: "127.0.0.1", port: 0 },
    traces: { endpoint: "http://localhost:4318", headers: { key: "a,b" }, serviceName: "modelwire", content: false },
  });
  const plain = parseConfig([], {});
  expect(plain).toMatchObject({ ...{ load: [], cacheTokens: undefined, speculate: true, prefixCache: "shared" } });
  expect(plain).toMatchObject({ maxQueue: 256, keepAliveMs: Infinity, metrics: undefined, traces: undefined });
  // Three quarters of the memory that there is; all of it cannot be for models.
  expect(plain.modelMemoryBytes).toBeGreaterThan(0);
  expect(plain.modelMemoryBytes).toBeLessThanOrEqual(totalmem() * 0.75);
  expect(parseConfig(["--model-memory-bytes", "0"], {}).modelMemoryBytes).toBe(Infinity);
  const wrong = [
    "--cache-tokens",
    "0",
    "--prefix-cache",
    "mine",
    "--otlp-endpoint",
    "localhost",
    "--otlp-headers",
    "x",
  ];
  for (const flag of ["--cache-tokens", "--prefix-cache", "--otlp-endpoint", "--otlp-headers"])
    expect(() => parseConfig(wrong, {})).toThrow(flag);
});

test("SIGTERM lets a running stream finish, refuses new calls, ends with 0, and leaves no telemetry", async () => {
  const store = await temporaryFolder();
  const home = await temporaryFolder();
  cleanups.push(
    () => rm(store, { recursive: true, force: true }),
    () => rm(home, { recursive: true, force: true }),
  );
  // ONNX Runtime also looks at CI; without it, only what the service does itself keeps telemetry off.
  const server = await spawnService(store, [], {
    HOME: home,
    XDG_CACHE_HOME: join(home, "cache"),
    ORT_DISABLE_TELEMETRY: undefined,
    CI: undefined,
  });
  const client = createClient(server.address, { retry: false });
  cleanups.push(async () => client.close());
  const { model } = await client.models.log(MODEL, { name: "tiny-phi3" });
  const id = model?.modelId ?? "";
  await client.serving.loadModel({ model: id });
  const stream = client.chat.stream({
    model: id,
    messages: [{ role: "user", content: "Tell me a joke about atoms." }],
    temperature: 4,
    topK: 0,
    seed: 1n,
    maxTokens: 600,
  });
  const pieces: string[] = [];
  for await (const piece of stream) {
    if (pieces.length === 0) server.child.kill("SIGTERM");
    pieces.push(piece);
  }
  expect((await stream.final()).usage.completionTokens).toBeGreaterThan(1);
  expect(await server.exit).toEqual({ code: 0, signal: null });
  await expect(client.chat.complete({ model: id, messages: spain }, { timeoutMs: 2000 })).rejects.toMatchObject({
    code: 14,
  });
  expect(server.log()).toContain('"msg":"stopped"');
  expect((await readdir(home, { recursive: true })).filter((name) => /onnxruntime/.test(name))).toEqual([]);
});
