// A value as PyYAML's safe_dump writes it in block style.
import { pythonFloat } from "../data/python-json.ts";
import { emitText, foldPlain, type Place } from "./emit.ts";
import { isYamlKey, YamlFloat, type YamlKey, YamlPairs, YamlSet, YamlTimestamp, type YamlValue } from "./value.ts";

export type { YamlMap, YamlValue } from "./value.ts";

export interface YamlOptions {
  /** Keys in Python's order, as MLflow writes MLmodel and conda.yaml; false keeps theirs, as in python_env.yaml. */
  sortKeys?: boolean;
}

/** PyYAML counts a key's tag, "!!str", into the 128 characters that a key on one line may have. */
const LONGEST_KEY = 122;

/** The text of a file. Entries that are undefined are left out; an object that appears again becomes an alias. */
export function writeYaml(value: YamlValue, { sortKeys = true }: YamlOptions = {}): string {
  return `${new Writer(value, sortKeys).node(value, 0, -1).slice(1)}\n`;
}

type Entries = readonly (readonly [YamlKey, YamlValue])[];

class Writer {
  readonly #sortKeys: boolean;
  /** Number of each object that appears again, in the order of the second appearances; 0 for one seen only once. */
  readonly #anchors = new Map<object, number>();
  readonly #entries = new Map<object, Entries>();
  readonly #written = new Set<object>();

  constructor(value: YamlValue, sortKeys: boolean) {
    this.#sortKeys = sortKeys;
    let shared = 0;
    const visit = (value: YamlValue) => {
      if (!hasIdentity(value)) return;
      const seen = this.#anchors.get(value);
      if (seen !== undefined) {
        if (seen === 0) this.#anchors.set(value, ++shared);
        return;
      }
      this.#anchors.set(value, 0);
      if (isList(value)) value.forEach(visit);
      else if (!(value instanceof YamlTimestamp || value instanceof YamlSet))
        for (const [, item] of this.#entriesOf(value)) visit(item);
    };
    visit(value);
  }

  /** Begins with a line break, or with a space when it goes on the line of its key. @param column Where that ends. */
  node(value: YamlValue, indent: number, column: number): string {
    const number = hasIdentity(value) ? (this.#anchors.get(value) ?? 0) : 0;
    const name = `id${String(number).padStart(3, "0")}`;
    if (number > 0 && this.#written.has(value as object)) return ` *${name}`;
    if (number > 0) this.#written.add(value as object);
    const anchor = number > 0 ? ` &${name}` : "";
    if (isYamlKey(value)) return `${anchor} ${scalar(value, { column: column + anchor.length + 1, indent })}`;
    if (value instanceof Uint8Array) return binary(value, indent);
    return anchor + this.#block(value, indent);
  }

  #block(value: Exclude<YamlValue, YamlKey | Uint8Array>, indent: number): string {
    const pad = `\n${" ".repeat(indent)}`;
    if (value instanceof YamlSet)
      return ` !!set${this.#block(new YamlPairs(value.keys.map((key) => [key, null])), indent)}`;
    if (isList(value))
      return value.length === 0 ? " []" : value.map((item) => `${pad}-${this.#inItem(item, indent)}`).join("");
    const entries = this.#entriesOf(value);
    if (entries.length === 0) return " {}";
    return entries
      .map(([key, item]) => {
        const text = scalar(key, { column: indent, indent, key: true });
        if (isLong(key, text)) {
          const place = { column: indent + 2, indent: indent + 2 };
          return `${pad}? ${scalar(key, place)}${pad}:${this.#inItem(item, indent)}`;
        }
        // A list under a key is not indented further.
        return `${pad}${text}:${this.node(item, isList(item) ? indent : indent + 2, indent + text.length + 1)}`;
      })
      .join("");
  }

  /** Behind "-": the first line of a collection goes on that line, unless an anchor stands there. */
  #inItem(value: YamlValue, indent: number): string {
    const text = this.node(value, indent + 2, indent + 1);
    return text.startsWith("\n") ? ` ${text.slice(3 + indent)}` : text;
  }

  #entriesOf(value: Exclude<YamlValue, YamlKey | YamlSet | Uint8Array | readonly YamlValue[]>): Entries {
    const kept = this.#entries.get(value);
    if (kept) return kept;
    const entries =
      value instanceof YamlPairs
        ? value.pairs
        : Object.entries(value).filter((entry): entry is [string, YamlValue] => entry[1] !== undefined);
    const sorted = this.#sortKeys ? inPythonOrder(entries) : entries;
    this.#entries.set(value, sorted);
    return sorted;
  }
}

type Shared = Exclude<YamlValue, null | boolean | number | bigint | string | YamlFloat | Uint8Array>;

function hasIdentity(value: YamlValue): value is Shared {
  return typeof value === "object" && value !== null && !(value instanceof YamlFloat || value instanceof Uint8Array);
}

function isList(value: YamlValue): value is readonly YamlValue[] {
  return Array.isArray(value);
}

function isLong(key: YamlKey, written: string): boolean {
  if (typeof key !== "string") return written.length > LONGEST_KEY;
  return key === "" || /[\n\u0085\u2028\u2029]/.test(key) || Array.from(key).length > LONGEST_KEY;
}

function scalar(value: YamlKey, place: Place): string {
  if (typeof value === "string") return emitText(value, place);
  if (value instanceof YamlTimestamp) return foldPlain(value.text, place);
  if (value instanceof YamlFloat) return float(value.value);
  return typeof value === "number" && !Number.isSafeInteger(value) ? float(value) : String(value);
}

/** Base64 in lines of 76 characters. */
function binary(bytes: Uint8Array, indent: number): string {
  if (bytes.length === 0) return ' !!binary ""';
  const lines =
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      .toString("base64")
      .match(/.{1,76}/g) ?? [];
  return ` !!binary |${lines.map((line) => `\n${" ".repeat(indent)}${line}`).join("")}`;
}

/** Python's repr, with the dot that YAML 1.1 needs to see. */
function float(value: number): string {
  if (Number.isNaN(value)) return ".nan";
  if (!Number.isFinite(value)) return value < 0 ? "-.inf" : ".inf";
  const text = pythonFloat(value);
  return text.includes(".") ? text : text.replace("e", ".0e");
}

/** Keys that Python cannot compare with each other stay as they are. */
function inPythonOrder(entries: Entries): Entries {
  const keys = entries.map(([key]) => key);
  if (keys.every((key) => typeof key === "string")) {
    // JavaScript orders by 16-bit units, which differs from code points only where there are surrogates.
    const astral = keys.some((key) => /[\ud800-\udfff]/.test(key));
    return sorted(entries, astral ? byCodePoint : byUnit);
  }
  if (keys.every(isNumeric)) return sorted(entries, (a, b) => (numberOf(a) < numberOf(b) ? -1 : 1));
  if (keys.every((key) => key instanceof YamlTimestamp && key.text.length === 10)) return sorted(entries, byUnit);
  if (keys.every((key) => key instanceof YamlTimestamp && key.text.length > 10 && !/[-+]..:..$/.test(key.text)))
    return sorted(entries, byUnit);
  return entries;
}

function sorted(entries: Entries, compare: (a: YamlKey, b: YamlKey) => number): Entries {
  return [...entries].sort(([a], [b]) => compare(a, b));
}

function isNumeric(key: YamlKey): boolean {
  return ["number", "bigint", "boolean"].includes(typeof key) || key instanceof YamlFloat;
}

function numberOf(key: YamlKey): number | bigint {
  return typeof key === "bigint" ? key : Number(key);
}

function byUnit(a: YamlKey, b: YamlKey): number {
  return String(a) < String(b) ? -1 : 1;
}

function byCodePoint(a: YamlKey, b: YamlKey): number {
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}
