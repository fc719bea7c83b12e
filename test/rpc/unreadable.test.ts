// Requests that are no message, sent past the typed client, for every kind of call.
import { Client, credentials, status } from "@grpc/grpc-js";
import { fromGrpcError } from "@modelwire/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Echo, startEcho } from "./echo.ts";

let echo: Echo;
let raw: Client;
beforeEach(async () => {
  echo = await startEcho();
  raw = new Client(`127.0.0.1:${echo.port}`, credentials.createInsecure());
});
afterEach(async () => {
  raw.close();
  await echo.close();
});

/** A field of a type that does not exist. */
const NO_MESSAGE = Buffer.from([0x0f, 0xff, 0xff]);
const [encode, decode] = [(bytes: Buffer) => bytes, (bytes: Buffer) => bytes];

const CALLS: Record<string, (fail: (error: unknown) => void) => void> = {
  unary: (fail) => void raw.makeUnaryRequest("/modelwire.test.v1.EchoService/Unary", encode, decode, NO_MESSAGE, fail),
  "server-streaming": (fail) =>
    void raw
      .makeServerStreamRequest("/modelwire.test.v1.EchoService/ServerStream", encode, decode, NO_MESSAGE)
      .on("error", fail)
      .resume(),
  "client-streaming": (fail) => {
    const call = raw.makeClientStreamRequest("/modelwire.test.v1.EchoService/ClientStream", encode, decode, fail);
    call.write(NO_MESSAGE);
    call.end();
  },
};

for (const [kind, send] of Object.entries(CALLS)) {
  test(`${kind}: what cannot be decoded is INVALID_ARGUMENT with a reason, and the server stays up`, async () => {
    const error = fromGrpcError(await new Promise(send));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(error?.message).toContain("cannot be decoded");
    expect(error?.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect((await echo.client.unary({ text: "still there" })).text).toBe("still there");
  });
}
