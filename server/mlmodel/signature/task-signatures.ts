// MLflow's column schemas as JSON, and the signatures of its LLM tasks. Columns are described by example; MLflow's key
// order and spacing are made from that.
import { type Json, pythonJson } from "../data/python-json.ts";

/** A scalar's name, an object by its properties, a list by its item in brackets, or a map from text. */
export type ColumnType = string | readonly [ColumnType] | MapOf | { readonly [property: string]: ColumnType };

/** Columns in order; a name that ends in "?" is optional. The same goes for the properties of an object. */
export type Columns = Readonly<Record<string, ColumnType>>;

class MapOf {
  readonly values: ColumnType;
  constructor(values: ColumnType) {
    this.values = values;
  }
}

const TOOL_CALL = { id: "string", type: "string", function: { name: "string", arguments: "string" } };

const MESSAGE = {
  role: "string",
  "content?": "string",
  "refusal?": "string",
  "name?": "string",
  "tool_calls?": [TOOL_CALL],
  "tool_call_id?": "string",
} as const;

const TOOL_PARAMETERS = {
  "type?": "string",
  properties: new MapOf({
    type: "string",
    "description?": "string",
    "enum?": ["string"],
    "items?": { type: "string" },
  }),
  "required?": ["string"],
  "additionalProperties?": "boolean",
} as const;

const TOOL = {
  type: "string",
  "function?": {
    name: "string",
    "description?": "string",
    parameters: TOOL_PARAMETERS,
    "strict?": "boolean",
  },
} as const;

/** Input columns of the task llm/v1/chat, as MLflow 3.17.2 gives every chat model. */
const CHAT_INPUTS: Columns = {
  messages: [MESSAGE],
  "temperature?": "double",
  "max_tokens?": "long",
  "stop?": ["string"],
  "n?": "long",
  "stream?": "boolean",
  "top_p?": "double",
  "top_k?": "long",
  "frequency_penalty?": "double",
  "presence_penalty?": "double",
  "tools?": [TOOL],
  "custom_inputs?": new MapOf("any"),
};

/** Output columns of the task llm/v1/chat. */
const CHAT_OUTPUTS: Columns = {
  id: "string",
  object: "string",
  created: "long",
  model: "string",
  choices: [{ index: "long", message: MESSAGE, finish_reason: "string" }],
  "usage?": { prompt_tokens: "long", completion_tokens: "long", total_tokens: "long" },
  "custom_outputs?": new MapOf("any"),
};

/** Input columns of the task llm/v1/completions. */
const COMPLETIONS_INPUTS: Columns = {
  prompt: "string",
  "temperature?": "double",
  "max_tokens?": "long",
  "stop?": ["string"],
  "n?": "long",
  "stream?": "boolean",
};

/** Output columns of the task llm/v1/completions. */
const COMPLETIONS_OUTPUTS: Columns = {
  id: "string",
  object: "string",
  created: "long",
  model: "string",
  choices: [{ index: "long", text: "string", finish_reason: "string" }],
  usage: { prompt_tokens: "long", completion_tokens: "long", total_tokens: "long" },
};

/** Output columns of the task llm/v1/embeddings. */
const EMBEDDINGS_OUTPUTS: Columns = {
  object: "string",
  data: [{ index: "long", object: "string", embedding: ["double"] }],
  usage: { prompt_tokens: "long", total_tokens: "long" },
};

/** The JSON texts of an MLmodel file's `signature`. */
export interface SignatureJson {
  readonly inputs: string | null;
  readonly outputs: string | null;
  readonly params: string | null;
}

/** Sampling options are input columns in this task, so there are no params. */
export function chatSignature(): SignatureJson {
  return { inputs: schemaJson(CHAT_INPUTS), outputs: schemaJson(CHAT_OUTPUTS), params: null };
}

/** The signature of models that go on with a text. */
export function completionsSignature(): SignatureJson {
  return { inputs: schemaJson(COMPLETIONS_INPUTS), outputs: schemaJson(COMPLETIONS_OUTPUTS), params: null };
}

/** The signature of models that turn a text into numbers. */
export function embeddingsSignature(): SignatureJson {
  return { inputs: schemaJson({ input: "string" }), outputs: schemaJson(EMBEDDINGS_OUTPUTS), params: null };
}

/** JSON of a schema of named columns. */
export function schemaJson(columns: Columns): string {
  return pythonJson(
    Object.entries(columns).map(([name, type]) => ({
      ...typeJson(type),
      name: name.replace(/\?$/, ""),
      required: !name.endsWith("?"),
    })),
  );
}

function typeJson(type: ColumnType): { readonly [key: string]: Json } {
  if (typeof type === "string") return { type };
  if (type instanceof MapOf) return { type: "map", values: typeJson(type.values) };
  if (isList(type)) return { type: "array", items: typeJson(type[0]) };
  const properties = Object.entries(type)
    .map(([name, property]): [string, Json] => [
      name.replace(/\?$/, ""),
      { ...typeJson(property), required: !name.endsWith("?") },
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return { type: "object", properties: Object.fromEntries(properties) };
}

function isList(type: Exclude<ColumnType, string>): type is readonly [ColumnType] {
  return Array.isArray(type);
}
