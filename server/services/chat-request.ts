// A chat request as a whole: all of its violations at once, each with its field and what would be right, and what of it the
// engine is asked. It must never know how an answer is made.
import {
  type ChatRequest,
  type FieldViolation,
  invalidFields,
  type ResponseFormat,
  type StreamChatRequest,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
} from "@modelwire/proto";
import type * as inference from "../inference/host.ts";
import { checkMessages, FUNCTION_NAME, FUNCTION_NAME_RULE, jsonObject, plainMessage } from "./chat-messages.ts";
import { checkOptions, toGenerateOptions } from "./chat-options.ts";

const MAX_TOOLS = 128;
const MAX_SALT_CHARACTERS = 256;
const MAX_PRIORITY = 100;
/** Of a schema or a grammar: what is longer takes long to compile, and nobody wrote it by hand. */
const MAX_FORMAT_CHARACTERS = 64 << 10;
const MAX_REGEX_CHARACTERS = 8 << 10;

type AnyChatRequest = ChatRequest | StreamChatRequest;
type Report = (field: string, description: string) => void;

/** What a request asks of a model, without the model and without who asks. */
export type Asked = Pick<inference.GenerateRequest, "options" | "format" | "tools" | "toolChoice" | "priority"> & {
  readonly messages: readonly inference.ChatMessage[];
};

/** @throws ApiError INVALID_FIELD with every violation. */
export function checkChat(request: AnyChatRequest): void {
  const problems: FieldViolation[] = [];
  const wrong: Report = (field, description) => problems.push({ field, description });
  const { model, messages, options, responseFormat, tools, toolChoice, cacheSalt, priority } = request;
  if (model === "") wrong("model", 'is missing: give a model id ("m-…"), a models:/ URI or a name');
  problems.push(...checkMessages(messages.map(plainMessage), "messages"));
  if (options) problems.push(...checkOptions(options, "options."));
  if (responseFormat) checkFormat(responseFormat.format, wrong);
  checkTools(tools, "tools", wrong);
  if (toolChoice) checkChoice(toolChoice, tools, wrong);
  if (responseFormat && tools.length > 0 && !isNone(toolChoice))
    wrong("response_format", "does not go together with tools; leave one out, or set tool_choice to NONE");
  if (cacheSalt.length > MAX_SALT_CHARACTERS)
    wrong("cache_salt", `must have at most ${MAX_SALT_CHARACTERS} characters, got ${cacheSalt.length}`);
  if (priority !== undefined && Math.abs(priority) > MAX_PRIORITY)
    wrong("priority", `must be from -${MAX_PRIORITY} to ${MAX_PRIORITY}, got ${priority}`);
  if (problems.length > 0) throw invalidFields(problems);
}

function checkFormat(format: ResponseFormat["format"], wrong: Report): void {
  const limited = (field: string, text: string, most: number) => {
    if (text.length < 1 || text.length > most)
      wrong(`response_format.${field}`, `must have 1 to ${most} characters, got ${text.length}`);
  };
  switch (format.case) {
    case "jsonSchema":
      limited("json_schema", format.value, MAX_FORMAT_CHARACTERS);
      if (format.value !== "" && jsonObject(format.value) === undefined)
        wrong("response_format.json_schema", "must be the text of a JSON object, which a JSON Schema is");
      break;
    case "jsonObject":
      if (!format.value) wrong("response_format.json_object", "must be true; for free text leave response_format out");
      break;
    case "regex":
      limited("regex", format.value, MAX_REGEX_CHARACTERS);
      break;
    case "grammar":
      limited("grammar", format.value, MAX_FORMAT_CHARACTERS);
      break;
    default:
      wrong("response_format", "says no form: give json_schema, json_object, regex or grammar, or leave it out");
  }
}

/** Reports what is wrong with tools. @param field where they stand in the request. */
function checkTools(tools: readonly Tool[], field: string, wrong: Report): void {
  if (tools.length > MAX_TOOLS) wrong(field, `holds ${tools.length} tools, more than ${MAX_TOOLS}`);
  const names = new Map<string, number>();
  tools.slice(0, MAX_TOOLS).forEach(({ name, parametersJsonSchema: schema }, i) => {
    const first = names.get(name);
    if (!FUNCTION_NAME.test(name)) wrong(`${field}[${i}].name`, FUNCTION_NAME_RULE);
    else if (first !== undefined) wrong(`${field}[${i}].name`, `is that of ${field}[${first}] already: "${name}"`);
    else names.set(name, i);
    const place = `${field}[${i}].parameters_json_schema`;
    if (schema.length > MAX_FORMAT_CHARACTERS)
      wrong(place, `must have at most ${MAX_FORMAT_CHARACTERS} characters, got ${schema.length}`);
    else if (schema !== "" && !isObjectSchema(schema))
      wrong(place, 'must be the text of a JSON Schema of an object, such as {"type": "object", "properties": {}}');
  });
}

function checkChoice({ choice }: ToolChoice, tools: readonly Tool[], wrong: Report): void {
  if (choice.case === undefined) return;
  const field = choice.case === "name" ? "tool_choice.name" : "tool_choice.mode";
  if (tools.length === 0) wrong(field, "needs tools; give some, or leave tool_choice out");
  else if (choice.case === "name" && !tools.some(({ name }) => name === choice.value))
    wrong(field, `must be the name of one of the tools, got "${choice.value}"`);
  if (choice.case === "mode" && !(choice.value in ToolChoiceMode))
    wrong(field, `must be AUTO, NONE or REQUIRED, got ${choice.value}`);
}

/** Wire → engine, of a request that was checked. */
export function askedOf(request: AnyChatRequest): Asked {
  const { messages, options, responseFormat, tools, toolChoice, priority } = request;
  const format = responseFormat && plainFormat(responseFormat.format);
  return {
    messages: messages.map(plainMessage),
    options: toGenerateOptions(options),
    ...(format && { format }),
    ...(tools.length > 0 && { tools: tools.map(plainTool), toolChoice: plainChoice(toolChoice) }),
    ...(priority !== undefined && { priority }),
  };
}

function plainTool({ name, description, parametersJsonSchema: parameters }: Tool): inference.Tool {
  return { name, description, parameters };
}

function plainChoice(toolChoice: ToolChoice | undefined): inference.ToolChoice {
  if (toolChoice?.choice.case === "name") return { name: toolChoice.choice.value };
  if (isNone(toolChoice)) return "none";
  return toolChoice?.choice.value === ToolChoiceMode.REQUIRED ? "required" : "auto";
}

function plainFormat(format: ResponseFormat["format"]): inference.ResponseFormat | undefined {
  switch (format.case) {
    case "jsonSchema":
      return { type: "json_schema", schema: format.value };
    case "jsonObject":
      return { type: "json_object" };
    case "regex":
      return { type: "regex", pattern: format.value };
    case "grammar":
      return { type: "grammar", grammar: format.value };
    default:
      return undefined;
  }
}

function isNone(toolChoice: ToolChoice | undefined): boolean {
  return toolChoice?.choice.case === "mode" && toolChoice.choice.value === ToolChoiceMode.NONE;
}

/** Whether a text is a JSON Schema of objects: one that says nothing of the type counts. */
function isObjectSchema(text: string): boolean {
  const schema = jsonObject(text);
  return schema !== undefined && (!("type" in schema) || schema.type === "object");
}
