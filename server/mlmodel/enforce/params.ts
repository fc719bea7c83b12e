// Parameters of a prediction against a signature: mlflow.models.utils._enforce_params_schema. It never knows the input.
import { type Data, type DataMap, NdArray } from "../data/data.ts";
import { itemsOf, plain } from "../data/element-types.ts";
import { nameList, nameText, typeName } from "../data/python-words.ts";
import type { ParamSpec, ScalarName } from "../schema.ts";
import { exactDouble } from "./convert-value.ts";
import { enforceValue } from "./enforce-value.ts";
import { Findings, Misfit } from "./findings.ts";
import { paramValue, UnfitParam } from "./param-value.ts";

export interface EnforcedParams {
  /** Every parameter that is in force, defaults included; undefined when the signature has none and none were given. */
  readonly params: DataMap | undefined;
  /** Names that the signature does not know, and MLflow drops. */
  readonly ignored: string[];
}

/**
 * The parameters as the model would get them.
 *
 * @param options.strict refuses what MLflow drops with a warning.
 * @throws ApiError SCHEMA_ENFORCEMENT_FAILED with every parameter that does not fit, as `params.<name>`.
 */
export function enforceParams(
  schema: readonly ParamSpec[] | undefined,
  params: DataMap | undefined,
  { strict }: { strict: boolean },
): EnforcedParams {
  const given: DataMap = params ?? new Map();
  if (schema === undefined && given.size === 0) return { params, ignored: [] };
  const findings = new Findings("SCHEMA_ENFORCEMENT_FAILED");
  findings.path.push("params");
  const specs = new Map((schema ?? []).map((spec) => [spec.name, spec]));
  const ignored = [...given.keys()].filter((name) => !specs.has(name));
  const enforced = new Map<string, Data>();
  for (const [name, value] of given) {
    const spec = specs.get(name);
    if (spec !== undefined)
      enforced.set(
        name,
        findings.within(name, () => enforceParam(value, spec, findings)),
      );
  }
  for (const { name, default: standard } of specs.values()) if (!enforced.has(name)) enforced.set(name, standard);
  if (strict) refuseUnknown(ignored, [...specs.keys()], findings);
  findings.end();
  return { params: enforced, ignored };
}

function refuseUnknown(unknown: readonly string[], known: readonly string[], findings: Findings): void {
  for (const name of unknown)
    findings.within(name, () =>
      findings.add(
        "The signature does not know this parameter.",
        `It knows ${nameList(known.slice(0, 20))}.`,
        `Unrecognized params ${nameList(unknown.slice(0, 20))}.`,
      ),
    );
}

function enforceParam(value: Data, spec: ParamSpec, findings: Findings): Data {
  findings.prefix = () =>
    `Invalid parameters found: {(${nameText(spec.name)}, "Failed to validate type and shape for ${nameText(spec.name)}, error: `;
  const { type, shape } = spec;
  if (type.kind !== "scalar") {
    // MLflow checks a dict, but passes on what was given.
    enforceValue(value, type, true, findings);
    return value;
  }
  return findings.attempt(() => (shape === null ? scalarParam(value, type.name) : listParam(value, type.name))) ?? null;
}

function listParam(value: Data, type: ScalarName): Data {
  const list = Array.isArray(value) || (value instanceof NdArray && value.shape.length === 1);
  const items: readonly Data[] = list
    ? value instanceof NdArray
      ? itemsWithTypes(value)
      : (value as readonly Data[])
    : [];
  if (!list || items.some((item) => Array.isArray(item)))
    throw new Misfit(
      `Value must be a 1D array with shape (-1,), received ${typeName(value)}`,
      `The signature wants a list of ${type}.`,
    );
  return items.map((item) => scalarParam(item, type));
}

/** numpy hands out its own scalars. */
function itemsWithTypes(array: NdArray): readonly Data[] {
  const { dtype } = array;
  return dtype === "str" || dtype === "bytes" || dtype === "object"
    ? array.items
    : itemsOf(array).map((_, at) => scalarAt(array, at));
}

function scalarAt(array: NdArray, at: number): NdArray {
  const width = array.bytes.length / array.size;
  return NdArray.ofBytes(array.dtype as "bool", [], array.bytes.subarray(at * width, (at + 1) * width));
}

function scalarParam(value: Data, type: ScalarName): Data {
  // numpy's word for no time, and its reading of none.
  if (type === "datetime" && (value === "NaT" || value === "")) return null;
  try {
    const param = paramValue(value, type);
    const item = plain(value);
    return typeof param === "number" && typeof item === "bigint" ? exactDouble(item) : param;
  } catch (error) {
    throw error instanceof UnfitParam ? new Misfit(error.message, `The signature wants ${type}.`) : error;
  }
}
