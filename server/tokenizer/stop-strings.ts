// Finds stop strings in text that comes in pieces. Nothing that may turn out to belong to one is given out, and nothing
// more than that is held back. The result does not depend on how the text was cut.

export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** The text that is certain now. With several stop strings the one that is complete first ends the text. */
  push(text: string): { text: string; stop?: string } {
    const known = this.#held + text;
    let found: { start: number; end: number; stop: string } | undefined;
    for (const stop of this.#stops) {
      const start = known.indexOf(stop);
      const end = start + stop.length;
      if (start < 0 || (found && (end > found.end || (end === found.end && start > found.start)))) continue;
      found = { start, end, stop };
    }
    if (found) {
      this.#held = "";
      return { text: known.slice(0, found.start), stop: found.stop };
    }
    const kept = this.#beginning(known);
    this.#held = known.slice(known.length - kept);
    return { text: known.slice(0, known.length - kept) };
  }

  /** What was held back, when no more text comes. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  /** Length of the longest ending of `text` that a stop string begins with. */
  #beginning(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (stop.startsWith(text.slice(text.length - length))) longest = length;
      }
    }
    return longest;
  }
}
