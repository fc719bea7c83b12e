// Token ids to text as they come: a character is given out once all its bytes are there, and what may be the beginning
// of a stop string is held back until it is known. The pieces together are the whole text, cut before the stop string.

import { StopStrings } from "./stop-strings.ts";

/** What a stream needs of a tokenizer. */
export interface TokenDecoder {
  decode(ids: readonly number[]): string;
  isHidden(id: number): boolean;
}

export interface TextPiece {
  readonly text: string;
  /** The stop string that ended the text; nothing follows it. */
  readonly stop?: string;
}

const replacement = "\uFFFD"; // what a decoder shows for bytes that are not a character (yet)
const longestWindow = 64; // tokens
const keptOfWindow = 16; // tokens; more than the bytes of any character

export class TextStream {
  readonly #tokens: TokenDecoder;
  readonly #stops: StopStrings;
  /** Ids decoded together: the last ones given out, for the context that spacing depends on, and those that are not. */
  #window: number[] = [];
  /** Characters of the decoded window that have been given out. */
  #given = 0;
  /** Where in the window the ids begin that came after the last complete character. */
  #fresh = 0;

  /** @param before ids of a text that this one goes on with: whether a space comes first depends on them */
  constructor(tokens: TokenDecoder, stops: readonly string[] = [], before: readonly number[] = []) {
    this.#tokens = tokens;
    this.#stops = new StopStrings(stops);
    this.#window = before.slice(-keptOfWindow);
    this.#fresh = this.#window.length;
    this.#given = this.#fresh === 0 ? 0 : tokens.decode(this.#window).length;
  }

  /** The text that this token completes, often none. Not after a stop. */
  push(id: number): TextPiece {
    return this.#tokens.isHidden(id) ? { text: "" } : this.#stops.push(this.#decode(id));
  }

  /** What was held back, at the end of the answer; bytes that never became a character show as U+FFFD. */
  flush(): TextPiece {
    const rest = this.#window.length === 0 ? "" : this.#tokens.decode(this.#window).slice(this.#given);
    this.#window = [];
    const piece = this.#stops.push(rest);
    return piece.stop === undefined ? { text: piece.text + this.#stops.flush() } : piece;
  }

  #decode(id: number): string {
    this.#window.push(id);
    const text = this.#tokens.decode(this.#window);
    // Only the last mark can stand for a character that is still coming; earlier ones are final.
    const unfinished = text.endsWith(replacement);
    const certain = unfinished ? text.length - replacement.length : text.length;
    const delta = certain > this.#given ? text.slice(this.#given, certain) : "";
    this.#given = Math.max(this.#given, certain);
    if (!unfinished && delta !== "") this.#restart(this.#fresh);
    else if (this.#window.length > longestWindow) this.#restart(this.#window.length - keptOfWindow);
    return delta;
  }

  /** Forgets the window before `from`, which stays as context. */
  #restart(from: number): void {
    this.#window = this.#window.slice(from);
    this.#fresh = this.#window.length;
    const text = this.#tokens.decode(this.#window);
    this.#given = text.endsWith(replacement) ? text.length - replacement.length : text.length;
  }
}
