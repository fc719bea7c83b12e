// The public surface of @modelwire/client: a short list, kept by hand.
export { status as Code } from "@grpc/grpc-js";
export type { FieldViolation, LoadedModel, Model, ModelFile, ModelSignature } from "@modelwire/proto";
export { ApiError, ErrorReason, FinishReason, ModelStatus } from "@modelwire/proto";
export type { CallOptions, MetadataInit } from "./call-options.ts";
export { ChatStream } from "./chat-stream.ts";
export type { ChatInput, ChatResult, ChatResultChoice, ChatTurn, FinishReasonName } from "./chat-types.ts";
export type { Chat, Models, ModelwireClient, SearchInput } from "./client.ts";
export { createClient } from "./client.ts";
export type { ClientOptions, TlsOptions } from "./client-options.ts";
export type { DownloadOptions, DownloadProgress, DownloadResult } from "./download.ts";
export type { RetryPolicy } from "./retry.ts";
export type { LogOptions, UploadProgress } from "./upload.ts";
