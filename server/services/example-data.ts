// An example, from which a signature is to be found: taken as it stands, where a request's input would be turned into what
// a model takes.
import { invalidFields } from "@modelwire/proto";
import type { Data, DataMap } from "../mlmodel/data/data.ts";
import { parsePythonJson } from "../mlmodel/data/python-json.ts";
import { readScoringInput, type ScoringForm } from "../mlmodel/enforce/scoring-input.ts";

/** A table in MLflow's file form of an input example. */
const TABLE_KEYS = new Set(["columns", "data", "index"]);

/** @throws ApiError INVALID_FIELD, SCHEMA_ENFORCEMENT_FAILED. */
export function exampleOf(form: ScoringForm, field: string): Data {
  switch (form.form) {
    case "inputs":
    case "instances":
      return form.value;
    case "json":
      return jsonExample(form.text, field);
    default:
      return readScoringInput(form, undefined).data;
  }
}

/**
 * JSON is the example itself, or a table where it has that form: {"columns": […], "data": […]}, or under one of the keys
 * dataframe_split and dataframe_records. One of the keys inputs and instances holds the example.
 */
export function jsonExample(text: string, field: string): Data {
  const data = parse(text, field);
  if (!(data instanceof Map)) return data;
  const [only] = data.size === 1 ? [...data.keys()] : [];
  if (only === "dataframe_split" || only === "dataframe_records")
    return readScoringInput({ form: "json", text }, undefined).data;
  if (only === "inputs" || only === "instances") return data.get(only) ?? null;
  if (isTable(data)) return readScoringInput({ form: "json", text: `{"dataframe_split": ${text}}` }, undefined).data;
  return data;
}

function isTable(data: DataMap): boolean {
  return Array.isArray(data.get("data")) && [...data.keys()].every((key) => TABLE_KEYS.has(key));
}

function parse(text: string, field: string): Data {
  try {
    return parsePythonJson(text);
  } catch (error) {
    throw invalidFields([{ field, description: `is no JSON: ${error instanceof Error ? error.message : error}` }]);
  }
}
