// ChatService: check, resolve the model, yield what the engine yields. The unary call is the streaming one, folded.
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import {
  type ChatRequest,
  type ChatResponse,
  type ChatService,
  type ChoiceEnd,
  type ServiceHandlers,
  type StreamChatRequest,
  type StreamChatResponse,
  StreamChatResponseSchema,
} from "@modelwire/proto";
import type { InferenceHost } from "../inference/host.ts";
import type { CallContext } from "../rpc/context.ts";
import { chatDelta, chatDone, choiceEnd, FoldedChat } from "./chat-answers.ts";
import { askedOf, checkChat } from "./chat-request.ts";
import { fromInference } from "./inference-errors.ts";
import type { ModelLoader } from "./model-loader.ts";
import { type PrefixScope, standingOf } from "./standing.ts";

/** @param prefixScope among whom computed beginnings of prompts are shared; default "shared" */
export function chatService(
  loader: Pick<ModelLoader, "load">,
  host: Pick<InferenceHost, "generate">,
  { prefixScope = "shared" }: { prefixScope?: PrefixScope } = {},
): ServiceHandlers<typeof ChatService, CallContext> {
  async function* stream(
    request: ChatRequest | StreamChatRequest,
    context: CallContext,
  ): AsyncGenerator<StreamChatResponse> {
    checkChat(request);
    const createTime = timestampNow();
    const standing = standingOf(context, prefixScope, request.cacheSalt);
    const { modelId } = await loader.load(request.model, context.signal);
    const choices: ChoiceEnd[] = [];
    try {
      for await (const event of host.generate({ model: modelId, ...askedOf(request), ...standing }, context.signal)) {
        if (event.type === "delta") yield response({ case: "delta", value: chatDelta(event) });
        else if (event.type === "finish") choices.push(choiceEnd(event));
        else {
          choices.sort((a, b) => a.index - b.index);
          const value = { ...chatDone(event), id: `chatcmpl-${context.requestId}`, modelId, createTime, choices };
          yield response({ case: "done", value });
        }
      }
    } catch (error) {
      throw fromInference(error, "options.");
    }
  }

  return {
    streamChat: stream,
    async chat(request, context) {
      const answer = new FoldedChat();
      let whole: ChatResponse | undefined;
      for await (const { event } of stream(request, context)) {
        if (event.case === "delta") answer.add(event.value);
        else if (event.case === "done") whole = answer.end(event.value);
      }
      if (!whole) throw new Error("the engine ended without a done event");
      return whole;
    },
  };
}

function response(event: StreamChatResponse["event"]): StreamChatResponse {
  return create(StreamChatResponseSchema, { event });
}
