// What a YAML file holds, as JSON that tells its kinds apart: the `coded` of test/conformance/mlflow/record_yaml.py.
import { pythonFloat } from "../../server/mlmodel/data/python-json.ts";
import { YamlFloat, YamlPairs, YamlSet, YamlTimestamp, type YamlValue } from "../../server/mlmodel/yaml/value.ts";

export type Coded =
  | null
  | boolean
  | string
  | Coded[]
  | { int: string }
  | { float: string }
  | { timestamp: string }
  | { bytes: string }
  | { set: Coded[] }
  | { map: [Coded, Coded][] };

export function coded(value: YamlValue): Coded {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("base64") };
  if (value instanceof YamlSet) return { set: value.keys.map(coded) };
  if (value instanceof YamlTimestamp) return { timestamp: value.text };
  if (value instanceof YamlFloat) return { float: pythonFloat(value.value) };
  if (typeof value === "number" && !Number.isSafeInteger(value))
    return {
      float: Number.isFinite(value)
        ? pythonFloat(value)
        : String(value).replace("Infinity", "inf").replace("NaN", "nan"),
    };
  if (typeof value === "bigint" || typeof value === "number") return { int: String(value) };
  if (Array.isArray(value)) return (value as readonly YamlValue[]).map(coded);
  const pairs = value instanceof YamlPairs ? value.pairs : Object.entries(value as Record<string, YamlValue>);
  return { map: pairs.map(([key, item]) => [coded(key), coded(item)]) };
}

/** Maps in one order: JavaScript moves keys that look like array indexes. */
export function inOneOrder(value: Coded): Coded {
  if (Array.isArray(value)) return value.map(inOneOrder);
  if (typeof value !== "object" || value === null) return value;
  if ("set" in value) return { set: value.set.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) };
  if (!("map" in value)) return value;
  const pairs = value.map.map(([key, item]): [Coded, Coded] => [key, inOneOrder(item)]);
  return { map: pairs.sort(([a], [b]) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) };
}
