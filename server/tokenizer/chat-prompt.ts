// Messages and tools to the token ids of a prompt. Control tokens come from the template alone: those spelled out in a
// message, a tool, arguments or a result are broken up by a mark before the template sees them, and the mark is taken out
// again once the tokens have been found. Every other character reaches the template as it is, so what a template trims,
// compares or splits stays right, and an ordinary conversation gives exactly the ids of its rendered text.

import type { ChatTemplate, TemplateMessage, TemplateTool } from "./chat-template.ts";
import { TemplateFailedError } from "./errors.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { callIdFor, type Tool, toolsInMessage } from "./tool-format.ts";

export interface PromptMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  /** `arguments` is JSON text. */
  readonly toolCalls?: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly toolCallId?: string;
}

/** @throws TemplateFailedError; TextTooLongError when the prompt must have more than `maxTokens` tokens */
export function chatPrompt(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly PromptMessage[],
  maxTokens?: number,
  tools: readonly Tool[] = [],
): number[] {
  const mark = unusedMark(template.source, JSON.stringify([messages, tools]));
  const shield = (value: unknown): unknown => shielded(value, (text) => tokenizer.shield(text, mark));
  const given = tools.map((tool) => shield(templateTool(tool)) as TemplateTool);
  const turns = messages.map((message, index) => {
    // A role is part of the template's own markup, so it may not bring any.
    if (!/^[A-Za-z][\w-]*$/.test(message.role)) {
      throw new TemplateFailedError(
        `messages[${index}].role must be a word such as user; found ${JSON.stringify(message.role)}.`,
      );
    }
    const { role, ...rest } = templateMessage(message, template.source);
    return { role, ...(shield(rest) as Omit<TemplateMessage, "role">) };
  });
  const [last, variables] = toolsInMessage(template.source, given, turns);
  const text = template.render(last, tokenizer.specialTokens, variables);
  return tokenizer.encode(text, { controls: true, mark, maxTokens });
}

function templateMessage({ toolCalls = [], toolCallId, ...message }: PromptMessage, source: string): TemplateMessage {
  return {
    ...message,
    ...(toolCalls.length > 0 && {
      tool_calls: toolCalls.map(({ id, name, arguments: text }) => ({
        id: callIdFor(source, id),
        type: "function" as const,
        function: { name, arguments: parsed(text) ?? text },
      })),
    }),
    ...(toolCallId !== undefined && { tool_call_id: callIdFor(source, toolCallId) }),
  };
}

const templateTool = ({ name, description, parameters }: Tool): TemplateTool => ({
  type: "function",
  function: { name, description, parameters: parsed(parameters) ?? { type: "object", properties: {} } },
});

/** Undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** With every text in it changed, keys too. */
function shielded(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => shielded(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [change(key), shielded(item, change)]),
  );
}

/** A private-use character that neither the template nor anything that goes into it holds. */
function unusedMark(...texts: readonly string[]): string {
  for (let code = 0xe000; code < 0xf900; code++) {
    const mark = String.fromCharCode(code);
    // JSON text may spell it as an escape, which becomes the character once it is read.
    const spelled = `\\u${code.toString(16)}`;
    if (!texts.some((text) => text.includes(mark) || text.toLowerCase().includes(spelled))) return mark;
  }
  throw new TemplateFailedError("The messages use every private-use character of Unicode's basic plane.");
}
