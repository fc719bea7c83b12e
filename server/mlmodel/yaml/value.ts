// What a YAML file may hold, as PyYAML's safe_load tells it apart: maps, lists, texts and numbers are plain JavaScript,
// and what JavaScript cannot tell from these has a class of its own, so that it is written back as it was.

export type YamlValue =
  | null
  | boolean
  /** int, and float with a fraction or beyond what an integer can be exactly */
  | number
  /** int that a number cannot hold exactly */
  | bigint
  | string
  | YamlFloat
  | YamlTimestamp
  | YamlPairs
  | YamlSet
  /** bytes */
  | Uint8Array
  | readonly YamlValue[]
  | YamlMap;

/** dict whose keys are texts. A value that is undefined counts as not there. */
export type YamlMap = { readonly [key: string]: YamlValue | undefined };

/** A float that would be taken for an int: 1.0 or -0.0. */
export class YamlFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  valueOf(): number {
    return this.value;
  }
}

/** A datetime.date or datetime.datetime: a date or time that stood without quotes. */
export class YamlTimestamp {
  /** As Python's str() has it: 2024-05-17, 2024-05-17 23:15:28.764394, 2024-05-17 23:15:28+02:00. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

export type YamlKey = null | boolean | number | bigint | string | YamlFloat | YamlTimestamp;

/** dict with a key that is no text, in its order. */
export class YamlPairs {
  readonly pairs: readonly (readonly [YamlKey, YamlValue])[];

  constructor(pairs: readonly (readonly [YamlKey, YamlValue])[]) {
    this.pairs = pairs;
  }
}

/** set */
export class YamlSet {
  readonly keys: readonly YamlKey[];

  constructor(keys: readonly YamlKey[]) {
    this.keys = keys;
  }
}

export function isYamlKey(value: YamlValue): value is YamlKey {
  return typeof value !== "object" || value === null || value instanceof YamlFloat || value instanceof YamlTimestamp;
}

export function isYamlMap(value: YamlValue | undefined): value is YamlMap {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    ![YamlFloat, YamlTimestamp, YamlPairs, YamlSet, Uint8Array].some((kind) => value instanceof kind)
  );
}
