// In which form a model writes its calls of tools, as its chat template shows it; and what an answer in that form is made
// of. A table of forms: nothing here depends on a model's name.

import type { OutputFormat } from "../grammar/output-format.ts";
import type { ChatTemplate, TemplateMessage, TemplateTool } from "./chat-template.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface Tool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments as JSON text; "" for none. */
  readonly parameters: string;
}

export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

/** How calls are written: each is {"name": …, "arguments": …}. */
export interface CallMarkup {
  /** Tells the form; "" where nothing but the call itself does. */
  readonly mark: string;
  /** What stands before the first call, in the ways in which it is written; the likeliest first. */
  readonly open: readonly string[];
  /** Between two calls that `open` and `close` enclose together; absent: each has its own. */
  readonly between?: string;
  readonly close: string;
  /** Between a `close` and the next `open`; absent: there is one `open`. */
  readonly next?: string;
  /** The key of the arguments. */
  readonly key: "arguments" | "parameters";
}

interface Form extends CallMarkup {
  /** Found in the source of the templates that show this form. */
  readonly shown: RegExp;
}

/** The first that is shown counts. */
const forms: readonly Form[] = [
  {
    shown: /<tool_call>/,
    mark: "<tool_call>",
    open: ["<tool_call>\n"],
    close: "\n</tool_call>",
    next: "\n",
    key: "arguments",
  },
  {
    shown: /\[TOOL_CALLS\]/,
    mark: "[TOOL_CALLS]",
    open: ["[TOOL_CALLS][", "[TOOL_CALLS] ["],
    between: ", ",
    close: "]",
    key: "arguments",
  },
  {
    shown: /<\|tool_call\|>/,
    mark: "<|tool_call|>",
    open: ["<|tool_call|>"],
    close: "<|/tool_call|>",
    next: "",
    key: "arguments",
  },
  // It shows how tools are told and leaves the calls to what the model has learnt.
  {
    shown: /<\|tool\|>/,
    mark: "<|tool_call|>",
    open: ["<|tool_call|>["],
    between: ", ",
    close: "]<|/tool_call|>",
    key: "arguments",
  },
  { shown: /["']parameters["']/, mark: "", open: [""], close: "", key: "parameters" },
];

export interface ToolFormat {
  readonly markup: CallMarkup;
  /** For people: the mark, or the shape of a call. */
  readonly name: string;
  /** Hidden tokens that calls are written with. Their text must reach the parser, and a grammar must let them come. */
  readonly visibleTokens: readonly number[];
  /** What an answer is made of; null where tools are not called. */
  constraint(tools: readonly Tool[], choice: ToolChoice): OutputFormat | null;
}

/** Null: the template takes no tools, or in a form that is not known. */
export function toolFormatOf(template: ChatTemplate, tokenizer: Tokenizer): ToolFormat | null {
  // A name of its own, or of a message.
  if (!/\btools\b/.test(template.source)) return null;
  const form = forms.find(({ shown }) => shown.test(template.source));
  if (!form) return null;
  const marks = [
    ...new Set([form.mark, form.close.trim()].flatMap((text) => text.match(/<\|?\/?\w+\|?>|\[\w+\]/g) ?? [])),
  ];
  const { shown: _, ...markup } = form;
  return {
    markup,
    name: form.mark === "" ? '{"name", "parameters"}' : form.mark,
    visibleTokens: marks.flatMap((mark) => {
      const id = tokenizer.addedToken(mark);
      return id !== undefined && tokenizer.isHidden(id) ? [id] : [];
    }),
    constraint: (tools, choice) => constraint(markup, tools, choice),
  };
}

function constraint(markup: CallMarkup, tools: readonly Tool[], choice: ToolChoice): OutputFormat | null {
  if (choice === "none" || tools.length === 0) return null;
  const one = typeof choice === "object";
  const called = one ? tools.filter(({ name }) => name === choice.name) : tools;
  return {
    type: "calls",
    open: markup.open,
    calls: called.map(({ name, parameters }) => ({
      begin: `{"name": ${JSON.stringify(name)}, "${markup.key}": `,
      ...(parameters !== "" && { schema: parameters }),
      end: "}",
    })),
    close: markup.close,
    ...(!one && markup.between !== undefined && { between: markup.between }),
    ...(!one && markup.next !== undefined && { next: markup.next }),
    ...(choice === "auto" && { free: { mark: markup.mark } }),
  };
}

/**
 * Some templates take the tools from the system message, as JSON text. @returns messages, and tools for the others
 */
export function toolsInMessage(
  source: string,
  tools: readonly TemplateTool[],
  messages: readonly TemplateMessage[],
): [readonly TemplateMessage[], readonly TemplateTool[] | null] {
  if (tools.length === 0) return [messages, null];
  if (!/message\s*(?:\.tools\b|\[\s*["']tools["']\s*\])/.test(source)) return [messages, tools];
  const text = JSON.stringify(tools.map((tool) => tool.function));
  const [first, ...rest] = messages;
  const system = first?.role === "system" ? first : { role: "system", content: "" };
  return [[{ ...system, tools: text }, ...(system === first ? rest : messages)], null];
}

/** The id of a call in the form that the template insists on: some take nine letters and digits. */
export function callIdFor(source: string, id: string): string {
  return /\.id\s*\|\s*length\s*!=\s*9/.test(source)
    ? id
        .replace(/[^A-Za-z0-9]/g, "")
        .slice(-9)
        .padStart(9, "0")
    : id;
}
