// The tokens that a tokenizer.json lists beside its vocabulary: control tokens such as the end of a turn, and plain
// additions to the vocabulary. Finds them in text, and shields control tokens that are written in somebody's message.

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** White space on this side of the token belongs to it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for in normalised text. */
  readonly normalized: boolean;
  /** Never produced by a user's text, and never shown in an answer. */
  readonly control: boolean;
}

// Control tokens that some files do not mark as special: <|...|>, <s>, </s>, <unk>, <pad>, <bos>, <eos>.
const controlForm = /^<(\|.*\||\/?s|unk|pad|bos|eos)>$/;

export function isControl(token: { content: string; special: boolean }, named: ReadonlySet<string>): boolean {
  return token.special || named.has(token.content) || controlForm.test(token.content);
}

/** Finds tokens in text: leftmost first, of those that begin together the longest, as Hugging Face does. */
export class TokenFinder {
  readonly #byFirst = new Map<string, AddedToken[]>();

  constructor(tokens: Iterable<AddedToken>) {
    for (const token of tokens) {
      if (token.content === "") continue;
      const list = this.#byFirst.get(token.content[0]!) ?? [];
      list.push(token);
      this.#byFirst.set(token.content[0]!, list);
    }
    for (const list of this.#byFirst.values()) list.sort((a, b) => b.content.length - a.content.length);
  }

  at(text: string, index: number): AddedToken | undefined {
    return this.#byFirst.get(text[index]!)?.find((token) => text.startsWith(token.content, index));
  }

  /** Text and tokens in turn; white space that belongs to a token is gone. Empty texts are left out. */
  split(text: string): (string | AddedToken)[] {
    const parts: (string | AddedToken)[] = [];
    let start = 0;
    for (let i = 0; i < text.length; ) {
      const token = this.at(text, i);
      if (!token) {
        i++;
        continue;
      }
      if (i > start) parts.push(text.slice(start, i));
      parts.push(token);
      i += token.content.length;
      start = i;
    }
    if (start < text.length) parts.push(text.slice(start));
    for (const [i, part] of parts.entries()) {
      if (typeof part === "string") continue;
      const [before, after] = [parts[i - 1], parts[i + 1]];
      if (part.lstrip && typeof before === "string") parts[i - 1] = before.trimEnd();
      if (part.rstrip && typeof after === "string") parts[i + 1] = after.trimStart();
    }
    return parts;
  }

  /**
   * The text with `mark` inside every token, and behind an ending that a following text could complete to one, so that
   * no token is found in it wherever it is pasted. Taking out every mark gives the text back.
   */
  shield(text: string, mark: string): string {
    let shielded = "";
    let copied = 0;
    for (let i = 0; i < text.length; i++) {
      if (!this.at(text, i)) continue;
      shielded += text.slice(copied, i + 1) + mark;
      copied = i + 1;
    }
    shielded += text.slice(copied);
    return this.#endsInPart(text) ? shielded + mark : shielded;
  }

  #endsInPart(text: string): boolean {
    for (const tokens of this.#byFirst.values()) {
      for (const { content } of tokens) {
        for (let length = Math.min(content.length - 1, text.length); length > 0; length--) {
          if (text.endsWith(content.slice(0, length))) return true;
        }
      }
    }
    return false;
  }
}
