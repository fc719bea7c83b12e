// What an answer may be made of, as a constraint on this model's tokens: response formats, and calls of tools in the form
// that the model writes them in. Faults of a format are told under the names of the request's fields.

import type { TokenConstraint } from "../decoder/constraint.ts";
import { InvalidGrammarError, VocabularyError } from "../grammar/errors.ts";
import { GrammarCompiler } from "../grammar/grammar-compiler.ts";
import type { OutputFormat } from "../grammar/output-format.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { ToolFormat } from "../tokenizer/tool-format.ts";
import { InferenceError, type Violation } from "./errors.ts";
import type { GenerateRequest, Tool } from "./types.ts";

export interface Format {
  /** For one answer. */
  start(): TokenConstraint;
}

/** What is needed of a loaded model. */
export interface FormatModel {
  readonly tokenizer: Tokenizer;
  readonly vocabSize: number;
  readonly eosIds: readonly number[];
  /** Null where the template takes no tools. */
  readonly tools: ToolFormat | null;
}

export class Formats {
  readonly #model: FormatModel;
  #compiler: GrammarCompiler | undefined;

  constructor(model: FormatModel) {
    this.#model = model;
  }

  /**
   * Undefined where the answer is free.
   * @throws InferenceError INVALID_FORMAT with every violation, TOOLS_NOT_SUPPORTED
   */
  of(request: GenerateRequest): Format | undefined {
    const tools = toolsOf(request);
    const format = tools.length > 0 ? this.#calls(request, tools) : request.format;
    if (!format) return undefined;
    const afterText = "prompt" in request;
    try {
      this.#compiler ??= this.#newCompiler();
      return this.#compiler.compile(format, { afterText });
    } catch (error) {
      if (error instanceof InvalidGrammarError)
        throw invalidFormat(error.violations.map((fault) => named(fault, format, request)));
      if (!(error instanceof VocabularyError)) throw error;
      const field = format.type === "calls" ? "tools" : `response_format.${format.type}`;
      throw invalidFormat([{ field, description: `cannot be kept to with this model. ${error.message}` }]);
    }
  }

  #calls({ toolChoice = "auto" }: GenerateRequest, tools: readonly Tool[]): OutputFormat | undefined {
    const form = this.#model.tools;
    if (form) return form.constraint(tools, toolChoice) ?? undefined;
    throw new InferenceError(
      "TOOLS_NOT_SUPPORTED",
      "The chat template of this model takes no tools, or in a form that is not known here. Ask without tools, or for an " +
        "answer of a JSON schema.",
    );
  }

  #newCompiler(): GrammarCompiler {
    const { tokenizer, vocabSize, eosIds, tools } = this.#model;
    return new GrammarCompiler(tokenizer, { vocabSize, eosIds, marks: tools?.visibleTokens ?? [] });
  }
}

/** Those that the model is told of. */
export function toolsOf({ tools = [], toolChoice }: GenerateRequest): readonly Tool[] {
  return toolChoice === "none" ? [] : tools;
}

/** A fault under the name of the field of the request in which it is. */
function named(
  { field, description }: Violation,
  format: OutputFormat,
  { tools = [], toolChoice }: GenerateRequest,
): Violation {
  if (format.type === "calls") {
    // Of one tool that is named, the format has that one alone.
    const only = typeof toolChoice === "object" ? tools.findIndex(({ name }) => name === toolChoice.name) : undefined;
    const place = field.replace(/^tools\[(\d+)\]\.parameters/, (_, i) => `tools[${only ?? i}].parameters_json_schema`);
    return { field: place, description };
  }
  const source = `response_format.${format.type}`;
  if (field === "" || field.startsWith("/")) return { field: source + field, description };
  return { field: source, description: `${field} ${description}` };
}

function invalidFormat(violations: readonly Violation[]): InferenceError {
  const list = violations.map(({ field, description }) => `${field} ${description}`).join(" ");
  return new InferenceError("INVALID_FORMAT", `The answer cannot be held to this form: ${list}`, { violations });
}
