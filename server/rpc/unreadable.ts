// A request that cannot be decoded is the caller's mistake. grpc-js would end the call as INTERNAL and tell nobody, so it
// is handed on as a value, and thrown where the call has its context, its log line and its error details.
import type { ServiceDefinition } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";

class Unreadable {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

/** The same service, whose requests may come out as what only {@link readable} understands. */
export function withUnreadable(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          return method.requestDeserialize(bytes);
        } catch (error) {
          return new Unreadable(error);
        }
      };
      return [name, { ...method, requestDeserialize }];
    }),
  );
}

/** @throws ApiError INVALID_FIELD for a request that could not be decoded. */
export function readable<T>(request: T): T {
  if (!(request instanceof Unreadable)) return request;
  const { error } = request;
  const why = error instanceof Error ? error.message : String(error);
  throw new ApiError("INVALID_FIELD", `the request cannot be decoded: ${why}`, { cause: error });
}
