// Nested values against nested types: mlflow.models.utils._enforce_type and what it calls. It never knows columns.

import { type Data, type DataMap, NdArray } from "../data/data.ts";
import { itemAt, itemsOf, NO_DIMENSIONS, packed, widthOf } from "../data/element-types.ts";
import { nameSet, nameText, typeName, typeWord } from "../data/python-words.ts";
import type { DataType, Property, ScalarName } from "../schema.ts";
import { arrayOf } from "./array-of.ts";
import { convertValue } from "./convert-value.ts";
import { DTYPES, enforceColumn } from "./enforce-column.ts";
import { type Findings, Misfit, RawMisfit } from "./findings.ts";
import { inferColumn, isUnicode } from "./infer-column.ts";

/**
 * The value as MLflow would pass it on; what does not fit is noted in `findings`, and then the result means nothing.
 *
 * @param required whether None is refused where `type` does not say itself.
 */
export function enforceValue(value: Data, type: DataType, required: boolean, findings: Findings): Data {
  switch (type.kind) {
    case "scalar":
      return enforceScalar(value, type.name, required, findings);
    case "array":
      return enforceArray(value, type.items, required, findings);
    case "sparkml_vector":
      return enforceArray(value, { kind: "scalar", name: "double" }, required, findings);
    case "object":
      return enforceObject(value, type.properties, required, findings);
    case "map":
      return enforceMap(value, type.values, required, findings);
    case "any":
      return value;
  }
}

function enforceScalar(value: Data, type: ScalarName, required: boolean, findings: Findings): Data {
  if (!required && (value === null || (typeof value === "number" && Number.isNaN(value)))) return null;
  if (typeof value === "string" && type === "string" && isUnicode(value)) return value;
  if (!isScalar(value)) {
    findings.add(`Expected data to be scalar, got ${typeName(value)}`, `The signature wants ${type}.`);
    return null;
  }
  try {
    const column = enforceColumn("", seriesOfScalar(value), type);
    const item = itemAt(column, 0);
    return isNumber(column) ? packed(column.dtype, [], [item]) : item;
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    if (error instanceof RawMisfit) findings.addMisfit(error);
    else
      findings.add(`Failed to enforce schema of data of type ${typeName(value)} with dtype \`${type}\``, error.message);
    return null;
  }
}

function isNumber(column: NdArray): boolean {
  return widthOf(column.dtype) > 0;
}

function seriesOfScalar(value: Data): NdArray {
  if (!(value instanceof NdArray) || widthOf(value.dtype) === 0) return inferColumn([value]);
  return packed(value.dtype, [1], [itemAt(value, 0)]);
}

/** `numpy.isscalar`. */
export function isScalar(value: Data): boolean {
  if (value instanceof NdArray) return value.shape.length === 0 && value.shape !== NO_DIMENSIONS;
  if (value === null || typeof value !== "object") return value !== null;
  return value instanceof Uint8Array;
}

function enforceArray(value: Data, items: DataType, required: boolean, findings: Findings): Data {
  const list = Array.isArray(value) || (value instanceof NdArray && !isScalar(value));
  if (!required || items.kind === "any") {
    if (value === null) return value;
    if (list && lengthOf(value) === 0) return value;
  }
  if (!list) {
    findings.add(`Expected data to be list or numpy array, got ${typeName(value)}`, "Send a list.");
    return value;
  }
  if (value instanceof NdArray && value.shape === NO_DIMENSIONS) {
    findings.addMisfit(new RawMisfit("len() of unsized object", "Send a list."));
    return value;
  }
  if (items.kind === "scalar") return enforceScalars(value as NdArray | readonly Data[], items.name, findings);
  const enforced = elementsOf(value as NdArray | readonly Data[]).map((item, at) =>
    findings.within(at, () => enforceValue(item, items, required, findings)),
  );
  return value instanceof NdArray ? (findings.attempt(() => arrayOf(enforced)) ?? value) : enforced;
}

function lengthOf(value: Data): number {
  return value instanceof NdArray ? (value.shape[0] ?? -1) : (value as readonly Data[]).length;
}

function enforceScalars(value: NdArray | readonly Data[], type: ScalarName, findings: Findings): Data {
  if (lengthOf(value) === 0) return value;
  const enforced = findings.attempt(() => {
    if (value instanceof NdArray && value.shape.length > 1)
      throw new RawMisfit("Data must be 1-dimensional", "Send one list.");
    const column = enforceColumn("", value instanceof NdArray ? value : inferColumn(value), type);
    return asType(column, type);
  });
  if (enforced === undefined || value instanceof NdArray) return enforced ?? value;
  // Python's `tolist` of times in nanoseconds gives ints.
  return type === "datetime" ? itemsOf(withInts(enforced)) : itemsOf(enforced);
}

/** `to_numpy(dtype=…)`. @throws Misfit */
function asType(column: NdArray, type: ScalarName): NdArray {
  const dtype = DTYPES[type];
  if (column.dtype === dtype && dtype !== "str") return column;
  return packed(
    dtype,
    column.shape,
    itemsOf(column).map((item) => convertValue(item, dtype)),
  );
}

function withInts(times: NdArray): NdArray {
  return NdArray.ofItems(
    "object",
    times.shape,
    itemsOf(NdArray.ofBytes("int64", times.shape, times.bytes)).map((ns) => (ns === -(2n ** 63n) ? null : ns)),
  );
}

/** The elements of a list, or the rows of an array. */
function elementsOf(value: NdArray | readonly Data[]): readonly Data[] {
  if (!(value instanceof NdArray)) return value;
  const [length = 0, ...shape] = value.shape;
  const size = shape.reduce((product, each) => product * each, 1);
  const items = itemsOf(value);
  return Array.from({ length }, (_, at) => {
    if (shape.length === 0 && value.dtype === "object") return items[at] ?? null;
    return packed(value.dtype, shape, items.slice(at * size, (at + 1) * size));
  });
}

function enforceObject(value: Data, properties: readonly Property[], required: boolean, findings: Findings): Data {
  if (!required && isNothing(value, findings)) return value;
  if (!(value instanceof Map)) {
    findings.add(
      `Failed to enforce schema of data of type ${typeName(value)} with an object type. Expected data to be dictionary, got ${typeName(value)}`,
      "Send an object.",
    );
    return value;
  }
  const dict = value as DataMap;
  const known = byName(properties);
  const missing = properties.filter((property) => property.required && !dict.has(property.name));
  for (const { name, type } of missing)
    findings.within(name, () =>
      findings.add(
        "Missing required property.",
        `The signature wants ${typeWord(type)}.`,
        `Missing required properties: ${nameSet(missing.map((property) => property.name))}`,
      ),
    );
  const unknown = [...dict.keys()].filter((name) => !known.has(name));
  for (const name of unknown)
    findings.within(name, () =>
      findings.add(
        "Invalid property, not defined in the schema.",
        `The signature knows ${nameSet([...known.keys()].slice(0, 20))}.`,
        `Invalid properties not defined in the schema found: ${nameSet(unknown.slice(0, 20))}`,
      ),
    );
  const enforced = new Map<string, Data>();
  for (const [name, item] of dict) {
    const property = known.get(name);
    if (property !== undefined) enforced.set(name, enforceProperty(item, property, findings));
  }
  return enforced;
}

/** `value is None or value == {}`, which numpy answers for each item of an array. */
function isNothing(value: Data, findings: Findings): boolean {
  if (!(value instanceof NdArray) || isScalar(value)) return value === null || isEmptyDict(value);
  if (value.size === 1) return isEmptyDict(itemAt(value, 0));
  findings.addMisfit(new RawMisfit("The truth value of an array is ambiguous.", "Send an object."));
  return true;
}

function isEmptyDict(value: Data): boolean {
  if (value instanceof NdArray) return value.shape === NO_DIMENSIONS && isEmptyDict(itemAt(value, 0));
  return value instanceof Map && value.size === 0;
}

const KNOWN = new WeakMap<readonly Property[], ReadonlyMap<string, Property>>();

function byName(properties: readonly Property[]): ReadonlyMap<string, Property> {
  let known = KNOWN.get(properties);
  if (known === undefined) {
    known = new Map(properties.map((property) => [property.name, property]));
    KNOWN.set(properties, known);
  }
  return known;
}

/** MLflow speaks of the outermost key that does not fit. */
function enforceProperty(value: Data, { name, type, required }: Property, findings: Findings): Data {
  const outermost = findings.outer === undefined;
  if (outermost)
    findings.outer = () =>
      `Failed to enforce schema for key \`${nameText(name).slice(1, -1)}\`. Expected type ${typeWord(type)}, received type ${typeName(value)}`;
  try {
    return findings.within(name, () => enforceValue(value, type, required, findings));
  } finally {
    if (outermost) findings.outer = undefined;
  }
}

function enforceMap(value: Data, type: DataType, required: boolean, findings: Findings): Data {
  if ((!required || type.kind === "any") && isNothing(value, findings)) return value;
  if (!(value instanceof Map)) {
    findings.add(`Expected data to be a dict, got ${typeName(value)}`, "Send an object.");
    return value;
  }
  const enforced = new Map<string, Data>();
  for (const [key, item] of value as DataMap)
    enforced.set(
      key,
      findings.within(key, () => enforceValue(item, type, required, findings)),
    );
  return enforced;
}
