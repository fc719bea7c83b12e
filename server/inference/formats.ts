// What an answer may be made of, as a constraint on this model's tokens: response formats, and calls of tools in the form
// that the model writes them in. Faults of a format are told under the names of the request's fields.

import type { TokenConstraint } from "../decoder/constraint.ts";
import { InvalidGrammarError, VocabularyError } from "../grammar/errors.ts";
import { GrammarCompiler } from "../grammar/grammar-compiler.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { InferenceError } from "./errors.ts";
import type { GenerateRequest, ResponseFormat } from "./types.ts";

export interface Format {
  /** For one answer. */
  start(): TokenConstraint;
}

/** Where the source of a format stands in a request. */
const fields: Readonly<Record<ResponseFormat["type"], string>> = {
  json_schema: "response_format.json_schema",
  json_object: "response_format.json_object",
  regex: "response_format.regex",
  grammar: "response_format.grammar",
};

export class Formats {
  readonly #tokenizer: Tokenizer;
  readonly #model: { readonly vocabSize: number; readonly eosIds: readonly number[] };
  #compiler: GrammarCompiler | undefined;

  constructor(tokenizer: Tokenizer, model: { readonly vocabSize: number; readonly eosIds: readonly number[] }) {
    this.#tokenizer = tokenizer;
    this.#model = model;
  }

  /** Undefined where the answer is free. @throws InferenceError INVALID_FORMAT with every violation */
  of(request: GenerateRequest): Format | undefined {
    const { format } = request;
    if (!format) return undefined;
    try {
      this.#compiler ??= new GrammarCompiler(this.#tokenizer, this.#model);
      return this.#compiler.compile(format, { afterText: "prompt" in request });
    } catch (error) {
      throw invalidFormat(error, fields[format.type]);
    }
  }
}

function invalidFormat(error: unknown, field: string): unknown {
  if (error instanceof InvalidGrammarError) {
    const violations = error.violations.map((fault) => ({
      field: fault.field.startsWith("/") ? `${field}${fault.field}` : field,
      description:
        fault.field === "" || fault.field.startsWith("/") ? fault.description : `${fault.field} ${fault.description}`,
    }));
    const list = violations.map((fault) => `${fault.field} ${fault.description}`).join(" ");
    return new InferenceError("INVALID_FORMAT", `The answer cannot be held to this format: ${list}`, { violations });
  }
  if (error instanceof VocabularyError) {
    const description = `cannot be kept to with this model. ${error.message}`;
    return new InferenceError("INVALID_FORMAT", `${field} ${description}`, { violations: [{ field, description }] });
  }
  return error;
}
