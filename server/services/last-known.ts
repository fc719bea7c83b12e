// A value that somebody else tells, who may be busy: asked for each time, and when no answer comes in time, the last one with
// its age. It must never know what the value means.

export interface Known<T> {
  readonly value: T;
  /** How old it is, in milliseconds; 0 for one that was told just now. */
  readonly ageMs: number;
}

export class LastKnown<T> {
  readonly #ask: () => Promise<T>;
  readonly #patienceMs: number;
  #last: { readonly value: T; readonly atMs: number };
  #asking: Promise<void> | undefined;

  /**
   * @param ask a failure counts as no answer
   * @param first what is known before the first answer
   * @param patienceMs how long an answer is waited for
   */
  constructor(ask: () => Promise<T>, first: T, patienceMs: number) {
    this.#ask = ask;
    this.#patienceMs = patienceMs;
    this.#last = { value: first, atMs: performance.now() };
  }

  async get(): Promise<Known<T>> {
    const asked = performance.now();
    // One question at a time, however many want to know.
    this.#asking ??= this.#ask()
      .then(
        (value) => {
          this.#last = { value, atMs: performance.now() };
        },
        () => {},
      )
      .finally(() => {
        this.#asking = undefined;
      });
    let patience: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      patience = setTimeout(resolve, this.#patienceMs);
    });
    await Promise.race([this.#asking, waited]);
    clearTimeout(patience);
    const { value, atMs } = this.#last;
    return { value, ageMs: Math.max(0, asked - atMs) };
  }
}
