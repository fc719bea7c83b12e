// Large requests wait for their turn before they are decoded: a few megabytes of small messages become a hundred times
// as much in memory, and many of them at once would end the process. It must never know what a request says.

interface Waiter {
  readonly bytes: number;
  start(): void;
}

export class Turns {
  readonly #bytes: number;
  #taken = 0;
  readonly #waiting: Waiter[] = [];

  /** @param bytes How many bytes of requests go on at a time; a request that is larger goes alone. */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /**
   * Waits, first come first served, until `bytes` more may go on.
   * @returns what gives them back; a second call does nothing
   * @throws the signal's reason
   */
  take(bytes: number, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason);
        this.#startNext();
      };
      const waiter: Waiter = {
        bytes: Math.min(bytes, this.#bytes),
        start: () => {
          signal.removeEventListener("abort", leave);
          let given = false;
          resolve(() => {
            if (given) return;
            given = true;
            // What came in the meantime, a health check for one, goes first.
            setImmediate(() => {
              this.#taken -= waiter.bytes;
              this.#startNext();
            });
          });
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(waiter);
      this.#startNext();
    });
  }

  #startNext(): void {
    for (let first = this.#waiting[0]; first && this.#taken + first.bytes <= this.#bytes; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#taken += first.bytes;
      first.start();
    }
  }
}
