// How PyYAML's emitter puts one text on the page: without quotes, in single or in double quotes, folded at 80 columns.
// Follows the emitter's rules for a block context with ASCII output, which is how MLflow calls it.
import { plainKind } from "./scalar.ts";

const WIDTH = 80;
const BREAKS = "\n\u0085\u2028\u2029";
const SPACES = `\0 \t\r${BREAKS}`;
const ESCAPES: Readonly<Record<string, string>> = {
  "\0": "0",
  "\u0007": "a",
  "\b": "b",
  "\t": "t",
  "\n": "n",
  "\v": "v",
  "\f": "f",
  "\r": "r",
  "\u001b": "e",
  '"': '"',
  "\\": "\\",
  "\u0085": "N",
  "\u00a0": "_",
  "\u2028": "L",
  "\u2029": "P",
};

/** Where a text goes. */
export interface Place {
  /** Column where it begins, behind the space that separates it. */
  readonly column: number;
  /** Indentation of its further lines. */
  readonly indent: number;
  /** A key must stay on its line. */
  readonly key?: boolean;
}

/** `text` as a YAML scalar that reads as a text again. */
export function emitText(text: string, place: Place): string {
  const chars = Array.from(text);
  const form = analyse(chars);
  if (form.plain && plainKind(text) === "text" && !(place.key && text === "")) return fold(chars, place, "");
  if (form.single && !(place.key && form.multiline)) return fold(chars, place, "'");
  return doubleQuoted(chars, place);
}

/** `text`, which reads as what it stands for, without quotes. */
export function foldPlain(text: string, place: Place): string {
  return fold(Array.from(text), place, "");
}

/** Which forms may hold a text. */
function analyse(chars: readonly string[]): { plain: boolean; single: boolean; multiline: boolean } {
  const text = chars.join("");
  if (text === "") return { plain: true, single: true, multiline: false };
  const first = chars[0]!;
  const isBreak = (char: string | undefined) => char !== undefined && BREAKS.includes(char);
  const isSpace = (char: string | undefined) => char === undefined || SPACES.includes(char);
  let indicator = /^(---|\.\.\.)/.test(text) || "#,[]{}&*!|>'\"%@`".includes(first);
  let spaceBreak = false;
  let breakSpace = false;
  let multiline = false;
  let special = false;
  chars.forEach((char, index) => {
    const previous = chars[index - 1];
    const next = chars[index + 1];
    if (index === 0) indicator ||= "?:-".includes(char) && isSpace(next);
    else indicator ||= (char === ":" && isSpace(next)) || (char === "#" && isSpace(previous));
    multiline ||= isBreak(char);
    special ||= char !== "\n" && !(char >= " " && char <= "~");
    breakSpace ||= char === " " && isBreak(previous);
    spaceBreak ||= isBreak(char) && previous === " ";
  });
  const last = chars.at(-1)!;
  const edge = first === " " || last === " " || isBreak(first) || isBreak(last);
  const awkward = spaceBreak || special || breakSpace;
  return { plain: !(edge || awkward || multiline || indicator), single: !awkward, multiline };
}

/** Plain or single-quoted: a line ends at a single space when it has become longer than the width. */
function fold(chars: readonly string[], { column, indent, key }: Place, quote: "" | "'"): string {
  const newLine = `\n${" ".repeat(indent)}`;
  let out = quote;
  let at = column + quote.length;
  for (let index = 0; index < chars.length; ) {
    const run = runLength(chars, index);
    const piece = chars.slice(index, index + run).join("");
    const end = index + run;
    if (piece.startsWith("\n")) {
      out += `\n${piece}${" ".repeat(indent)}`;
      at = indent;
    } else if (piece === " " && at > WIDTH && !key && index > 0 && end < chars.length) {
      out += newLine;
      at = indent;
    } else {
      const written = quote ? piece.replaceAll("'", "''") : piece;
      out += written;
      at += written.length;
    }
    index = end;
  }
  return out + quote;
}

/** How many of the characters from `start` on are spaces, line breaks, or neither. */
function runLength(chars: readonly string[], start: number): number {
  const kind = (char: string) => (char === " " || char === "\n" ? char : "");
  let end = start + 1;
  while (end < chars.length && kind(chars[end]!) === kind(chars[start]!)) end++;
  return end - start;
}

function doubleQuoted(chars: readonly string[], { column, indent, key }: Place): string {
  const newLine = `\n${" ".repeat(indent)}`;
  let out = '"';
  let at = column + 1;
  let start = 0;
  const put = (text: string) => {
    out += text;
    at += text.length;
  };
  for (let end = 0; end <= chars.length; end++) {
    const char = chars[end];
    if (char === undefined || char === '"' || char === "\\" || char < " " || char > "~") {
      put(chars.slice(start, end).join(""));
      start = end;
      if (char !== undefined) {
        put(escapeOf(char));
        start = end + 1;
      }
    }
    const within = end > 0 && end < chars.length - 1;
    if (within && (char === " " || start >= end) && at + (end - start) > WIDTH && !key) {
      put(`${chars.slice(start, end).join("")}\\`);
      if (start < end) start = end;
      out += newLine;
      at = indent;
      if (chars[start] === " ") put("\\");
    }
  }
  return `${out}"`;
}

function escapeOf(char: string): string {
  const short = ESCAPES[char];
  if (short !== undefined) return `\\${short}`;
  const code = char.codePointAt(0)!;
  const hex = code.toString(16).toUpperCase();
  if (code <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
