// What an address and its options lead to, before any call.
import { readFileSync } from "node:fs";
import { credentials, ServerCredentials, status } from "@grpc/grpc-js";
import { ModelService } from "@modelwire/proto";
import { expect, test } from "vitest";
import { ApiError, createClient } from "../../client/index.ts";
import { VERSION } from "../../client/version.ts";
import { startTestServer } from "./test-server.ts";

test.each([
  "127.0.0.1:1",
  "127.9.9.9:1",
  "localhost:1",
  "[::1]:1",
  "dns:localhost:1",
  "dns:///localhost:1",
  "ipv4:127.0.0.1:1,127.0.0.2:2",
  "unix:/tmp/x.sock",
])("%s is this machine: plain text needs no permission", (address) => createClient(address).close());

test.each([
  "10.0.0.1:1",
  "example.org:443",
  "0.0.0.0:1",
  "localhost.example.org:1",
  "127.0.0.1.example.org:1",
  "dns:///example.org:1",
  "ipv4:127.0.0.1:1,10.0.0.1:1",
])("%s is not: plain text needs permission, and the error says what to pass", (address) => {
  expect(() => createClient(address)).toThrow(/tls: true.*insecure: true/);
  createClient(address, { insecure: true }).close();
  createClient(address, { tls: true }).close();
  createClient(address, { credentials: credentials.createInsecure() }).close();
});

test.each(["http://localhost:1", "localhost", "127.0.0.1", "::1:1", ":50051", ""])(
  "%j is refused with what to write instead",
  (address) => {
    expect(() => createClient(address)).toThrow(ApiError);
    expect(() => createClient(address)).toThrow(/127\.0\.0\.1:50051/);
  },
);

test("a certificate without its key is refused", () => {
  expect(() => createClient("localhost:1", { tls: { cert: "x" } })).toThrow("both or neither");
});

test("ready gives up after timeoutMs and names the address", async () => {
  using client = createClient("127.0.0.1:1");
  await expect(client.ready({ timeoutMs: 30 })).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
    message: expect.stringContaining("127.0.0.1:1"),
  });
});

test("a server that is not there is UNAVAILABLE, as an ApiError", async () => {
  using client = createClient("127.0.0.1:1", { retry: false });
  await expect(client.models.getModel({ model: "x" })).rejects.toMatchObject({
    name: "ApiError",
    code: status.UNAVAILABLE,
  });
});

test("the version in the user agent is the package's", () => {
  const manifest = JSON.parse(readFileSync(new URL("../../client/package.json", import.meta.url), "utf8"));
  expect(VERSION).toBe(manifest.version);
});

const pem = (name: string) => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url));

test("TLS: trusts the given authority alone, and shows its own certificate to a server that asks", async () => {
  const pair = { private_key: pem("server.key"), cert_chain: pem("server.pem") };
  const asking = ServerCredentials.createSsl(pem("ca.pem"), [pair], true);
  const server = await startTestServer({ credentials: asking });
  server.add(ModelService, { searchModels: async () => ({ models: [{ name: "safe" }] }) });
  const search = async (tls: true | Record<string, Uint8Array | string>) => {
    using client = createClient(server.address, { tls, retry: false });
    return (await client.models.searchModels({})).models.map((model) => model.name);
  };
  const own = { cert: pem("client.pem"), key: pem("client.key") };
  expect(await search({ ca: pem("ca.pem").toString(), ...own })).toEqual(["safe"]);
  const refused = { name: "ApiError", code: status.UNAVAILABLE };
  await expect(search(true)).rejects.toMatchObject(refused);
  await expect(search({ ca: pem("ca.pem") })).rejects.toMatchObject(refused);
  await expect(search({ ca: pem("stranger.pem"), ...own })).rejects.toMatchObject(refused);
  await server.close();
});
