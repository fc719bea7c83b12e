// Who looks on while calls are answered: metrics, traces. A watcher sees calls of services that the server carries and
// nothing else, so that what it counts by method stays few. It must never change what a call does, nor throw.
import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Metadata } from "@grpc/grpc-js";
import type { ApiError } from "@modelwire/proto";

export interface WatchedCall {
  readonly method: DescMethod;
  readonly requestId: string;
  readonly metadata: Metadata;
  /** The other end's address. */
  readonly peer: string;
}

export interface CallWatch {
  /** A message came and could be read. */
  request(message: Message): void;
  /** A message goes out. */
  response(message: Message): void;
  /** The last that is told. @param error what it ended with; undefined when all went well */
  end(error: ApiError | undefined): void;
}

export interface CallWatcher {
  start(call: WatchedCall): CallWatch;
}

/** All of them as one. */
export function together(watchers: readonly CallWatcher[]): CallWatcher {
  return {
    start(call) {
      const watches = watchers.map((watcher) => watcher.start(call));
      return {
        request: (message) => watches.forEach((watch) => void watch.request(message)),
        response: (message) => watches.forEach((watch) => void watch.response(message)),
        end: (error) => watches.forEach((watch) => void watch.end(error)),
      };
    },
  };
}
