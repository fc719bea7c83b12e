// What tells callers apart.
import { expect, test } from "vitest";
import { callerOf } from "../../server/rpc/context.ts";

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
