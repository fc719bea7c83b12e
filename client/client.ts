// Puts the client together: one channel, one property per service, and the helpers that make each pleasant. It must never
// hold logic of its own.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { LogModelResponse, Model, SearchModelsRequestSchema, ServiceClient } from "@modelwire/proto";
import {
  ApiError,
  ChatService,
  ModelService,
  PredictionService,
  ServingService,
  SignatureService,
  TokenizerService,
} from "@modelwire/proto";
import { serviceClient } from "./call.ts";
import type { CallOptions } from "./call-options.ts";
import { toChatRequest } from "./chat-request.ts";
import { type ChatResult, fromChatResponse } from "./chat-result.ts";
import { ChatStream } from "./chat-stream.ts";
import type { ChatInput, JsonOf, ResponseFormat } from "./chat-types.ts";
import type { ClientOptions } from "./client-options.ts";
import { Connection } from "./connection.ts";
import type { ModelInput, ModelOutput } from "./data.ts";
import type { DownloadOptions, DownloadResult } from "./download.ts";
import { downloadModel } from "./download.ts";
import { allPages } from "./pages.ts";
import type { ModelOptions, ModelParams, ServedTextModel } from "./served-model.ts";
import { servedModel } from "./served-model.ts";
import { runTools, type ToolRun, type ToolRunInput } from "./tool-run.ts";
import type { CallOf, Tool } from "./tools.ts";
import type { LogOptions } from "./upload.ts";
import { uploadModel } from "./upload.ts";

/** Which models to list. */
export type SearchInput = Omit<
  MessageInitShape<typeof SearchModelsRequestSchema>,
  "pageToken" | "$typeName" | "$unknown"
>;

/** All methods of modelwire.models.v1.ModelService, and the three that one rarely wants to write oneself. */
export interface Models extends ServiceClient<typeof ModelService, CallOptions> {
  /** Streams a model folder up; resolves with the committed model. See {@link LogOptions}. */
  log(folder: string, options: LogOptions): Promise<LogModelResponse>;
  /** Downloads all files of a model into a folder, which is made when missing; goes on where an earlier try broke off. */
  download(model: string, folder: string, options?: DownloadOptions): Promise<DownloadResult>;
  /** Every model, newest first, page by page behind the scenes. */
  searchAll(search?: SearchInput, options?: CallOptions): AsyncIterable<Model>;
}

/** All methods of modelwire.inference.v1.ChatService, and three that read like a conversation. */
export interface Chat extends ServiceClient<typeof ChatService, CallOptions> {
  /** The answer as it forms: `for await` over it gives text, `final()` the whole. */
  stream<const Format extends ResponseFormat | undefined, const Tools extends readonly Tool[] = readonly Tool[]>(
    input: ChatInput<Format, Tools>,
    options?: CallOptions,
  ): ChatStream<JsonOf<Format>, CallOf<Tools[number]>>;
  /** The whole answer at once: the same tokens, in one message. */
  complete<const Format extends ResponseFormat | undefined, const Tools extends readonly Tool[] = readonly Tool[]>(
    input: ChatInput<Format, Tools>,
    options?: CallOptions,
  ): Promise<ChatResult<JsonOf<Format>, CallOf<Tools[number]>>>;
  /** Asks until no tool is called any more, and has each call answered by the `call` of its tool. See {@link ToolRun}. */
  runTools<const Tools extends readonly Tool[]>(input: ToolRunInput<Tools>, options?: CallOptions): Promise<ToolRun>;
}

export interface ModelwireClient extends Disposable, AsyncDisposable {
  /** The address that was given. */
  readonly address: string;
  readonly models: Models;
  readonly chat: Chat;
  /** All methods of modelwire.inference.v1.ServingService. */
  readonly serving: ServiceClient<typeof ServingService, CallOptions>;
  /** All methods of modelwire.inference.v1.PredictionService; {@link model} is nicer to use. */
  readonly prediction: ServiceClient<typeof PredictionService, CallOptions>;
  /** All methods of modelwire.signatures.v1.SignatureService. */
  readonly signatures: ServiceClient<typeof SignatureService, CallOptions>;
  /** All methods of modelwire.inference.v1.TokenizerService. */
  readonly tokenizer: ServiceClient<typeof TokenizerService, CallOptions>;
  /**
   * A model to ask by its signature, with the types that it takes and gives. `modelwire codegen` writes them, and this
   * call. Makes no call itself.
   *
   * @param uri model id, models:/ URI, or a name, which means the newest READY model of that name
   */
  model<Input = ModelInput, Output = ModelOutput, Params = ModelParams>(
    uri: string,
    options?: ModelOptions,
  ): ServedTextModel<Input, Output, Params>;
  /**
   * Resolves when the server can be reached.
   *
   * @throws ApiError DEADLINE_EXCEEDED when that takes longer than `timeoutMs`, 10,000 when absent.
   */
  ready(options?: { timeoutMs?: number }): Promise<void>;
  /** Cancels running calls and closes the connection. `using` and `await using` do the same. */
  close(): void;
}

/**
 * A client for a Modelwire server. Connects at the first call.
 *
 * @param address `host:port`, `[v6]:port` or `unix:/path`. In plain text only to this machine, unless `insecure` is set.
 * @throws ApiError INVALID_ARGUMENT for an address that is malformed or needs `tls` or `insecure`.
 */
export function createClient(address: string, options: ClientOptions = {}): ModelwireClient {
  const connection = new Connection(address, options);
  const models = serviceClient(connection, ModelService);
  const chat = serviceClient(connection, ChatService);
  const prediction = serviceClient(connection, PredictionService);
  const signatures = serviceClient(connection, SignatureService);
  const tokenizer = serviceClient(connection, TokenizerService);
  const complete: Chat["complete"] = async (input, call) =>
    fromChatResponse(await chat.chat(toChatRequest(input) as never, call));
  const close = () => connection.close();
  return {
    address,
    models: {
      ...models,
      log: (folder, log) => uploadModel(models, connection.retry, folder, log),
      download: (model, folder, download) => downloadModel(models, connection.retry, model, folder, download),
      searchAll: (search, call) =>
        allPages(async (pageToken) => {
          const page = await models.searchModels({ ...search, pageToken }, call);
          return { items: page.models, nextPageToken: page.nextPageToken };
        }),
    },
    chat: {
      ...chat,
      stream: (input, call) => {
        const request = toChatRequest(input);
        return new ChatStream((signal) => chat.streamChat(request, { ...call, signal }), call?.signal);
      },
      complete,
      runTools: (input, call) => runTools(complete, input, call),
    },
    serving: serviceClient(connection, ServingService),
    prediction,
    signatures,
    tokenizer,
    model: (uri, options) => servedModel({ prediction, signatures, tokenizer }, uri, options),
    ready: ({ timeoutMs = 10_000 } = {}) =>
      new Promise((resolve, reject) => {
        connection.grpc.waitForReady(Date.now() + timeoutMs, (error) => {
          const message = `${address} could not be reached within ${timeoutMs} ms`;
          if (error) reject(new ApiError({ code: status.DEADLINE_EXCEEDED }, message, { cause: error }));
          else resolve();
        });
      }),
    close,
    [Symbol.dispose]: close,
    [Symbol.asyncDispose]: async () => close(),
  };
}
