// Which keywords of JSON Schema (2020-12) are kept to, which say nothing about the answer, and which are refused: a
// keyword is never passed over in silence.

/** They explain; the answer need not know. */
export const annotations: ReadonlySet<string> = new Set([
  ...["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"],
  ...["$schema", "$comment", "$defs", "definitions", "strict"],
]);

export const typeNames = ["object", "array", "string", "number", "integer", "boolean", "null"] as const;
export type TypeName = (typeof typeNames)[number];

/** Keywords that are kept to, by the type that they speak of. */
export const keywordsOf: Readonly<Record<TypeName, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  boolean: [],
  null: [],
};

/** Keywords of a schema as a whole. */
export const combining: readonly string[] = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];

export const known: ReadonlySet<string> = new Set([...annotations, ...combining, ...Object.values(keywordsOf).flat()]);

/** Values that ask for nothing, with keywords that are refused otherwise. */
export const harmless: Readonly<Record<string, unknown>> = { uniqueItems: false, multipleOf: 1, nullable: false };

/** Texts of `format` that are kept to, as regular expressions. The forms are narrower than the formats, never wider. */
export const formats: Readonly<Record<string, string>> = (() => {
  const days = "(?:0[1-9]|1\\d|2[0-8])";
  const monthDay = `(?:(?:0[1-9]|1[0-2])-${days}|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)`;
  const date = `[0-9]{4}-${monthDay}`;
  const time = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:0\\d|1[0-4]):[0-5]\\d)";
  const byte = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  const label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?";
  return {
    date,
    time,
    "date-time": `${date}T${time}`,
    uuid: "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ipv4: `(?:${byte}\\.){3}${byte}`,
    email: `[a-zA-Z0-9_+-]{1,24}(?:\\.[a-zA-Z0-9_+-]{1,24}){0,2}@(?:${label}\\.){1,3}[a-zA-Z]{2,12}`,
  };
})();
