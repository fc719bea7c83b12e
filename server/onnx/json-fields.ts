// Reads typed fields out of parsed JSON and collects what is wrong, each with the path of its field, so that a
// reader can report every mistake at once. A missing or wrong field reads as a neutral value meanwhile.

import type { Violation } from "./errors.ts";

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One JSON object at a path. */
export class JsonFields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #violations: Violation[];
  readonly #warnings: string[];

  constructor(values: Readonly<Record<string, unknown>>, path: string, violations: Violation[], warnings: string[]) {
    this.#values = values;
    this.#path = path;
    this.#violations = violations;
    this.#warnings = warnings;
  }

  path(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }

  keys(): string[] {
    return Object.keys(this.#values);
  }

  /** The raw value; null counts as absent. */
  value(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined;
  }

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  refuse(key: string, description: string): void {
    this.#violations.push({ field: this.path(key), description });
  }

  warn(key: string, description: string): void {
    this.#warnings.push(`${this.path(key)} ${description}`);
  }

  object(key: string, { optional = false }: { optional?: boolean } = {}): JsonFields {
    const value = this.value(key);
    if (value === undefined && !optional) this.refuse(key, "is missing; it must be an object.");
    if (value !== undefined && !isRecord(value)) this.refuse(key, "must be an object.");
    return new JsonFields(isRecord(value) ? value : {}, this.path(key), this.#violations, this.#warnings);
  }

  string(key: string, { default: fallback }: { default?: string } = {}): string {
    const value = this.value(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === "string" && (value !== "" || fallback !== undefined)) return value;
    this.refuse(key, value === undefined ? "is missing; it must be a string." : "must be a non-empty string.");
    return "";
  }

  /** A name with `%d` for the layer. */
  template(key: string, fallback: string): string {
    const value = this.string(key, { default: fallback });
    if (value.split("%d").length === 2) return value;
    this.refuse(key, `must hold %d once, for the layer: ${JSON.stringify(value)}.`);
    return fallback;
  }

  boolean(key: string): boolean | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === "boolean") return value;
    this.refuse(key, `must be true or false; found ${JSON.stringify(value)}.`);
    return undefined;
  }

  integer(key: string, limits: { min?: number; max?: number; default?: number } = {}): number {
    return this.number(key, { max: 2 ** 31 - 1, ...limits }, "an integer");
  }

  number(
    key: string,
    { min = -Infinity, max = Infinity, default: fallback }: { min?: number; max?: number; default?: number } = {},
    kind: "a number" | "an integer" = "a number",
  ): number {
    const value = this.value(key);
    if (value === undefined && fallback !== undefined) return fallback;
    const right = typeof value === "number" && (kind === "a number" || Number.isInteger(value));
    if (right && value >= min && value <= max) return value;
    const range =
      min === -Infinity
        ? ""
        : max === Infinity || max === 2 ** 31 - 1
          ? ` of at least ${min}`
          : ` from ${min} to ${max}`;
    this.refuse(
      key,
      `${value === undefined ? "is missing; it" : ""} must be ${kind}${range}${value === undefined ? "." : `; found ${JSON.stringify(value)}.`}`.trim(),
    );
    return 0;
  }
}
