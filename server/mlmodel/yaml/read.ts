// A YAML file as PyYAML's safe_load reads it. The parser finds the structure; what a scalar without quotes means is
// decided by scalar.ts. Whatever the text is, it takes bounded time and memory, and makes nothing but plain data.
import { ApiError } from "@modelwire/proto";
import {
  type Alias,
  Composer,
  type CST,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  Parser,
  Scalar,
  type YAMLMap,
} from "yaml";
import { type PlainKind, plainKind, plainValue } from "./scalar.ts";
import {
  isYamlKey,
  isYamlMap,
  YamlFloat,
  type YamlKey,
  YamlPairs,
  YamlSet,
  YamlTimestamp,
  type YamlValue,
} from "./value.ts";

/** Of a text, in characters; and of all its values together, where an alias counts as what it stands for. */
const MAX_CHARS = 16 * 1024 * 1024;

/** Words, marks, line breaks and comments. */
const MAX_TOKENS = 1_000_000;

/** An alias counts as what it stands for: a small file may otherwise unfold into gigabytes. */
const MAX_VALUES = 250_000;

/** Collections within collections. */
const MAX_DEPTH = 200;

const TAGS: ReadonlyMap<string, PlainKind | "seq" | "map" | "set" | "binary"> = new Map(
  (
    [
      ["str", "text"],
      ["int", "int"],
      ["float", "float"],
      ["bool", "bool"],
      ["null", "null"],
      ["timestamp", "timestamp"],
      ["seq", "seq"],
      ["map", "map"],
      ["set", "set"],
      ["binary", "binary"],
    ] as const
  ).map(([name, kind]) => [`tag:yaml.org,2002:${name}`, kind]),
);

/**
 * A collection that aliases name again is one object wherever it appears, as in Python.
 *
 * @param name Of the file, for errors.
 * @throws ApiError MODEL_INVALID with the line of the first mistake.
 */
export function readYaml(text: string, name: string): YamlValue {
  // Python opens text files with any line ends, and in YAML a byte order mark may go first.
  const source = text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
  try {
    return new Construction().value(rootOf(source));
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    const line = source.slice(0, error.offset).split("\n").length;
    throw new ApiError("MODEL_INVALID", `${name} is no YAML that can be read: line ${line}: ${error.message}`);
  }
}

class Mistake extends Error {
  /** Where in the text. */
  readonly offset: number;

  constructor(message: string, offset = 0) {
    super(message);
    this.offset = offset;
  }
}

function rootOf(source: string): Node | null {
  if (source.length > MAX_CHARS) throw new Mistake(`the file has more than ${MAX_CHARS} characters`);
  const unprintable = /[^\t\n -~\u0085\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.exec(source);
  if (unprintable) throw new Mistake("a character that cannot be printed", unprintable.index);
  const composer = new Composer({ version: "1.1", schema: "failsafe", merge: false, uniqueKeys: false });
  // The composer gathers mistakes, each with a stack; a hostile text has a million of them. Should a later release of the
  // library not go by this, the check below still holds.
  Object.assign(composer, { onError: stopAtMistake() });
  const [document, next] = composer.compose(tokensOf(source));
  const error = document?.errors[0];
  if (error) throw new Mistake(error.message, error.pos[0]);
  if (next) throw new Mistake("a second document begins", next.range[0]);
  return document?.contents ?? null;
}

type Source = number | readonly number[] | { readonly offset: number };

/** The composer catches what is thrown, and reports it for each collection around: the first one is what counts. */
function stopAtMistake() {
  let first: Mistake | undefined;
  return (source: Source, _code: string, message: string, isWarning = false) => {
    if (isWarning) return;
    const offset = typeof source === "number" ? source : "offset" in source ? source.offset : source[0];
    first ??= new Mistake(message, offset);
    throw first;
  };
}

/** The parser keeps a stack of its own: depth is measured here, before anything recursive sees the tokens. */
function tokensOf(source: string): CST.Token[] {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let count = 0;
  for (const lexeme of new Lexer().lex(source)) {
    if (++count > MAX_TOKENS) throw new Mistake(`the file has more than ${MAX_TOKENS} words and marks`, parser.offset);
    if (/^[ \t]*\t[ \t]*$/.test(lexeme)) throw new Mistake("a tab stands where only spaces may", parser.offset);
    tokens.push(...parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH)
      throw new Mistake(`more than ${MAX_DEPTH} collections within each other`, parser.offset);
  }
  tokens.push(...parser.end());
  return tokens;
}

interface Anchored {
  readonly value: YamlValue;
  /** What it adds wherever an alias names it. */
  readonly values: number;
  readonly chars: number;
}

/** Makes values of nodes, in the order of the text. */
class Construction {
  #values = 0;
  #chars = 0;
  /** null while the value is being made. */
  readonly #anchors = new Map<string, Anchored | null>();

  /** @throws Mistake */
  value(node: Node | null): YamlValue {
    this.#count(1, 0, node);
    if (node === null) return null;
    if (isAlias(node)) return this.#alias(node);
    const { anchor } = node;
    if (anchor === undefined) return this.#made(node);
    if (!/^[\w-]+$/.test(anchor)) throw new Mistake(`${anchor} cannot be an anchor`, offsetOf(node));
    if (this.#anchors.has(anchor)) throw new Mistake(`the anchor ${anchor} is set twice`, offsetOf(node));
    this.#anchors.set(anchor, null);
    const [values, chars] = [this.#values, this.#chars];
    const value = this.#made(node);
    this.#anchors.set(anchor, { value, values: this.#values - values, chars: this.#chars - chars });
    return value;
  }

  #alias(node: Alias): YamlValue {
    const found = this.#anchors.get(node.source);
    if (found === undefined) throw new Mistake(`there is no anchor ${node.source}`, offsetOf(node));
    if (found === null) throw new Mistake(`what the anchor ${node.source} names holds itself`, offsetOf(node));
    this.#count(found.values, found.chars, node);
    return found.value;
  }

  #made(node: Exclude<Node, Alias>): YamlValue {
    const kind = node.tag === undefined || node.tag === "!" ? undefined : TAGS.get(node.tag);
    if (kind === undefined && node.tag !== undefined && node.tag !== "!")
      throw new Mistake(`the tag ${node.tag} is none of plain data's`, offsetOf(node));
    if (kind === "binary" && isScalar(node)) return this.#bytes(node);
    if (isScalar(node) && kind !== "seq" && kind !== "map" && kind !== "set" && kind !== "binary")
      return this.#scalar(node, kind);
    if (isSeq(node) && (kind === undefined || kind === "seq"))
      return node.items.map((item) => this.value(item as Node | null));
    if (isMap(node) && kind === "set") return new YamlSet(this.#entries(node).map(([key]) => key));
    if (isMap(node) && (kind === undefined || kind === "map")) return this.#map(node);
    throw new Mistake(`the tag ${node.tag} is for something else`, offsetOf(node));
  }

  #scalar(node: Scalar, kind: PlainKind | undefined): YamlKey {
    const text = textOf(node);
    this.#count(0, text.length, node);
    if (isPlain(node) && text.includes("\t")) throw new Mistake("a tab in a text without quotes", offsetOf(node));
    try {
      return plainValue(text, kind ?? (isPlain(node) || node.tag === "!" ? plainKind(text) : "text"));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new Mistake(`${text.slice(0, 80)}: ${error.message}`, offsetOf(node));
    }
  }

  #bytes(node: Scalar): Uint8Array {
    // Python passes over whatever else stands between.
    const base64 = textOf(node).replace(/[^A-Za-z0-9+/=\u0080-\uffff]/g, "");
    this.#count(0, base64.length, node);
    if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))
      throw new Mistake("it is no base64", offsetOf(node));
    return Buffer.from(base64, "base64");
  }

  #map(node: YAMLMap): YamlValue {
    const pairs = this.#entries(node);
    if (!pairs.every((pair): pair is [string, YamlValue] => typeof pair[0] === "string")) return new YamlPairs(pairs);
    const map: Record<string, YamlValue> = Object.create(null);
    for (const [key, value] of pairs) map[key] = value;
    return map;
  }

  /** Of two entries with one key the later counts; what is merged in counts before all of the map's own. */
  #entries(node: YAMLMap): Entry[] {
    const merged = new Map<unknown, Entry>();
    const own = new Map<unknown, Entry>();
    for (const { key, value } of node.items as { key: Node | null; value: Node | null }[]) {
      if (isScalar(key) && key.value === "<<" && isPlain(key) && key.tag === undefined)
        for (const entry of this.#merge(value)) put(merged, entry);
      else put(own, [this.#key(key), this.value(value)]);
    }
    for (const entry of own.values()) put(merged, entry);
    return [...merged.values()];
  }

  #key(node: Node | null): YamlKey {
    if (isScalar(node) && node.value === "=" && isPlain(node)) return "=";
    const key = this.value(node);
    if (isYamlKey(key) && !(isScalar(node) && node.source === "" && isPlain(node))) return key;
    throw new Mistake("a key must be a text, a number or the like", offsetOf(node));
  }

  /** Of a list of maps the first counts most. */
  #merge(node: Node | null): Entry[] {
    const value = this.value(node);
    const maps = Array.isArray(value) ? [...(value as readonly YamlValue[])].reverse() : [value];
    return maps.flatMap((map): Entry[] => {
      if (map instanceof YamlPairs) return [...map.pairs];
      if (isYamlMap(map)) return Object.entries(map) as [string, YamlValue][];
      throw new Mistake("<< merges a map or a list of maps", offsetOf(node));
    });
  }

  #count(values: number, chars: number, node: Node | null): void {
    this.#values += values;
    this.#chars += chars;
    if (this.#values > MAX_VALUES) throw new Mistake(`it unfolds into more than ${MAX_VALUES} values`, offsetOf(node));
    if (this.#chars > MAX_CHARS) throw new Mistake(`it unfolds into more than ${MAX_CHARS} characters`, offsetOf(node));
  }
}

type Entry = readonly [YamlKey, YamlValue];

function textOf(node: Scalar): string {
  return typeof node.value === "string" ? node.value : (node.source ?? "");
}

function isPlain(node: Scalar): boolean {
  return node.type === undefined || node.type === Scalar.PLAIN;
}

/** The first spelling of a key stays, as in Python: 1 behind which 1.0 comes. */
function put(entries: Map<unknown, Entry>, [key, value]: Entry): void {
  const id = identity(key);
  entries.set(id, [entries.get(id)?.[0] ?? key, value]);
}

/** To Python 1, 1.0 and true are one key. */
function identity(key: YamlKey): unknown {
  if (typeof key === "boolean" || key instanceof YamlFloat) return Number(key);
  return key instanceof YamlTimestamp
    ? `timestamp ${key}`
    : key === null
      ? null
      : typeof key === "string"
        ? `text ${key}`
        : key;
}

function offsetOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}
