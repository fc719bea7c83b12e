// What a scalar without quotes means in YAML 1.1 as PyYAML reads it. Both the reader and the writer go by this one
// table, so that what is written as text is read as text: JavaScript's YAML parsers follow 1.2, or differ in details
// such as 1e3, which is text to PyYAML.
import { YamlFloat, type YamlKey, YamlTimestamp } from "./value.ts";

export type PlainKind = "text" | "null" | "bool" | "int" | "float" | "timestamp" | "special";

const TIMESTAMP =
  /^((?<date>[0-9]{4}-[0-9]{2}-[0-9]{2})|(?<year>[0-9]{4})-(?<month>[0-9]{1,2})-(?<day>[0-9]{1,2})([Tt]|[ \t]+)(?<hour>[0-9]{1,2}):(?<minute>[0-9]{2}):(?<second>[0-9]{2})(\.(?<fraction>[0-9]*))?([ \t]*(?<zone>Z|(?<sign>[-+])(?<zoneHour>[0-9]{1,2})(:(?<zoneMinute>[0-9]{2}))?))?)$/;

const RULES: readonly (readonly [PlainKind, RegExp])[] = [
  ["null", /^(~|null|Null|NULL|)$/],
  ["bool", /^(yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/],
  [
    "int",
    /^([-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+)$/,
  ],
  [
    "float",
    /^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$/,
  ],
  ["timestamp", TIMESTAMP],
  ["special", /^(=|<<|[!&*])$/],
];

/** Python takes no longer text for an int. */
const MAX_INT_LENGTH = 4300;

/** How PyYAML takes `text` when it stands without quotes. */
export function plainKind(text: string): PlainKind {
  return RULES.find(([, pattern]) => pattern.test(text))?.[0] ?? "text";
}

/**
 * The value of `text` without quotes, or as a tag says.
 *
 * @param kind The tag's, which may ask for another kind than the text looks like.
 * @throws RangeError when the text is none of its kind, such as a 13th month; PyYAML fails there as well.
 */
export function plainValue(text: string, kind: PlainKind = plainKind(text)): YamlKey {
  const looks = plainKind(text);
  const isWhole = /^[-+]?[0-9_]+$/.test(text);
  if (kind !== looks && kind !== "text" && kind !== "null" && !(kind === "float" && isWhole))
    throw new RangeError(`it is no ${kind}`);
  switch (kind) {
    case "null":
      return null;
    case "bool":
      return /^(y|true|on)/i.test(text);
    case "int":
      return intValue(text);
    case "float":
      return floatValue(text.replaceAll("_", "").toLowerCase());
    case "timestamp":
      return timestamp(text);
    case "special":
      throw new RangeError(`${text} is a value only in quotes`);
    case "text":
      return text;
  }
}

function intValue(text: string): number | bigint {
  if (text.length > MAX_INT_LENGTH) throw new RangeError(`it has more than ${MAX_INT_LENGTH} digits`);
  const digits = text.replaceAll("_", "").replace(/^[-+]/, "");
  if (digits === "0x" || digits === "0b") throw new RangeError("it has no digits");
  let value: bigint;
  if (digits.includes(":")) value = digits.split(":").reduce((sum, part) => sum * 60n + BigInt(part), 0n);
  else if (/^0[0-7]+$/.test(digits)) value = BigInt(`0o${digits.slice(1)}`);
  else value = BigInt(digits);
  const signed = text.startsWith("-") ? -value : value;
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
}

function floatValue(text: string): number | YamlFloat {
  const digits = text.replace(/^[-+]/, "");
  if (digits === ".nan") return Number.NaN;
  let size = 0;
  let unit = 1;
  // Summed from the last part on, as PyYAML does: the order decides the last bit.
  for (const part of digits.split(":").reverse()) {
    size += (part === ".inf" ? Number.POSITIVE_INFINITY : Number(part)) * unit;
    unit *= 60;
  }
  const value = text.startsWith("-") ? -size : size;
  return Number.isSafeInteger(value) ? new YamlFloat(value) : value;
}

function timestamp(text: string): YamlTimestamp {
  const found = TIMESTAMP.exec(text)?.groups ?? {};
  const [year = "", month = "", day = ""] = found.date?.split("-") ?? [found.year, found.month, found.day];
  const lastDay = new Date(Date.UTC(2000 + (Number(year) % 400), Number(month), 0)).getUTCDate();
  if (Number(year) < 1 || !within(month, 1, 12) || !within(day, 1, lastDay))
    throw new RangeError("there is no such day");
  const date = `${year}-${two(month)}-${two(day)}`;
  if (found.date) return new YamlTimestamp(date);
  const { hour = "", minute = "", second = "", zoneHour = "0", zoneMinute = "0", sign = "+" } = found;
  const zone = Number(zoneHour) * 60 + Number(zoneMinute);
  if (!within(hour, 0, 23) || !within(minute, 0, 59) || !within(second, 0, 59) || zone >= 24 * 60)
    throw new RangeError("there is no such time of day");
  const micros = (found.fraction ?? "").slice(0, 6).padEnd(6, "0");
  const offset = `${zone === 0 ? "+" : sign}${two(Math.floor(zone / 60))}:${two(zone % 60)}`;
  return new YamlTimestamp(
    `${date} ${two(hour)}:${minute}:${second}${Number(micros) > 0 ? `.${micros}` : ""}${found.zone ? offset : ""}`,
  );
}

function within(digits: string, least: number, most: number): boolean {
  return Number(digits) >= least && Number(digits) <= most;
}

function two(number: string | number): string {
  return String(number).padStart(2, "0");
}
