// SHA-256 on a thread of its own: a large upload would otherwise keep the server's event loop, and every answer that it
// streams, waiting. It must never know what the bytes are for.
import { Worker } from "node:worker_threads";

/** The digest of bytes that come one after the other. */
export interface HashStream {
  /** @param bytes Memory that is shared between threads. To be left alone until this resolves. */
  update(bytes: Uint8Array): Promise<void>;
  /** Takes the bytes of a file, from its beginning, and gives its length. A link is not followed. */
  updateFile(path: string): Promise<number>;
  /** 64 lower-case hexadecimal digits, of all that was taken; the last call. */
  digest(): Promise<string>;
  /** Forgets it; to be called in any case. */
  close(): void;
}

interface Answer {
  readonly call: number;
  readonly size?: number;
  readonly hex?: string;
  readonly error?: Error;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

export class HashThread {
  #worker: Worker | undefined;
  #waiting = new Map<number, Waiting>();
  #calls = 0;
  #streams = 0;

  stream(): HashStream {
    const stream = ++this.#streams;
    return {
      update: async (bytes) => {
        await this.#ask({ stream, bytes });
      },
      updateFile: async (path) => (await this.#ask({ stream, path })).size ?? 0,
      digest: async () => (await this.#ask({ stream, end: true })).hex ?? "",
      close: () => this.#worker?.postMessage({ stream, drop: true }),
    };
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #ask(request: object): Promise<Answer> {
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      const worker = this.#start();
      if (this.#waiting.size === 0) worker.ref();
      this.#waiting.set(call, { resolve, reject });
      worker.postMessage({ call, ...request });
    });
  }

  /** The thread, started when there is none. It keeps the process alive only while somebody waits for it. */
  #start(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(`(${work.toString()})()`, { eval: true });
    this.#worker = worker;
    worker.unref();
    worker.on("message", (answer: Answer) => {
      const waiting = this.#waiting.get(answer.call);
      this.#waiting.delete(answer.call);
      if (this.#waiting.size === 0) worker.unref();
      if (answer.error) waiting?.reject(answer.error);
      else waiting?.resolve(answer);
    });
    const ended = (cause: unknown) => {
      if (this.#worker === worker) this.#worker = undefined;
      for (const { reject } of this.#waiting.values()) reject(new Error("the thread that hashes ended", { cause }));
      this.#waiting.clear();
    };
    worker.on("error", ended);
    worker.on("exit", ended);
    return worker;
  }
}

/** What the thread runs: the text of this function alone, so it may use nothing from outside of it. */
function work(): void {
  const { parentPort } = process.getBuiltinModule("node:worker_threads");
  const { createHash } = process.getBuiltinModule("node:crypto");
  const { constants } = process.getBuiltinModule("node:fs");
  const { open } = process.getBuiltinModule("node:fs/promises");
  const hashes = new Map<number, ReturnType<typeof createHash>>();
  const hashOf = (stream: number) => {
    const hash = hashes.get(stream) ?? createHash("sha256");
    hashes.set(stream, hash);
    return hash;
  };
  const takeFile = async (stream: number, path: string) => {
    const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    try {
      const buffer = Buffer.allocUnsafe(1 << 20);
      for (let size = 0; ; ) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, size);
        if (bytesRead === 0) return size;
        hashOf(stream).update(buffer.subarray(0, bytesRead));
        size += bytesRead;
      }
    } finally {
      await file.close();
    }
  };
  parentPort?.on("message", async ({ call, stream, bytes, path, drop }) => {
    try {
      if (drop) hashes.delete(stream);
      else if (bytes) {
        hashOf(stream).update(bytes);
        parentPort.postMessage({ call });
      } else if (path) parentPort.postMessage({ call, size: await takeFile(stream, path) });
      else parentPort.postMessage({ call, hex: hashOf(stream).digest("hex") });
    } catch (error) {
      parentPort.postMessage({ call, error });
    }
  });
}
