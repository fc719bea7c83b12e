// JSON as Python's json module writes it: the text that MLflow puts into signatures and example files.

/** What JSON can hold. Numbers without a fraction are written as integers. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** `json.dumps(value)`: ", " and ": " between, everything but ASCII escaped. */
export function pythonJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (value !== null && typeof value === "object")
    return `{${Object.entries(value)
      .map(([key, item]) => `${jsonText(key)}: ${pythonJson(item)}`)
      .join(", ")}}`;
  return typeof value === "string" ? jsonText(value) : JSON.stringify(value);
}

/** `json.dumps(value, indent=2)`. */
export function indentedPythonJson(value: Json): string {
  return JSON.stringify(value, null, 2).replace(/[^\0-~]/g, escaped);
}

function jsonText(text: string): string {
  return JSON.stringify(text).replace(/[^\0-~]/g, escaped);
}

/** Half of a surrogate pair at a time, as Python does; DEL too, which JSON.stringify leaves as it is. */
function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
