// `inputs` and `instances` are cast by the schema into numpy arrays and scalars before they are enforced:
// mlflow.utils.proto_json_utils.convert_data_type and parse_tf_serving_input. It never knows the text that they came in.

import { type Data, type DataMap, NdArray } from "../data/data.ts";
import { NO_DIMENSIONS } from "../data/element-types.ts";
import { typeName } from "../data/python-words.ts";
import type { ColumnSpec, Schema, TensorSpec } from "../schema.ts";
import { arrayOf, scalarOf } from "./array-of.ts";
import { DTYPES } from "./enforce-column.ts";
import { enforceValue, isScalar } from "./enforce-value.ts";
import type { Findings } from "./findings.ts";
import { dtypeOf, hasNames, inputName } from "./schema-inputs.ts";

type Spec = ColumnSpec | TensorSpec;

/** What `inputs` means, in its own shape. What does not fit is noted in `findings`. */
export function castInputs(data: Data, schema: Schema | undefined, findings: Findings): Data {
  const specs = specsByName(schema);
  const [only] = specs.keys();
  if (schema !== undefined && specs.size === 1 && only !== undefined && Array.isArray(data) && !data.some(isDict))
    return castInputs(new Map([[String(only), data]]), schema, findings);
  if (schema !== undefined && !hasNames(schema) && !Array.isArray(data) && !isScalar(data) && !isArray(data)) {
    findings.add(
      `Failed to parse input data. This model contains an un-named  model signature which expects a single n-dimensional array or a single value as input, however, an input of type ${typeName(data)} was found.`,
      "Send a list or a single value.",
    );
    return data;
  }
  if (data instanceof Map) return castDict(data as DataMap, specs, findings);
  if (Array.isArray(data) && data.every(isDict))
    return data.map((row, at) => findings.within(at, () => castDict(row as DataMap, specs, findings)));
  if (!Array.isArray(data) && schema !== undefined)
    findings.prefix = () => "Invalid input. Failed to convert data to the type defined in the model signature. Error: ";
  return castValue(data, schema && firstOf(schema), findings);
}

/** What `instances` means: a list of dicts becomes one dict of arrays. What does not fit is noted in `findings`. */
export function castInstances(data: Data, schema: Schema | undefined, findings: Findings): Data {
  const cast =
    Array.isArray(data) && data.length > 0 && isDict(data[0])
      ? castRows(data, specsByName(schema), findings)
      : castInputs(data, schema, findings);
  if (cast instanceof Map && findings.count === 0) checkLengths(cast as DataMap, schema, findings);
  return cast;
}

function castRows(rows: readonly Data[], specs: ReadonlyMap<string, Spec>, findings: Findings): Data {
  const columns = new Map<string, Data[]>();
  for (const [at, row] of rows.entries()) {
    if (!isDict(row)) {
      findings.within(at, () =>
        findings.add(
          "Ensure that the input is a valid JSON-formatted string. An instance is no dict.",
          "Send every instance as an object.",
        ),
      );
      continue;
    }
    for (const [name, value] of row as DataMap) {
      const column = columns.get(name) ?? [];
      if (at === 0) columns.set(name, column);
      // MLflow would move later values up into this row.
      if (column.length !== at) {
        findings.within(at, () =>
          findings.within(name, () =>
            findings.add(
              "Can not convert instances with different keys to columns without loss.",
              "Send the same keys in every instance.",
            ),
          ),
        );
        continue;
      }
      column.push(findings.within(at, () => findings.within(name, () => castValue(value, specs.get(name), findings))));
    }
    if (findings.count === 0) checkComplete(columns, at, findings);
  }
  if (findings.count > 0) return null;
  const cast = new Map<string, Data>();
  for (const [name, values] of columns)
    cast.set(name, findings.within(name, () => findings.attempt(() => arrayOf(values))) ?? null);
  return cast;
}

function checkComplete(columns: ReadonlyMap<string, Data[]>, at: number, findings: Findings): void {
  for (const [name, values] of columns)
    if (values.length !== at + 1)
      findings.within(at, () =>
        findings.within(name, () =>
          findings.add(
            "Can not convert instances with different keys to columns without loss.",
            "Send the same keys in every instance.",
          ),
        ),
      );
}

function castDict(dict: DataMap, specs: ReadonlyMap<string, Spec>, findings: Findings): DataMap {
  const cast = new Map<string, Data>();
  for (const [name, value] of dict)
    cast.set(
      name,
      findings.within(name, () => castValue(value, specs.get(name), findings)),
    );
  return cast;
}

function castValue(value: Data, spec: Spec | undefined, findings: Findings): Data {
  return findings.attempt(() => convert(value, spec, findings)) ?? null;
}

function convert(value: Data, spec: Spec | undefined, findings: Findings): Data {
  if (spec === undefined) return arrayOf(value);
  if ("dtype" in spec) return arrayOf(value, dtypeOf(spec.dtype));
  const { type } = spec;
  if (type.kind === "any") return value;
  if (type.kind === "scalar")
    return Array.isArray(value) || isArray(value)
      ? arrayOf(value, DTYPES[type.name])
      : scalarOf(value, DTYPES[type.name]);
  const before = findings.count;
  const enforced = enforceValue(value, type, spec.required === true, findings);
  return findings.count > before || (type.kind !== "array" && type.kind !== "sparkml_vector")
    ? enforced
    : arrayOf(enforced);
}

/** All rows of `instances` have as many items, where the schema wants them. */
function checkLengths(dict: DataMap, schema: Schema | undefined, findings: Findings): void {
  const lengths = new Set<number>();
  for (const name of namesToCheck(dict, schema)) {
    const value = dict.get(name);
    if (Array.isArray(value)) lengths.add(value.length);
    if (!(value instanceof NdArray) || isScalar(value)) continue;
    if (value.shape === NO_DIMENSIONS)
      findings.within(name, () => findings.add("len() of unsized object", "Send a list."));
    else lengths.add(value.shape[0] ?? 0);
  }
  if (lengths.size > 1)
    findings.add("The length of values for each input/column name are not the same", "Send as many for each.");
}

function namesToCheck(dict: DataMap, schema: Schema | undefined): readonly string[] {
  if (schema === undefined || !hasNames(schema)) return [...dict.keys()];
  const specs: readonly Spec[] = schema.kind === "columns" ? schema.columns : schema.tensors;
  return specs
    .filter(
      (spec) =>
        "dtype" in spec ||
        (spec.required === true && spec.type.kind !== "array" && spec.type.kind !== "sparkml_vector"),
    )
    .map((spec, at) => String(inputName(spec, at)));
}

function specsByName(schema: Schema | undefined): Map<string, Spec> {
  const specs = new Map<string, Spec>();
  if (schema === undefined || !hasNames(schema)) return specs;
  for (const spec of schema.kind === "columns" ? schema.columns : schema.tensors)
    if (typeof spec.name === "string") specs.set(spec.name, spec);
  return specs;
}

function firstOf(schema: Schema): Spec | undefined {
  return schema.kind === "columns" ? schema.columns[0] : schema.tensors[0];
}

function isDict(value: Data | undefined): boolean {
  return value instanceof Map;
}

function isArray(value: Data): boolean {
  return value instanceof NdArray && !isScalar(value);
}
