// How many bytes a client may send ahead of the server's reading. It must never know what is sent.
import type { EventEmitter } from "node:events";
import type { ServerHttp2Session } from "node:http2";
import type { Server, ServerCredentials } from "@grpc/grpc-js";

/** Of one call. A slow handler holds up to so many bytes of what was sent to it. */
const CALL_BYTES = 2 << 20;

/** Of all calls on a connection: a call that is not read must leave room for others. */
const CONNECTION_BYTES = 16 << 20;

/**
 * Widens HTTP/2's receive windows. With Node's 64 KiB a sender waits for the server's event loop after every 64 KiB, which
 * halves the speed of a large upload on an idle machine, and does far worse on a busy one.
 *
 * grpc-js 1.14 has an option for it on its client only (grpc-node.flow_control_window), so this goes by a method that it
 * keeps to itself; where that is not there, the windows stay as they are. Before the server is bound.
 */
export function widenReceiveWindows(server: Server): void {
  const inner = server as unknown as { createHttp2Server?: (credentials: ServerCredentials) => EventEmitter };
  const create = inner.createHttp2Server?.bind(server);
  if (!create) return;
  inner.createHttp2Server = (credentials) => {
    const http2 = create(credentials);
    http2.on("session", (session: ServerHttp2Session) => {
      session.settings({ initialWindowSize: CALL_BYTES });
      session.setLocalWindowSize(CONNECTION_BYTES);
    });
    return http2;
  };
}
