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

/** `repr` of a finite float: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e16 on. */
export function pythonFloat(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 16) return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}
