// What a caller may say about one call, whatever the method is. It must never know how a call is carried out.
import { Metadata } from "@grpc/grpc-js";

/** gRPC metadata, or plain text values by key. Keys are lower case; a key that ends in `-bin` takes bytes. */
export type MetadataInit = Metadata | Readonly<Record<string, string | Uint8Array>>;

export interface CallOptions {
  /** Aborting it cancels the call: it ends with CANCELLED, and the signal's reason is the error's `cause`. */
  signal?: AbortSignal;
  /** Most milliseconds for the whole call, retries included; then it ends with DEADLINE_EXCEEDED. The server is told too. */
  timeoutMs?: number;
  /** Sent with the call; a key given here replaces the client's own. */
  metadata?: MetadataInit;
  /** Called with the server's response headers. An error thrown here ends the call with that error. */
  onHeader?(header: Metadata): void;
  /** Called with the server's trailers, also when the call fails. An error thrown here ends the call with that error. */
  onTrailer?(trailer: Metadata): void;
}

/** A new Metadata with everything of both; where they share a key, `own` wins. */
export function joinMetadata(base: MetadataInit | undefined, own: MetadataInit | undefined): Metadata {
  const joined = toMetadata(base);
  const added = toMetadata(own);
  for (const key of Object.keys(added.getMap())) {
    joined.remove(key);
    for (const value of added.get(key)) joined.add(key, value);
  }
  return joined;
}

function toMetadata(init: MetadataInit = {}): Metadata {
  if (init instanceof Metadata) return init.clone();
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(init)) {
    metadata.set(key, typeof value === "string" ? value : Buffer.from(value));
  }
  return metadata;
}
