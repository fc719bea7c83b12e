// The errors of `decoder/`. Each says which number was too large and what would fit.

/** Every place in the queue is taken. The request may be tried again. */
export class QueueFullError extends Error {
  override readonly name = "QueueFullError";
  readonly queueLimit: number;
  constructor(queueLimit: number) {
    super(`${queueLimit} requests are waiting already, which is the limit. Try again later.`);
    this.queueLimit = queueLimit;
  }
}

/** Prompt and answer cannot fit the model's context. */
export class ContextOverflowError extends Error {
  override readonly name = "ContextOverflowError";
  readonly promptTokens: number;
  readonly contextLength: number;
  readonly maxTokens: number | undefined;
  constructor(promptTokens: number, contextLength: number, maxTokens: number | undefined) {
    const asked = maxTokens === undefined ? "" : ` and max_tokens is ${maxTokens}`;
    const room = contextLength - promptTokens;
    super(
      `The prompt has ${promptTokens} tokens${asked}, but the context of the model is ${contextLength} tokens. ` +
        (room > 0 ? `Ask for at most ${room} tokens or shorten the prompt.` : "Shorten the prompt."),
    );
    this.promptTokens = promptTokens;
    this.contextLength = contextLength;
    this.maxTokens = maxTokens;
  }
}

/** An option or a token id that makes no sense. */
export class InvalidRequestError extends Error {
  override readonly name = "InvalidRequestError";
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  constructor(violations: readonly { readonly field: string; readonly description: string }[]) {
    super(violations.map((violation) => `${violation.field}: ${violation.description}`).join(" "));
    this.violations = violations;
  }
}

/** The engine was closed while the request waited or ran. */
export class EngineClosedError extends Error {
  override readonly name = "EngineClosedError";
  constructor() {
    super("The engine has been closed.");
  }
}

/** The model gave logits without a largest one: not a number, or nothing finite. */
export class LogitsError extends Error {
  override readonly name = "LogitsError";
  constructor() {
    super("The model computed logits that are not numbers. The weights or the graph of the model are broken.");
  }
}
