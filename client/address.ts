// Reads a server address: is it well formed, is it this machine, and may it be spoken to in plain text? It must never
// look a name up or open a connection.
import { isIPv4 } from "node:net";
import type { ChannelCredentials } from "@grpc/grpc-js";
import { credentials } from "@grpc/grpc-js";
import { invalidFields } from "@modelwire/proto";
import type { ClientOptions } from "./client-options.ts";

/** Whether an address means this machine: a unix socket, localhost, 127.x.x.x or ::1. */
export function isLocal(address: string): boolean {
  if (/^unix(-abstract)?:/.test(address)) return true;
  return targetsOf(address).every((target) => {
    const host = hostOf(target);
    return host === "localhost" || host === "::1" || (host !== undefined && isIPv4(host) && host.startsWith("127."));
  });
}

/**
 * The credentials for an address: TLS when asked for, plain text where that is safe or allowed.
 *
 * @throws ApiError INVALID_ARGUMENT, which says what to pass instead.
 */
export function channelCredentials(address: string, options: ClientOptions): ChannelCredentials {
  const wrong = (description: string, field = "address") => invalidFields([{ field, description }]);
  if (/^[a-z]+:\/\//.test(address) && !/^(dns|ipv4|ipv6|unix|xds):/.test(address)) {
    throw wrong(`${JSON.stringify(address)} is a URL; give host and port alone, such as "127.0.0.1:50051"`);
  }
  if (!/^(unix|unix-abstract|xds):/.test(address) && !targetsOf(address).every((target) => hostOf(target))) {
    throw wrong(
      `${JSON.stringify(address)} has no host and port; write "127.0.0.1:50051", "[::1]:50051" or "unix:/path"`,
    );
  }
  if (options.credentials) return options.credentials;
  if (options.tls) {
    const { ca, cert, key } = options.tls === true ? {} : options.tls;
    if (Boolean(cert) !== Boolean(key)) throw wrong("cert and key belong together: pass both or neither", "tls");
    return credentials.createSsl(pem(ca), pem(key), pem(cert));
  }
  if (options.insecure || isLocal(address)) return credentials.createInsecure();
  throw wrong(
    `${JSON.stringify(address)} is not this machine, and plain text could be read on the way; ` +
      "pass tls: true (or tls: { ca, cert, key }), or insecure: true if the network can be trusted",
    "insecure",
  );
}

/** The host:port parts of an address, without its scheme. */
function targetsOf(address: string): string[] {
  return address.replace(/^(dns:(\/\/[^/]*\/)?|ipv4:|ipv6:)/, "").split(",");
}

/** The host of "host:port" or "[v6]:port"; undefined when one of the two is missing. */
function hostOf(target: string): string | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):\d{1,5}$/.exec(target);
  return match?.[1] ?? match?.[2];
}

function pem(value: string | Uint8Array | undefined): Buffer | null {
  return value === undefined ? null : Buffer.from(value);
}
