// The errors of `decoder/`. Each says which number was too large and what would fit.

/** Every place in the queue is taken. The request may be tried again. */
export class QueueFullError extends Error {
  override readonly name = "QueueFullError";
  readonly queueLimit: number;
  /** When there is likely to be room. */
  readonly retryAfterMs: number;
  constructor(queueLimit: number, retryAfterMs: number) {
    super(
      `${queueLimit} requests are waiting already, which is the limit. Try again in about ${seconds(retryAfterMs)}.`,
    );
    this.queueLimit = queueLimit;
    this.retryAfterMs = retryAfterMs;
  }
}

/** As things are the first token would come after the deadline: nothing was computed. The request may be tried again. */
export class DeadlineUnreachableError extends Error {
  override readonly name = "DeadlineUnreachableError";
  /** Until the first token, as things are. */
  readonly estimateMs: number;
  /** Until the deadline. */
  readonly remainingMs: number;
  readonly retryAfterMs: number;
  constructor(estimateMs: number, remainingMs: number, retryAfterMs: number) {
    super(
      `The first token would come in about ${seconds(estimateMs)}, but the deadline is in ${seconds(remainingMs)}. ` +
        `Allow more time, or try again in about ${seconds(retryAfterMs)}.`,
    );
    this.estimateMs = estimateMs;
    this.remainingMs = remainingMs;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The deadline passed while the request waited or ran. */
export class DeadlineExpiredError extends Error {
  override readonly name = "DeadlineExpiredError";
  /** Tokens that the answer had by then. */
  readonly generatedTokens: number;
  constructor(generatedTokens: number) {
    super(`The deadline has passed; the answer had ${generatedTokens} tokens.`);
    this.generatedTokens = generatedTokens;
  }
}

/** Prompt and answer cannot fit the memory for keys and values, even if nobody else had any of it. */
export class CacheTooSmallError extends Error {
  override readonly name = "CacheTooSmallError";
  readonly promptTokens: number;
  /** Positions of the whole cache. */
  readonly cacheTokens: number;
  readonly maxTokens: number | undefined;
  constructor(promptTokens: number, cacheTokens: number, maxTokens: number | undefined) {
    const sum = promptTokens + (maxTokens ?? 1);
    const asked = maxTokens === undefined ? "a token of the answer" : `max_tokens of ${maxTokens}`;
    const room = cacheTokens - promptTokens;
    super(
      `The prompt's ${promptTokens} tokens and ${asked} are ${sum} together, but the cache has room for ${cacheTokens}. ` +
        (room > 0 ? `Ask for at most ${room} tokens or shorten the prompt.` : "Shorten the prompt."),
    );
    this.promptTokens = promptTokens;
    this.cacheTokens = cacheTokens;
    this.maxTokens = maxTokens;
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

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
