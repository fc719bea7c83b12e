// What a scalar without quotes means in YAML 1.1 as PyYAML reads it. Both the reader and the writer go by this one
// table, so that what is written as text is read as text: JavaScript's YAML parsers follow 1.2, or differ in details
// such as 1e3, which is text to PyYAML.

export type PlainKind = "text" | "null" | "bool" | "int" | "float" | "timestamp" | "special";

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
  [
    "timestamp",
    /^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))?)$/,
  ],
  ["special", /^(=|<<|[!&*])$/],
];

/** How PyYAML takes `text` when it stands without quotes. */
export function plainKind(text: string): PlainKind {
  return RULES.find(([, pattern]) => pattern.test(text))?.[0] ?? "text";
}

/**
 * The value of `text` without quotes. Integers that a number cannot hold exactly come as a bigint; timestamps as their
 * text, since MLflow means text by them.
 */
export function plainValue(text: string): null | boolean | number | bigint | string {
  switch (plainKind(text)) {
    case "null":
      return null;
    case "bool":
      return /^(y|true|on)/i.test(text);
    case "int":
      return intValue(text.replaceAll("_", ""));
    case "float":
      return floatValue(text.replaceAll("_", "").toLowerCase());
    default:
      return text;
  }
}

function intValue(text: string): number | bigint {
  const negative = text.startsWith("-");
  const digits = text.replace(/^[-+]/, "");
  let value: bigint;
  if (digits.includes(":")) value = digits.split(":").reduce((sum, part) => sum * 60n + BigInt(part), 0n);
  else if (/^0[0-7]+$/.test(digits)) value = BigInt(`0o${digits.slice(1)}`);
  else value = BigInt(digits);
  const signed = negative ? -value : value;
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
}

function floatValue(text: string): number {
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[-+]/, "");
  if (digits === ".inf") return sign * Number.POSITIVE_INFINITY;
  if (digits === ".nan") return Number.NaN;
  return sign * digits.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}
