// Cuts a text where no merge of a byte-pair vocabulary can reach across, so that each part can be merged by itself with
// the same result. A tokenizer without a pre-tokenizer would otherwise merge a whole document as one word.

/** Pairs of neighbouring code points that stand together in some token. */
export class WordCuts {
  readonly #joined: ReadonlySet<number>;

  /** @param tokens every token that merging can make */
  constructor(tokens: Iterable<string>) {
    const joined = new Set<number>();
    for (const token of tokens) {
      let before = -1;
      for (const character of token) {
        const code = character.codePointAt(0)!;
        if (before >= 0) joined.add(pair(before, code));
        before = code;
      }
    }
    this.#joined = joined;
  }

  /** The parts of a text; together they are the text. */
  split(text: string): string[] {
    const parts: string[] = [];
    let start = 0;
    let before = -1;
    for (let i = 0; i < text.length; ) {
      const code = text.codePointAt(i)!;
      if (before >= 0 && !this.#joined.has(pair(before, code))) {
        parts.push(text.slice(start, i));
        start = i;
      }
      before = code;
      i += code > 0xffff ? 2 : 1;
    }
    if (start < text.length) parts.push(text.slice(start));
    return parts;
  }
}

const pair = (before: number, after: number) => before * 0x110000 + after;
