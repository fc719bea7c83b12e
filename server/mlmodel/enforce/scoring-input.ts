// What MLflow's scoring server makes of a request, in each of its forms: data for the signature's enforcement, and
// parameters. It never knows the wire.
import { ApiError, invalidFields } from "@modelwire/proto";
import { type Data, type DataMap, NdArray, type Table } from "../data/data.ts";
import { isNumeric, NO_DIMENSIONS } from "../data/element-types.ts";
import { JsonError, parsePythonJson } from "../data/python-json.ts";
import { nameList, typeName } from "../data/python-words.ts";
import type { Signature } from "../schema.ts";
import { tableOfList } from "./build-table.ts";
import { castTable } from "./cast-table.ts";
import { castInputs, castInstances } from "./cast-values.ts";
import { Findings, Misfit } from "./findings.ts";

/** A request: MLflow's four forms, tensors, or the JSON body of MLflow's server. */
export type ScoringForm =
  | {
      readonly form: "dataframe_split";
      /** undefined for 0, 1, 2 and so on. */
      readonly columns: readonly string[] | undefined;
      readonly data: readonly (readonly Data[])[];
    }
  | { readonly form: "dataframe_records"; readonly records: readonly DataMap[] }
  | { readonly form: "instances"; readonly value: Data }
  | { readonly form: "inputs"; readonly value: Data }
  | { readonly form: "tensors"; readonly tensors: readonly { readonly name: string; readonly array: NdArray }[] }
  | { readonly form: "json"; readonly text: string };

export interface ScoringInput {
  /** Cast by the schema, except for tensors and the unwrapped form. */
  readonly data: Data;
  /** Those that came within the form itself. */
  readonly params: DataMap | undefined;
  /** Whether it was JSON with messages, prompt or input at its top: the answer is not wrapped either. */
  readonly unwrapped: boolean;
}

const FORMS = ["dataframe_split", "dataframe_records", "instances", "inputs"] as const;

const FORM_WANTED =
  "The input must be a JSON dictionary with exactly one of the input fields " +
  "{'dataframe_split', 'dataframe_records', 'instances', 'inputs'}";

/** Any of these at the top makes a body one for an LLM. */
const LLM_KEYS = ["messages", "prompt", "input"] as const;

/**
 * The data and parameters of a request.
 *
 * @throws ApiError INVALID_FIELD when the form is not kept, SCHEMA_ENFORCEMENT_FAILED when data can not be cast by the
 * signature or only with a loss, with everything that is wrong.
 */
export function readScoringInput(form: ScoringForm, signature: Signature | undefined): ScoringInput {
  switch (form.form) {
    case "dataframe_split":
      return wrapped(tableForm("split", signature, () => tableOfList(form.data, form.columns)));
    case "dataframe_records":
      return wrapped(tableForm("records", signature, () => tableOfList(form.records)));
    case "instances":
      return wrapped(valueForm(form.value, signature, castInstances));
    case "inputs":
      return wrapped(valueForm(form.value, signature, castInputs));
    case "tensors":
      return wrapped(tensorsData(form.tensors));
    case "json":
      return readBody(parseBody(form.text), signature);
  }
}

function wrapped(data: Data, params?: DataMap): ScoringInput {
  return { data, params, unwrapped: false };
}

function tableForm(orient: "split" | "records", signature: Signature | undefined, build: () => Table): Table {
  const findings = new Findings("SCHEMA_ENFORCEMENT_FAILED");
  findings.prefix = () =>
    `Invalid input. Provided dataframe_${orient} field is not a valid dataframe representation in '${orient}' format. Error: `;
  const table = findings.attempt(build);
  findings.end();
  const schema = signature?.inputs;
  const cast = table && schema ? castTable(table, schema, findings) : table;
  findings.end();
  return cast as Table;
}

function valueForm(value: Data, signature: Signature | undefined, cast: typeof castInputs): Data {
  const findings = new Findings("SCHEMA_ENFORCEMENT_FAILED", "Invalid input. ");
  const data = cast(value, signature?.inputs, findings);
  findings.end();
  return data;
}

function tensorsData(tensors: readonly { readonly name: string; readonly array: NdArray }[]): Data {
  const named = new Map(tensors.map(({ name, array }) => [name, withDimensions(array)]));
  if (named.size < tensors.length)
    throw invalidFields([{ field: "tensors", description: "a name comes twice, or several tensors have none" }]);
  const only = named.get("");
  if (only === undefined && named.size > 0) return named;
  if (only !== undefined && named.size === 1) return only;
  throw invalidFields([
    { field: "tensors", description: "there must be one tensor without a name, or any number with names" },
  ]);
}

/** A tensor is an array, never a scalar. */
function withDimensions(array: NdArray): NdArray {
  if (array.shape.length > 0) return array;
  const { dtype } = array;
  return isNumeric(dtype)
    ? NdArray.ofBytes(dtype, NO_DIMENSIONS, array.bytes)
    : NdArray.ofItems(dtype, NO_DIMENSIONS, array.items);
}

function parseBody(text: string): DataMap {
  let body: Data;
  try {
    body = parsePythonJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw malformed(`Invalid input. Ensure that input is a valid JSON formatted string. Error: ${error.message}`);
  }
  if (body instanceof Map) return body as DataMap;
  if (Array.isArray(body)) throw malformed(`Invalid input. ${FORM_WANTED}. Received a list.`);
  throw malformed(`Invalid input. ${FORM_WANTED}. Received unexpected input type '${typeName(body)}'.`);
}

function malformed(message: string, field = "json"): ApiError {
  return new ApiError("INVALID_FIELD", message, { violations: [{ field, description: message }] });
}

function readBody(body: DataMap, signature: Signature | undefined): ScoringInput {
  if (LLM_KEYS.some((key) => body.has(key))) return readLlmBody(body, signature);
  const given = FORMS.filter((form) => body.has(form));
  const [form] = given;
  if (form === undefined || given.length > 1)
    throw malformed(
      `${FORM_WANTED}. Received dictionary with input fields: ${nameList(given)}. IMPORTANT: The MLflow Model scoring protocol has changed in MLflow version 2.0.`,
    );
  return wrapped(readForm(form, body.get(form) ?? null, signature), paramsOf(body.get("params") ?? null, signature));
}

function readLlmBody(body: DataMap, signature: Signature | undefined): ScoringInput {
  const names = new Set(signature?.params?.map(({ name }) => name));
  const data = new Map<string, Data>();
  const params = new Map<string, Data>();
  for (const [key, value] of body) (names.has(key) ? params : data).set(key, value);
  return { data, params, unwrapped: true };
}

function paramsOf(params: Data, signature: Signature | undefined): DataMap | undefined {
  if (params instanceof Map) return params as DataMap;
  // Without a schema of parameters MLflow drops whatever there is.
  if (params === null || signature?.params === undefined) return undefined;
  throw malformed(`Parameters must be a dictionary. Got type '${typeName(params)}'.`, "params");
}

function readForm(form: (typeof FORMS)[number], value: Data, signature: Signature | undefined): Data {
  if (form === "inputs") return valueForm(value, signature, castInputs);
  if (form === "instances") return valueForm(value, signature, castInstances);
  if (form === "dataframe_records") {
    if (Array.isArray(value)) return tableForm("records", signature, () => tableOfList(value));
    const type = value instanceof Map ? "dictionary" : `type ${typeName(value)}`;
    throw malformed(`Invalid input. Dataframe records format must be a list of records. Got ${type}.`, form);
  }
  return readSplit(value, signature);
}

function readSplit(value: Data, signature: Signature | undefined): Data {
  if (!(value instanceof Map)) {
    const type = Array.isArray(value) ? "list" : `type ${typeName(value)}`;
    throw malformed(`Invalid input. Dataframe split format must be a dictionary. Got ${type}.`, "dataframe_split");
  }
  const split = value as DataMap;
  const keys = [...split.keys()];
  if (!split.has("data") || keys.some((key) => !["columns", "data", "index"].includes(key)))
    throw malformed(
      `Invalid input. Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields. Got ${nameList(keys.slice(0, 20))}.`,
      "dataframe_split",
    );
  return tableForm("split", signature, () => {
    const rows = split.get("data") ?? null;
    const names = columnNames(split.get("columns") ?? null);
    if (!Array.isArray(rows)) throw new Misfit("The rows are no list.", "Send `data` as a list of rows.");
    const index = split.get("index") ?? null;
    if (index !== null && !(Array.isArray(index) && index.length === rows.length))
      throw new Misfit("Shape of passed values does not fit the index.", "Leave the index out: it is not used.");
    return tableOfList(rows, names);
  });
}

function columnNames(columns: Data): readonly (string | number)[] | undefined {
  if (columns === null) return undefined;
  const names = Array.isArray(columns)
    ? columns.map((name: Data) => (typeof name === "bigint" && name >= 0n && name < 2n ** 31n ? Number(name) : name))
    : [];
  if (!Array.isArray(columns) || !names.every((name) => typeof name === "string" || typeof name === "number"))
    throw new Misfit("Column names are no list of text.", "Send `columns` as a list of names.");
  if (new Set(names).size < names.length) throw new Misfit("A column name comes twice.", "Send each column once.");
  return names as readonly (string | number)[];
}
