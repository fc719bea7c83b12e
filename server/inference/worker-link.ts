// A running worker seen from the main thread: requests get replies, generations get events, and when the thread ends
// everything that was waiting fails. It does not know which models are loaded.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { fromErrorData, InferenceError } from "./errors.ts";
import type { FromWorker, Replies, ToWorker } from "./messages.ts";
import type { GenerateEvent, GenerateRequest, PackingProgress } from "./types.ts";

type Request = Extract<ToWorker, { id: number; type: keyof Replies }>;
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

interface Pending {
  onProgress?(progress: PackingProgress): void;
  resolve(value: never): void;
  reject(error: unknown): void;
}

/** Events of a generation that have come and have not been taken. */
interface Inbox {
  readonly events: GenerateEvent[];
  ended: boolean;
  error: unknown;
  wake: () => void;
}

export class WorkerLink {
  /** Settles when the thread has gone, for whatever reason. */
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #inboxes = new Map<number, Inbox>();
  #nextId = 0;
  #alive = true;

  /** @throws InferenceError RUNTIME_UNAVAILABLE when the worker has not been built */
  constructor(script: URL = builtWorker()) {
    if (script.protocol === "file:" && !existsSync(script)) {
      throw new InferenceError(
        "RUNTIME_UNAVAILABLE",
        `The inference worker has not been built: ${fileURLToPath(script)} is missing. Run npm run build.`,
      );
    }
    this.#worker = new Worker(script, { name: "inference" });
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    let cause: unknown;
    this.#worker.on("error", (error) => {
      cause = error;
    });
    this.ended = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#fail(cause, code);
        resolve();
      });
    });
  }

  /**
   * @param onProgress called with what the worker tells before its reply
   * @throws InferenceError, WORKER_DIED when the thread ends first
   */
  request<T extends WithoutId<Request>>(
    message: T,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<Replies[T["type"]]> {
    return this.#request(this.#nextId++, message, [], onProgress);
  }

  /** A request that is given up when `signal` aborts. @throws as `request`; the signal's reason */
  async requestUntil<T extends WithoutId<Request>>(
    message: T,
    transfer: readonly ArrayBuffer[],
    signal: AbortSignal,
  ): Promise<Replies[T["type"]]> {
    signal.throwIfAborted();
    const id = this.#nextId++;
    const abort = () => {
      this.#pending.get(id)?.reject(signal.reason);
      this.#pending.delete(id);
      this.send({ type: "cancel", id });
    };
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await this.#request(id, message, transfer);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  send(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#alive) this.#worker.postMessage(message, transfer);
  }

  async *generate(
    request: GenerateRequest,
    credits: number,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, undefined> {
    if (!this.#alive) throw died(undefined, 0);
    const id = this.#nextId++;
    const inbox: Inbox = { events: [], ended: false, error: undefined, wake: () => {} };
    this.#inboxes.set(id, inbox);
    const abort = () => {
      inbox.error = signal.reason;
      inbox.events.length = 0;
      inbox.wake();
    };
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) throw signal.reason;
      this.send({ type: "generate", id, request, credits });
      for (;;) {
        const event = inbox.events.shift();
        if (event) {
          this.send({ type: "credit", id, credits: 1 });
          yield event;
        } else if (inbox.error !== undefined) {
          throw inbox.error;
        } else if (inbox.ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            inbox.wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener("abort", abort);
      this.#inboxes.delete(id);
      if (!inbox.ended) this.send({ type: "cancel", id });
    }
  }

  /** Asks the thread to free everything and waits until it has ended. Never terminates it: that would abort the process during a run. */
  async close(): Promise<void> {
    await this.request({ type: "close" }).catch(() => undefined);
    await this.ended;
  }

  #request<T extends WithoutId<Request>>(
    id: number,
    message: T,
    transfer: readonly ArrayBuffer[],
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<Replies[T["type"]]> {
    if (!this.#alive) return Promise.reject(died(undefined, 0));
    return new Promise<Replies[T["type"]]>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, ...(onProgress && { onProgress }) });
      this.send({ ...message, id } as Request, transfer);
    });
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "reply":
        this.#pending.get(message.id)?.resolve(message.value as never);
        this.#pending.delete(message.id);
        return;
      case "failure":
        this.#pending.get(message.id)?.reject(fromErrorData(message.error));
        this.#pending.delete(message.id);
        return;
      case "progress":
        this.#pending.get(message.id)?.onProgress?.(message.progress);
        return;
      case "event": {
        const inbox = this.#inboxes.get(message.id);
        if (!inbox || inbox.error !== undefined) return;
        inbox.events.push(message.event);
        inbox.wake();
        return;
      }
      case "end": {
        const inbox = this.#inboxes.get(message.id);
        if (!inbox) return;
        inbox.ended = true;
        inbox.error ??= message.error && fromErrorData(message.error);
        inbox.wake();
      }
    }
  }

  #fail(cause: unknown, code: number): void {
    this.#alive = false;
    const error = died(cause, code);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    for (const inbox of this.#inboxes.values()) {
      if (inbox.ended) continue;
      inbox.ended = true;
      inbox.error ??= error;
      inbox.wake();
    }
  }
}

/** Beside this file once built; in `dist` when the sources run, as under the tests. */
function builtWorker(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "../dist/inference/worker.js" : "./worker.js", import.meta.url);
}

function died(cause: unknown, code: number): InferenceError {
  const detail = cause instanceof Error ? `: ${cause.message}` : code === 0 ? "" : ` with code ${code}`;
  return new InferenceError("WORKER_DIED", `The inference thread ended${detail}. Load the model again.`, { cause });
}
