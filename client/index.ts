// The public surface of @modelwire/client: a short list, kept by hand.
export { status as Code } from "@grpc/grpc-js";
export type {
  FieldViolation,
  InspectModelResponse,
  LoadedModel,
  LogModelResponse,
  Model,
  ModelFile,
  ModelSignature,
  Runner,
  Signature,
} from "@modelwire/proto";
export {
  ApiError,
  CacheType,
  ErrorReason,
  FinishReason,
  ModelStatus,
  NodePlace,
  PackedWeightsSource,
  RunnerKind,
} from "@modelwire/proto";
export type { CallOptions, MetadataInit } from "./call-options.ts";
export { ChatResult, ChatResultChoice } from "./chat-result.ts";
export { ChatStream } from "./chat-stream.ts";
export type {
  ChatInput,
  ChatTimings,
  ChatTurn,
  FinishReasonName,
  JsonOf,
  ResponseFormat,
  TokenLogprob,
  TokenUsage,
} from "./chat-types.ts";
export type { Chat, Models, ModelwireClient, SearchInput } from "./client.ts";
export { createClient } from "./client.ts";
export type { ClientOptions, TlsOptions } from "./client-options.ts";
export type { ModelInput, ModelOutput } from "./data.ts";
export type { InputForm } from "./data-input.ts";
export type { DownloadOptions, DownloadProgress, DownloadResult } from "./download.ts";
export type { FromSchema } from "./json-schema.ts";
export type { Prediction } from "./prediction.ts";
export { PredictionStream } from "./prediction.ts";
export type { RetryPolicy } from "./retry.ts";
export type {
  ModelOptions,
  ModelParams,
  NoParams,
  PredictOptions,
  ServedModel,
  ServedTextModel,
  Tokens,
} from "./served-model.ts";
export type { ElementType, TensorArrays } from "./tensor.ts";
export { Tensor, tensor } from "./tensor.ts";
export type { ToolRun, ToolRunInput } from "./tool-run.ts";
export type { CallOf, Tool, ToolCallData, ToolChoice } from "./tools.ts";
export { ToolCall, tool } from "./tools.ts";
export type { LogOptions, UploadProgress } from "./upload.ts";
