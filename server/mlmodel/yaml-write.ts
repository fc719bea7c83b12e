// A value as PyYAML's safe_dump writes it in block style.
import { emitText } from "./yaml-emit.ts";

export type YamlValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly YamlValue[]
  | { readonly [key: string]: YamlValue | undefined };

export interface YamlOptions {
  /** Keys by code point, as MLflow writes MLmodel and conda.yaml; false keeps their order, as in python_env.yaml. */
  sortKeys?: boolean;
}

/** PyYAML counts a key's tag, "!!str", into the 128 characters that a key on one line may have. */
const LONGEST_KEY = 122;

/** The text of a file. Entries that are undefined are left out. */
export function writeYaml(value: YamlValue, { sortKeys = true }: YamlOptions = {}): string {
  const text = isCollection(value) ? block(value, 0, sortKeys) : ` ${scalar(value, { column: 0, indent: 0 })}`;
  return `${text.slice(1)}\n`;
}

/** Begins with a line break, or with a space when it goes on the line of its key. */
function node(value: YamlValue, indent: number, column: number, sortKeys: boolean): string {
  if (isCollection(value)) return block(value, indent, sortKeys);
  return ` ${scalar(value, { column: column + 1, indent })}`;
}

function block(
  value: readonly YamlValue[] | { readonly [key: string]: YamlValue | undefined },
  indent: number,
  sortKeys: boolean,
): string {
  const pad = `\n${" ".repeat(indent)}`;
  if (Array.isArray(value)) {
    if (value.length === 0) return " []";
    return (value as readonly YamlValue[])
      .map(
        (item) =>
          `${pad}-${isCollection(item) ? inItem(item, indent + 2, sortKeys) : node(item, indent + 2, indent + 1, sortKeys)}`,
      )
      .join("");
  }
  const entries = Object.entries(value).filter((entry): entry is [string, YamlValue] => entry[1] !== undefined);
  if (entries.length === 0) return " {}";
  if (sortKeys) entries.sort(([a], [b]) => byCodePoint(a, b));
  return entries
    .map(([key, item]) => {
      // A list under a key is not indented further.
      const inner = Array.isArray(item) ? indent : indent + 2;
      const length = Array.from(key).length;
      if (length === 0 || length > LONGEST_KEY || /[\n\u0085\u2028\u2029]/.test(key)) {
        const place = { column: indent + 2, indent: indent + 2 };
        return `${pad}? ${emitText(key, place)}${pad}:${isCollection(item) ? inItem(item, indent + 2, sortKeys) : node(item, indent + 2, indent + 1, sortKeys)}`;
      }
      const name = emitText(key, { column: indent, indent, key: true });
      return `${pad}${name}:${node(item, inner, indent + name.length + 1, sortKeys)}`;
    })
    .join("");
}

/** A collection behind "-": its first line goes on that line. */
function inItem(
  value: readonly YamlValue[] | { readonly [key: string]: YamlValue | undefined },
  indent: number,
  sortKeys: boolean,
): string {
  const text = block(value, indent, sortKeys);
  return text.startsWith("\n") ? ` ${text.slice(1 + indent)}` : text;
}

function scalar(value: null | boolean | number | bigint | string, place: { column: number; indent: number }): string {
  if (typeof value === "string") return emitText(value, place);
  if (typeof value !== "number" || Number.isSafeInteger(value)) return String(value);
  return float(value);
}

/** Python's repr of a float, with the dot that YAML 1.1 needs to see. */
function float(value: number): string {
  if (Number.isNaN(value)) return ".nan";
  if (!Number.isFinite(value)) return value < 0 ? "-.inf" : ".inf";
  const [mantissa = "", exponent = "0"] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 16) {
    const plain = String(value);
    return plain.includes(".") ? plain : `${plain}.0`;
  }
  const digits = mantissa.includes(".") ? mantissa : `${mantissa}.0`;
  return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

function isCollection(
  value: YamlValue,
): value is readonly YamlValue[] | { readonly [key: string]: YamlValue | undefined } {
  return typeof value === "object" && value !== null;
}

/** Python's order of strings; JavaScript's differs behind the basic plane. */
function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
