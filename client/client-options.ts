// What a caller may say about a client as a whole: the words only. It must never hold behaviour.
import type { ChannelCredentials, ChannelOptions } from "@grpc/grpc-js";
import type { MetadataInit } from "./call-options.ts";
import type { RetryPolicy } from "./retry.ts";

/** PEM files' contents, as text or bytes. */
export interface TlsOptions {
  /** Certificates of the authorities to trust; absent means those that Node.js trusts. */
  ca?: string | Uint8Array;
  /** The client's own certificate chain, for servers that ask for one. Together with `key`. */
  cert?: string | Uint8Array;
  /** The private key of `cert`. */
  key?: string | Uint8Array;
}

export interface ClientOptions {
  /** `true` for TLS with the authorities that Node.js trusts. */
  tls?: boolean | TlsOptions;
  /** Allows plain text to an address that is not this machine. Loopback and unix addresses need no permission. */
  insecure?: boolean;
  /** Ready-made credentials of grpc-js, in place of `tls` and `insecure`. */
  credentials?: ChannelCredentials;
  /** Sent with every call, such as an `authorization` entry. */
  metadata?: MetadataInit;
  /** Most milliseconds for each unary call that says nothing itself. Streams have none of their own accord. */
  timeoutMs?: number;
  /** How calls without side effects are tried again when the server is UNAVAILABLE, and others if that is allowed; `false` turns it off. */
  retry?: false | Partial<RetryPolicy>;
  /** Pings while calls run, so that a dead connection is noticed: every 30 s, answered within 10 s; `false` turns it off. */
  keepalive?: false | { timeMs?: number; timeoutMs?: number };
  /** Largest message taken, in bytes; 64 MiB when absent. */
  maxReceiveBytes?: number;
  /** Largest message sent, in bytes; 64 MiB when absent. */
  maxSendBytes?: number;
  /** Put before the client's own user agent, as `my-app/1.2`. */
  userAgent?: string;
  /** Options of the grpc-js channel; they win over all of the above. */
  channelOptions?: ChannelOptions;
}
