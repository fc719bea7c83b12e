// The newest value of something that changes, for a reader at its own pace. It must never know what the value means.

/** Put values in as they come; iterate to get them. What a slow reader has not taken is replaced by what is newer. */
export class Latest<T> implements AsyncIterable<T> {
  #value: { readonly is: T } | undefined;
  #ended = false;
  #wake: () => void = () => {};

  put(value: T): void {
    this.#value = { is: value };
    this.#wake();
  }

  /** The iteration ends, behind the last value, when `work` is done or has failed. */
  endWith(work: Promise<unknown>): void {
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    work.then(end, end);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const next = this.#value;
      this.#value = undefined;
      if (next) yield next.is;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
