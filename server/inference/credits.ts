// Permission to send, granted by the one who reads. Its only use is to wait until there is some.

export class Credits {
  #left: number;
  #waiting: (() => void) | undefined;

  constructor(left: number) {
    this.#left = left;
  }

  grant(count: number): void {
    this.#left += count;
    this.#waiting?.();
  }

  /** Takes one, waiting for it if need be. One taker at a time. @throws the signal's reason */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#left === 0) {
      const wake = () => this.#waiting?.();
      signal.addEventListener("abort", wake, { once: true });
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
      this.#waiting = undefined;
      signal.removeEventListener("abort", wake);
      signal.throwIfAborted();
    }
    this.#left--;
  }
}
