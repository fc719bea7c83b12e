// Names that a generated file may declare, and texts in it: whatever a model's author called things, neither can end where
// it should not. It must never know what is being named.

/** Gives names that are not taken yet. */
export class Names {
  readonly #taken: Set<string>;
  readonly #key: (name: string) => string;
  /** The number to try next, by the key of what was wanted: a hundred thousand may want the same. */
  readonly #next = new Map<string, number>();

  /** @param key two names with the same key exclude each other; the name itself when absent */
  constructor(taken: Iterable<string>, key: (name: string) => string = (name) => name) {
    this.#key = key;
    this.#taken = new Set([...taken].map(key));
  }

  /** The name, with a number behind it when it is taken. */
  take(wanted: string): string {
    const base = this.#key(wanted);
    let number = this.#next.get(base) ?? 1;
    let name = number === 1 ? wanted : `${wanted}${number}`;
    while (this.#taken.has(this.#key(name))) name = `${wanted}${++number}`;
    this.#next.set(base, number + 1);
    this.#taken.add(this.#key(name));
    return name;
  }
}

/** A string literal, in the quotes that need fewer escapes. Everything that cannot be seen is escaped. */
export function stringLiteral(text: string): string {
  const quote = count(text, '"') > count(text, "'") ? "'" : '"';
  const body = text.replace(/[\\"'\p{C}\p{DI}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (character) => {
    if (character === "\\" || character === quote) return `\\${character}`;
    if (character === '"' || character === "'") return character;
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return quote + body + quote;
}

/** How a type writes a key: as it stands where it is a word of which everything can be seen, else as a string. */
export function propertyKey(name: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) && !/\p{DI}/u.test(name) ? name : stringLiteral(name);
}

/** A text inside a block comment: on one line, in ASCII, without an end of comment, cut to a length. */
export function commentText(text: string, limit = 80): string {
  const ascii = text.replace(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
  const cut = ascii.length > limit ? `${ascii.slice(0, limit)}…` : ascii;
  return cut.replaceAll("*/", "*\\/");
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}
