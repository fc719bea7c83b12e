// gRPC health checking: "" is the whole server, a service's full name that service, "models:/m-…" a loaded model.
// The protocol is the grpc project's own package; here is only what it lacks: ending its streams at shutdown.
import type {
  handleServerStreamingCall,
  Server,
  ServerWritableStream,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { HealthImplementation, type ServingStatus, type service } from "grpc-health-check";

type Watch = handleServerStreamingCall<unknown, unknown>;

export class HealthService {
  readonly #health = new HealthImplementation({ "": "SERVING" });
  readonly #names = new Set([""]);
  readonly #watches = new Set<ServerWritableStream<unknown, unknown>>();

  set(name: string, status: ServingStatus): void {
    this.#names.add(name);
    this.#health.setStatus(name, status);
  }

  addTo(server: Server): void {
    this.#health.addToServer({
      addService: (definition: typeof service, implementation: UntypedServiceImplementation) =>
        server.addService(definition, { ...implementation, watch: this.#tracked(implementation.watch as Watch) }),
    } as never);
  }

  /** Tells everybody NOT_SERVING and ends the Watch streams, which would hold up a graceful shutdown for ever. */
  close(): void {
    for (const name of this.#names) this.#health.setStatus(name, "NOT_SERVING");
    for (const call of this.#watches) call.end();
  }

  #tracked(watch: Watch): Watch {
    return (call) => {
      this.#watches.add(call);
      call.on("cancelled", () => this.#watches.delete(call));
      watch(call);
    };
  }
}
