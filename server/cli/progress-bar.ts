// Shows how far a transfer is: a bar that redraws itself on a terminal, four lines elsewhere. It must never know what is
// being transferred.
import type { Output } from "./command.ts";
import { duration, printable, size } from "./words.ts";

export class ProgressBar {
  readonly #out: Output;
  readonly #label: string;
  readonly #now: () => number;
  readonly #started: number;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #quarter = 0;

  /** @param options.now milliseconds from any origin; performance.now when absent */
  constructor(out: Output, label: string, options: { now?: () => number } = {}) {
    this.#out = out;
    this.#label = label;
    this.#now = options.now ?? (() => performance.now());
    this.#started = this.#now();
  }

  /** Milliseconds since it was made. */
  get elapsedMs(): number {
    return this.#now() - this.#started;
  }

  /** @param what the file that is being worked on */
  update(done: number, total: number, what: string): void {
    const share = total === 0 ? 1 : done / total;
    if (!this.#out.isTTY) {
      const quarter = Math.floor(share * 4);
      if (quarter > this.#quarter) this.#out.write(`${this.#label} ${quarter * 25}% of ${size(total)}\n`);
      this.#quarter = Math.max(quarter, this.#quarter);
      return;
    }
    // Ten times a second is fluent, and costs nothing beside the transfer.
    if (share < 1 && this.#now() - this.#drawnAt < 100) return;
    this.#drawnAt = this.#now();
    const filled = Math.round(share * 24);
    const bar = "█".repeat(filled) + "░".repeat(24 - filled);
    const speed = `${size(done / Math.max(0.001, this.elapsedMs / 1_000))}/s`;
    const line = `${this.#label} ${bar} ${Math.floor(share * 100)}%  ${size(done)} of ${size(total)}  ${speed}  `;
    // Longer than the terminal is wide, it would wrap, and only its last line be wiped.
    this.#out.write(`\r\u001b[2K${`${line}${printable(what)}`.slice(0, (this.#out.columns || 80) - 1)}`);
  }

  /** Wipes the bar, so that what is printed next stands alone. */
  clear(): void {
    if (this.#out.isTTY && this.#drawnAt !== Number.NEGATIVE_INFINITY) this.#out.write("\r\u001b[2K");
  }

  /** "in 0.41 s". */
  get took(): string {
    return `in ${duration(this.elapsedMs)}`;
  }
}
