// The errors of `grammar/`.

export interface Violation {
  /** A path into what was given, such as "/properties/age/not" or "character 12"; "" for the whole. */
  readonly field: string;
  /** What is wrong and what to do, a sentence that the field begins. */
  readonly description: string;
}

/** A schema, an expression or a grammar that cannot be kept to, with every violation that was found. */
export class InvalidGrammarError extends Error {
  override readonly name = "InvalidGrammarError";
  readonly violations: readonly Violation[];
  constructor(violations: readonly Violation[]) {
    super(violations.map(({ field, description }) => `${field} ${description}`.trim()).join(" "));
    this.violations = violations;
  }
}

/** Answers cannot be constrained with this vocabulary; the message says why. */
export class VocabularyError extends Error {
  override readonly name = "VocabularyError";
}

/** A text could be read in more ways at once than are kept in mind. */
export class AmbiguousGrammarError extends Error {
  override readonly name = "AmbiguousGrammarError";
}
