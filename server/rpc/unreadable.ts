// A request that cannot be decoded is the caller's mistake. grpc-js would end the call as INTERNAL and tell nobody, so it
// is handed on as a value, and thrown where the call has its context, its log line and its error details. So is a large
// request that is to wait before it is decoded.
import type { ServiceDefinition } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import type { Turns } from "./turns.ts";

class Unreadable {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

/** A large request, not decoded yet. */
class Undecoded {
  readonly bytes: Buffer;
  readonly decode: (bytes: Buffer) => unknown;
  constructor(bytes: Buffer, decode: (bytes: Buffer) => unknown) {
    this.bytes = bytes;
    this.decode = decode;
  }
}

/** Requests up to this size are decoded at once. */
const SMALL_BYTES = 64 << 10;

/** The same service, whose requests may come out as what only {@link readable} and {@link withRequest} understand. */
export function withUnreadable(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const decode = (bytes: Buffer): unknown => {
        try {
          return method.requestDeserialize(bytes);
        } catch (error) {
          return new Unreadable(error);
        }
      };
      // A stream's messages come one at a time as it is.
      const requestDeserialize = (bytes: Buffer): unknown =>
        method.requestStream || bytes.length <= SMALL_BYTES ? decode(bytes) : new Undecoded(bytes, decode);
      return [name, { ...method, requestDeserialize }];
    }),
  );
}

/**
 * Does `work` on a request; a large one waits for its turn, and is decoded then. `work` may give the turn back before it
 * is through, when it has made of the request what it needs.
 * @throws ApiError INVALID_FIELD for a request that could not be decoded.
 */
export async function withRequest<T>(
  request: T,
  turns: Turns,
  signal: AbortSignal,
  work: (request: T, giveBack: () => void) => Promise<void>,
): Promise<void> {
  if (!(request instanceof Undecoded)) return await work(readable(request), () => {});
  const giveBack = await turns.take(request.bytes.length, signal);
  try {
    await work(readable(request.decode(request.bytes) as T), giveBack);
  } finally {
    giveBack();
  }
}

/** @throws ApiError INVALID_FIELD for a request that could not be decoded. */
export function readable<T>(request: T): T {
  if (!(request instanceof Unreadable)) return request;
  const { error } = request;
  const why = error instanceof Error ? error.message : String(error);
  throw new ApiError("INVALID_FIELD", `the request cannot be decoded: ${why}`, { cause: error });
}
