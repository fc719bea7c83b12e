// A conversation: what is wrong with its messages, and the way from the wire's messages to the worker's. It must never know
// what is asked of it.
import type { ChatMessage, FieldViolation } from "@modelwire/proto";
import type * as inference from "../inference/host.ts";

const MAX_MESSAGES = 1024;
const MAX_CALLS = 128;
const MAX_ID_CHARACTERS = 256;

/** What functions may be called. */
export const FUNCTION_NAME = /^[\w-]{1,64}$/;
export const FUNCTION_NAME_RULE = "must be 1 to 64 letters, digits, _ and -";

type Report = (field: string, description: string) => void;

/** What is wrong with a conversation. @param field where it stands in the request. */
export function checkMessages(messages: readonly inference.ChatMessage[], field: string): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const wrong: Report = (place, description) => problems.push({ field: place, description });
  if (messages.length === 0) wrong(field, "needs at least one message");
  if (messages.length > MAX_MESSAGES) wrong(field, `holds ${messages.length} messages, more than ${MAX_MESSAGES}`);
  const called = new Set<string>();
  messages.forEach(({ role, toolCalls = [], toolCallId }, i) => {
    const place = `${field}[${i}]`;
    if (!/^[\w.-]{1,64}$/.test(role)) wrong(`${place}.role`, 'must be a word such as "system", "user" or "assistant"');
    if (toolCalls.length > 0 && role !== "assistant")
      wrong(`${place}.tool_calls`, `belong to a message with the role "assistant", not "${role}"`);
    if (toolCalls.length > MAX_CALLS)
      wrong(`${place}.tool_calls`, `holds ${toolCalls.length} calls, more than ${MAX_CALLS}`);
    toolCalls.slice(0, MAX_CALLS).forEach((call, k) => {
      const at = `${place}.tool_calls[${k}]`;
      if (call.id.length < 1 || call.id.length > MAX_ID_CHARACTERS)
        wrong(`${at}.id`, `must have 1 to ${MAX_ID_CHARACTERS} characters`);
      if (!FUNCTION_NAME.test(call.name)) wrong(`${at}.name`, FUNCTION_NAME_RULE);
      if (jsonObject(call.arguments) === undefined) wrong(`${at}.arguments_json`, "must be the text of a JSON object");
      called.add(call.id);
    });
    checkCallId(role, toolCallId, called, `${place}.tool_call_id`, wrong);
  });
  return problems;
}

function checkCallId(
  role: string,
  id: string | undefined,
  called: ReadonlySet<string>,
  field: string,
  wrong: Report,
): void {
  if (role !== "tool") {
    if (id !== undefined) wrong(field, `belongs to a message with the role "tool", not "${role}"`);
  } else if (id === undefined) wrong(field, "is missing: name the call whose result this is");
  else if (!called.has(id)) wrong(field, "must be the id of a call that an earlier message makes");
}

/** A message as the worker thread takes it: without protobuf-es's own properties. */
export function plainMessage({ role, content, name, toolCalls, toolCallId }: ChatMessage): inference.ChatMessage {
  return {
    role,
    content,
    ...(name !== undefined && { name }),
    ...(toolCalls.length > 0 && {
      toolCalls: toolCalls.map(({ id, name: called, argumentsJson }) => ({
        id,
        name: called,
        arguments: argumentsJson,
      })),
    }),
    ...(toolCallId !== undefined && { toolCallId }),
  };
}

/** The object that a text is the JSON of; undefined when it is no such text. */
export function jsonObject(text: string): object | undefined {
  try {
    const data: unknown = JSON.parse(text);
    return typeof data === "object" && data !== null && !Array.isArray(data) ? data : undefined;
  } catch {
    return undefined;
  }
}
