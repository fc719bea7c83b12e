// The one class of error that leaves `inference/`, and how the errors of the parts below become it. It travels between
// threads as plain data. It knows no gRPC codes: services map reasons to them.

import {
  CacheTooSmallError,
  ContextOverflowError,
  DeadlineExpiredError,
  DeadlineUnreachableError,
  EngineClosedError,
  InvalidRequestError,
  LogitsError,
  QueueFullError,
} from "../decoder/errors.ts";
import { AmbiguousGrammarError } from "../grammar/errors.ts";
import { GraphInputError, ModelFolderError, OrtError, RuntimeUnavailableError } from "../onnx/errors.ts";
import {
  TemplateFailedError,
  TemplateInvalidError,
  TemplateMissingError,
  TextTooLongError,
  TokenizerFileError,
} from "../tokenizer/errors.ts";

export type InferenceReason =
  /** The platform has no native library, another version is installed, or the worker is not built. */
  | "RUNTIME_UNAVAILABLE"
  /** A model folder is broken; `violations` says everything that is wrong. */
  | "MODEL_INVALID"
  | "MODEL_NOT_LOADED"
  /** The native library failed on a model that had been accepted. */
  | "MODEL_FAILED"
  /** A graph cannot be run on what it was fed; `violations` says everything that is wrong. */
  | "PREDICTION_FAILED"
  /** Prompt and answer do not fit. Metadata: prompt_tokens, context_length, max_tokens if given. */
  | "CONTEXT_OVERFLOW"
  /** Metadata: queue_limit, retry_after_ms. */
  | "QUEUE_FULL"
  /** Prompt and answer do not fit the memory for keys and values. Metadata: prompt_tokens, max_tokens, cache_tokens. */
  | "CACHE_TOO_SMALL"
  /** As things are the first token would come after the deadline. Metadata: estimate_ms, remaining_ms, retry_after_ms. */
  | "DEADLINE_UNREACHABLE"
  /** The deadline passed while it waited or ran. */
  | "DEADLINE_EXPIRED"
  /** The chat template knows no tools. */
  | "TOOLS_NOT_SUPPORTED"
  /** A schema, expression or grammar that cannot be kept to; `violations` says everything that is wrong. */
  | "INVALID_FORMAT"
  /** The chat template refuses the messages. */
  | "TEMPLATE_FAILED"
  /** The folder has no chat template. */
  | "TEMPLATE_MISSING"
  | "INVALID_OPTION"
  /** The inference thread ended. The next load starts another. */
  | "WORKER_DIED"
  /** The host has been closed. */
  | "CLOSED"
  /** Our mistake. */
  | "INTERNAL";

export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** An InferenceError as data. */
export interface ErrorData {
  readonly reason: InferenceReason;
  readonly message: string;
  readonly violations: readonly Violation[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly stack?: string;
}

export class InferenceError extends Error {
  override readonly name = "InferenceError";
  readonly reason: InferenceReason;
  readonly violations: readonly Violation[];
  readonly metadata: Readonly<Record<string, string>>;

  constructor(
    reason: InferenceReason,
    message: string,
    details: { violations?: readonly Violation[]; metadata?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.violations = details.violations ?? [];
    this.metadata = details.metadata ?? {};
  }
}

export function toErrorData(error: unknown): ErrorData {
  const { reason, message, violations, metadata, stack } = toInferenceError(error);
  return { reason, message, violations, metadata, stack };
}

export function fromErrorData(data: ErrorData): InferenceError {
  const error = new InferenceError(data.reason, data.message, data);
  // The stack of the thread that knows what happened says more than that of the one that heard of it.
  if (data.stack !== undefined) error.stack = data.stack;
  return error;
}

export function toInferenceError(error: unknown): InferenceError {
  if (error instanceof InferenceError) return error;
  const as = (
    reason: InferenceReason,
    details: { violations?: readonly Violation[]; metadata?: Record<string, string> } = {},
  ) => {
    const made = new InferenceError(reason, (error as Error).message, { ...details, cause: error });
    made.stack = (error as Error).stack;
    return made;
  };
  if (error instanceof RuntimeUnavailableError) return as("RUNTIME_UNAVAILABLE");
  if (error instanceof ModelFolderError || error instanceof TokenizerFileError)
    return as("MODEL_INVALID", { violations: error.violations });
  if (error instanceof GraphInputError) return as("PREDICTION_FAILED", { violations: error.violations });
  if (error instanceof TemplateInvalidError)
    return as("MODEL_INVALID", { violations: [{ field: "chat_template", description: error.message }] });
  if (error instanceof TemplateMissingError) return as("TEMPLATE_MISSING");
  if (error instanceof TemplateFailedError)
    return as("TEMPLATE_FAILED", { violations: [{ field: "messages", description: error.message }] });
  if (error instanceof TextTooLongError)
    return as("INVALID_OPTION", { violations: [{ field: "text", description: error.message }] });
  if (error instanceof QueueFullError)
    return as("QUEUE_FULL", {
      metadata: { queue_limit: `${error.queueLimit}`, retry_after_ms: whole(error.retryAfterMs) },
    });
  if (error instanceof DeadlineUnreachableError)
    return as("DEADLINE_UNREACHABLE", {
      metadata: {
        estimate_ms: whole(error.estimateMs),
        remaining_ms: whole(error.remainingMs),
        retry_after_ms: whole(error.retryAfterMs),
      },
    });
  if (error instanceof DeadlineExpiredError)
    return as("DEADLINE_EXPIRED", { metadata: { generated_tokens: `${error.generatedTokens}` } });
  if (error instanceof CacheTooSmallError) {
    const { promptTokens, cacheTokens, maxTokens } = error;
    const metadata = { prompt_tokens: `${promptTokens}`, cache_tokens: `${cacheTokens}` };
    return as("CACHE_TOO_SMALL", {
      metadata: maxTokens === undefined ? metadata : { ...metadata, max_tokens: `${maxTokens}` },
    });
  }
  if (error instanceof InvalidRequestError) return as("INVALID_OPTION", { violations: error.violations });
  if (error instanceof EngineClosedError) return as("MODEL_NOT_LOADED");
  if (error instanceof AmbiguousGrammarError)
    return as("INVALID_FORMAT", { violations: [{ field: "response_format", description: error.message }] });
  if (error instanceof LogitsError || error instanceof OrtError) return as("MODEL_FAILED");
  if (error instanceof ContextOverflowError) {
    const { promptTokens, contextLength, maxTokens } = error;
    const metadata = { prompt_tokens: `${promptTokens}`, context_length: `${contextLength}` };
    return as("CONTEXT_OVERFLOW", {
      metadata: maxTokens === undefined ? metadata : { ...metadata, max_tokens: `${maxTokens}` },
    });
  }
  if (error instanceof Error) return as("INTERNAL");
  return new InferenceError("INTERNAL", `Something that is not an error was thrown: ${String(error)}`);
}

function whole(ms: number): string {
  return `${Math.ceil(ms)}`;
}
