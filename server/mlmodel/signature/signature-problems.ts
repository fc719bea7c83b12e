// What is wrong with a signature's JSON, gathered by its place. It never knows the rules.
import { type FieldViolation, invalidFields } from "@modelwire/proto";
import type { Data, DataMap } from "../data/data.ts";

/** Mistakes told of one signature; the rest is counted. */
const MAX_VIOLATIONS = 100;

export class Problems {
  readonly #violations: FieldViolation[] = [];
  #more = 0;

  add(field: string, description: string): undefined {
    if (this.#violations.length < MAX_VIOLATIONS) this.#violations.push({ field, description });
    else this.#more++;
  }

  check(): void {
    if (this.#more > 0) this.#violations.push({ field: "", description: `${this.#more} further mistakes` });
    if (this.#violations.length > 0) throw invalidFields(this.#violations, "MODEL_INVALID");
  }
}

export function isMap(value: Data | undefined): value is DataMap {
  return value instanceof Map;
}

export function isList(value: Data | undefined): value is readonly Data[] {
  return Array.isArray(value);
}
