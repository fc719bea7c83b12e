// The chat template of a model folder: messages to the text that the model was trained on. Jinja, as Hugging Face has
// it. It makes no ids.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { renderBounded } from "./bounded-template.ts";
import { TemplateFailedError, TemplateInvalidError, TemplateMissingError } from "./errors.ts";

/** As Hugging Face hands messages to templates. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: "function";
    readonly function: { readonly name: string; readonly arguments: unknown };
  }[];
  readonly tool_call_id?: string;
  /** Of a template that takes the tools from a message: their list as JSON text. */
  readonly tools?: string;
}

/** As Hugging Face hands tools to templates. */
export interface TemplateTool {
  readonly type: "function";
  readonly function: { readonly name: string; readonly description: string; readonly parameters: unknown };
}

const maxTemplateLength = 256 * 1024; // characters; the longest in use are about a tenth of it

export class ChatTemplate {
  readonly source: string;
  readonly #template: Template;

  /** @throws TemplateInvalidError when it is no template */
  constructor(source: string) {
    if (source.length > maxTemplateLength) {
      throw new TemplateInvalidError(
        `The chat template has ${source.length} characters; at most ${maxTemplateLength} are read.`,
      );
    }
    this.source = source;
    try {
      this.#template = new Template(source);
    } catch (error) {
      throw new TemplateInvalidError(`The chat template cannot be parsed: ${(error as Error).message}`);
    }
  }

  /**
   * Looks, as Hugging Face does, for chat_template.jinja, then chat_template.json, then `chat_template` in
   * tokenizer_config.json (a text, or a list of named ones with a "default").
   * @throws TemplateMissingError, TemplateInvalidError
   */
  static async open(folder: string): Promise<ChatTemplate> {
    const read = (name: string) => readFile(join(folder, name), "utf8").catch(() => undefined);
    const jinja = await read("chat_template.jinja");
    if (jinja !== undefined) return new ChatTemplate(jinja);
    for (const name of ["chat_template.json", "tokenizer_config.json"]) {
      const source = pick(parse(await read(name)));
      if (source !== undefined) return new ChatTemplate(source);
    }
    throw new TemplateMissingError(
      "The model folder has no chat template. Put the model's own one into chat_template.jinja, or into tokenizer_config.json as chat_template.",
    );
  }

  /**
   * @param variables further names for the template, such as bos_token
   * @param tools null, as Hugging Face says it, where there are none
   * @throws TemplateFailedError with the template's own message, e.g. when it refuses a role
   */
  render(
    messages: readonly TemplateMessage[],
    variables: Readonly<Record<string, unknown>> = {},
    tools: readonly TemplateTool[] | null = null,
  ): string {
    try {
      return renderBounded(this.#template, { ...variables, messages, tools, add_generation_prompt: true });
    } catch (error) {
      throw new TemplateFailedError(
        `The chat template of the model refuses these messages: ${(error as Error).message}`,
      );
    }
  }
}

function parse(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    return undefined; // tokenizer-file.ts reports it
  }
}

function pick(config: unknown): string | undefined {
  const value = (config as { chat_template?: unknown } | undefined)?.chat_template;
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as { name?: unknown; template?: unknown }[];
  const template = (named.find((entry) => entry?.name === "default") ?? named[0])?.template;
  return typeof template === "string" ? template : undefined;
}
