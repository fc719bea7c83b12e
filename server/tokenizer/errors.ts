// The errors of `tokenizer/`.

/** Tokenizer files that cannot be used. `field` is a path into `file`, or "" for the file itself. */
export class TokenizerFileError extends Error {
  override readonly name = "TokenizerFileError";
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  constructor(file: string, problems: readonly { readonly field: string; readonly description: string }[]) {
    super(
      `${file} cannot be used. ${problems.map(({ field, description }) => `${field} ${description}`.trim()).join(" ")}`,
    );
    this.violations = problems.map(({ field, description }) => ({
      field: field === "" ? file : `${file}:${field}`,
      description,
    }));
  }
}

/** The folder has a chat template that is not Jinja, or too long. */
export class TemplateInvalidError extends Error {
  override readonly name = "TemplateInvalidError";
}

/** The folder has no chat template. */
export class TemplateMissingError extends Error {
  override readonly name = "TemplateMissingError";
}

/** The template refused these messages, or failed on them; the message is the template's own. */
export class TemplateFailedError extends Error {
  override readonly name = "TemplateFailedError";
}

/** A text too long to be encoded in acceptable time. */
export class TextTooLongError extends Error {
  override readonly name = "TextTooLongError";
  readonly limit: number;
  constructor(length: number, limit: number) {
    super(`The text has ${length} characters; at most ${limit} can be encoded. Shorten it.`);
    this.limit = limit;
  }
}
