// What tells callers apart.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ServerCredentials } from "@grpc/grpc-js";
import { pino } from "pino";
import { expect, test } from "vitest";
import { serviceClient } from "../../client/call.ts";
import { Connection } from "../../client/connection.ts";
import { type CallContext, callerOf } from "../../server/rpc/context.ts";
import { RpcServer } from "../../server/rpc/server.ts";
import { EchoService } from "../gen/modelwire/test/v1/echo_pb.ts";
import { startEcho } from "./echo.ts";

const call = (peer: string, fingerprint256?: string) => ({
  getPeer: () => peer,
  getAuthContext: () => (fingerprint256 === undefined ? {} : { sslPeerCertificate: { fingerprint256 } }),
});

test("connections of one address are one caller, and other addresses are others", () => {
  const callers = ["10.0.0.1:4000", "10.0.0.1:4001", "10.0.0.2:4000", "::1:4000", "::1:4001"].map((peer) =>
    callerOf(call(peer)),
  );
  expect(callers).toEqual(["address:10.0.0.1", "address:10.0.0.1", "address:10.0.0.2", "address:::1", "address:::1"]);
});

test("a certificate goes before the address, and cannot be mistaken for one", () => {
  expect(callerOf(call("10.0.0.1:4000", "AB:CD"))).toBe("certificate:AB:CD");
  expect(callerOf(call("10.0.0.2:4000", "AB:CD"))).toBe("certificate:AB:CD");
});

test("a handler is told who asks and until when", async () => {
  const seen: CallContext[] = [];
  const echo = await startEcho({
    unary: async (_, context) => {
      seen.push(context);
      return {};
    },
  });
  await echo.client.unary({}, { timeoutMs: Number.POSITIVE_INFINITY });
  const before = Date.now();
  await echo.client.unary({}, { timeoutMs: 60_000 });
  await echo.close();
  expect(seen.map(({ caller }) => caller)).toEqual(["address:127.0.0.1", "address:127.0.0.1"]);
  expect(seen[0]?.deadlineMs).toBeUndefined();
  // On the wire it is what is left, in whole milliseconds.
  expect(Math.abs((seen[1]?.deadlineMs ?? 0) - before - 60_000)).toBeLessThan(5000);
});

test("with mutual TLS the caller is the client's certificate", async () => {
  const file = (name: string) => readFile(fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url)));
  const [ca, cert_chain, private_key] = [await file("ca.pem"), await file("server.pem"), await file("server.key")];
  const callers: string[] = [];
  const server = new RpcServer({ log: pino({ level: "silent" }) });
  server.add(EchoService, {
    unary: async (_, { caller }) => {
      callers.push(caller);
      return {};
    },
    serverStream: async function* () {},
    clientStream: async () => ({}),
  });
  const credentials = ServerCredentials.createSsl(ca, [{ cert_chain, private_key }], true);
  const port = await server.listen("127.0.0.1:0", credentials);
  const tls = { ca, cert: await file("client.pem"), key: await file("client.key") };
  for (let i = 0; i < 2; i++) {
    const connection = new Connection(`127.0.0.1:${port}`, { tls, retry: false });
    await serviceClient(connection, EchoService).unary({});
    connection.close();
  }
  await server.drain(0);
  expect(callers).toEqual([callers[0], callers[0]]);
  expect(callers[0]).toMatch(/^certificate:([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
});
