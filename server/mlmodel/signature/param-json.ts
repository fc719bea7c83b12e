// The JSON of params: their types and defaults. It never knows inputs and outputs.
import { ApiError } from "@modelwire/proto";
import { type Data, type DataMap, DateTime } from "../data/data.ts";
import { isoDatetime } from "../data/python-datetime.ts";
import { typeName } from "../data/python-words.ts";
import { enforceValue } from "../enforce/enforce-value.ts";
import { Findings, Misfit } from "../enforce/findings.ts";
import { paramValue, UnfitParam } from "../enforce/param-value.ts";
import type { DataType, ParamSpec } from "../schema.ts";
import { isList, isMap, type Problems } from "./signature-problems.ts";
import { isScalarName, readObject, typeData } from "./type-json.ts";

export function readParams(items: readonly Data[], field: string, problems: Problems): ParamSpec[] {
  const names = new Set<string>();
  return items.flatMap((item, i) => {
    const at = `${field}[${i}]`;
    const param = isMap(item) ? readParam(item, at, problems) : problems.add(at, "an object is wanted");
    if (param === undefined) return [];
    if (names.has(param.name)) problems.add(at, `${JSON.stringify(param.name)} is there twice`);
    names.add(param.name);
    return [param];
  });
}

function readParam(spec: DataMap, at: string, problems: Problems): ParamSpec | undefined {
  const name = spec.get("name");
  if (typeof name !== "string" && typeof name !== "bigint") return problems.add(at, "a param needs a name");
  const typeName = spec.get("type") || spec.get("dtype");
  const type = typeName === "object" ? readObject(spec, at, 0, problems) : scalarType(typeName);
  const value = spec.get("default");
  if (type === undefined || value === undefined)
    return problems.add(
      at,
      "a param needs a default and a type, which is a scalar's name other than binary, or object",
    );
  const shape = spec.get("shape") ?? null;
  if (shape !== null && !(isList(shape) && shape.length === 1 && shape[0] === -1n && type.kind === "scalar"))
    return problems.add(`${at}.shape`, "null is wanted, or [-1] for a list of scalars");
  try {
    return { name: String(name), type, default: paramDefault(value, type, shape !== null), shape: shape && [-1] };
  } catch (error) {
    if (!(error instanceof UnfitParam)) throw error;
    return problems.add(`${at}.default`, error.message);
  }
}

/** @throws UnfitParam */
export function paramDefault(value: Data, type: DataType, list: boolean): Data {
  if (list && !isList(value)) throw new UnfitParam(`${typeName(value)} is no list`);
  if (type.kind !== "scalar") {
    const findings = new DefaultFindings("MODEL_INVALID");
    try {
      enforceValue(value, type, true, findings);
      findings.end();
    } catch (error) {
      throw error instanceof ApiError ? new UnfitParam(error.message) : error;
    }
    return value;
  }
  const converted =
    list && isList(value) ? value.map((item) => paramValue(item, type.name)) : paramValue(value, type.name);
  if (type.name === "datetime" && (isList(converted) ? converted : [converted]).includes(null))
    throw new UnfitParam("MLflow cannot write a default of None for a datetime");
  return converted;
}

/**
 * A default is held against its type, but stays as it is: what numpy would make of it is no loss, such as "None" of a
 * missing text. Of what the type does not take, a list among texts is all that MLflow minds.
 */
class DefaultFindings extends Findings {
  override attempt<T>(read: () => T): T | undefined {
    return super.attempt(() => {
      try {
        return read();
      } catch (error) {
        if (error instanceof Misfit && /^Can not convert (?!list to str ).* without loss\.$/.test(error.message))
          return undefined;
        throw error;
      }
    });
  }
}

function scalarType(name: Data | undefined): DataType | undefined {
  return isScalarName(name) && name !== "binary" ? { kind: "scalar", name } : undefined;
}

export function paramData({ name, default: value, shape, type }: ParamSpec): Data {
  const iso = (item: Data): Data => (item instanceof DateTime ? isoDatetime(item) : item);
  return new Map<string, Data>([
    ["name", name],
    ["default", type.kind === "scalar" && isList(value) ? value.map(iso) : iso(value)],
    ["shape", shape?.map(BigInt) ?? null],
    ...typeData(type),
  ]);
}
