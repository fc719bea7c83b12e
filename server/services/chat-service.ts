// ChatService: check, resolve the model, yield what the engine yields. The unary call is the streaming one, folded.
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import {
  type ChatDone,
  ChatDoneSchema,
  type ChatRequest,
  type ChatResponse,
  ChatResponseSchema,
  type ChatService,
  type ChoiceEnd,
  ChoiceEndSchema,
  FinishReason,
  type ServiceHandlers,
  type StreamChatRequest,
  type StreamChatResponse,
  StreamChatResponseSchema,
} from "@modelwire/proto";
import type { GenerateEvent, InferenceHost } from "../inference/host.ts";
import type { CallContext } from "../rpc/context.ts";
import { checkChat, toGenerateOptions } from "./chat-options.ts";
import { fromInference } from "./inference-errors.ts";
import { durationOf, optionsInForce, plainMessage } from "./inference-messages.ts";
import type { ModelLoader } from "./model-loader.ts";

export function chatService(
  loader: ModelLoader,
  host: InferenceHost,
): ServiceHandlers<typeof ChatService, CallContext> {
  async function* stream(
    request: ChatRequest | StreamChatRequest,
    context: CallContext,
  ): AsyncGenerator<StreamChatResponse> {
    checkChat(request);
    const createTime = timestampNow();
    const { modelId } = await loader.load(request.model, context.signal);
    const choices: ChoiceEnd[] = [];
    const generation = {
      model: modelId,
      messages: request.messages.map(plainMessage),
      options: toGenerateOptions(request.options),
    };
    try {
      for await (const event of host.generate(generation, context.signal)) {
        if (event.type === "delta") yield delta(event);
        else if (event.type === "finish") choices.push(choiceEnd(event));
        else {
          choices.sort((a, b) => a.index - b.index);
          const value = { ...totals(event), id: `chatcmpl-${context.requestId}`, modelId, createTime, choices };
          yield create(StreamChatResponseSchema, { event: { case: "done", value } });
        }
      }
    } catch (error) {
      throw fromInference(error);
    }
  }

  return {
    streamChat: stream,
    async chat(request, context) {
      const texts: string[] = [];
      let end: ChatDone | undefined;
      for await (const { event } of stream(request, context)) {
        if (event.case === "delta") texts[event.value.index] = (texts[event.value.index] ?? "") + event.value.content;
        else if (event.case === "done") end = event.value;
      }
      if (!end) throw new Error("the engine ended without a done event");
      return fold(end, texts);
    },
  };
}

function delta({ index, text, tokenIds }: GenerateEvent & { type: "delta" }): StreamChatResponse {
  return create(StreamChatResponseSchema, { event: { case: "delta", value: { index, content: text, tokenIds } } });
}

function choiceEnd({ index, reason, stopString }: GenerateEvent & { type: "finish" }): ChoiceEnd {
  const finishReason = reason === "stop" ? FinishReason.STOP : FinishReason.LENGTH;
  return create(ChoiceEndSchema, { index, finishReason, ...(stopString !== undefined && { stopText: stopString }) });
}

function totals({ usage, timings, options, seed }: GenerateEvent & { type: "done" }): ChatDone {
  return create(ChatDoneSchema, {
    usage: { ...usage, totalTokens: usage.promptTokens + usage.completionTokens },
    timings: {
      queue: durationOf(timings.queueMs),
      timeToFirstToken: durationOf(timings.timeToFirstTokenMs),
      total: durationOf(timings.timeToFirstTokenMs + timings.generationMs),
      tokensPerSecond: timings.tokensPerSecond,
    },
    options: optionsInForce({ ...options, seed }),
  });
}

function fold(end: ChatDone, texts: readonly string[]): ChatResponse {
  const { id, modelId, createTime, usage, timings, options } = end;
  return create(ChatResponseSchema, {
    ...{ id, modelId, createTime, usage, timings, options },
    choices: end.choices.map(({ index, finishReason, stopText }) => ({
      ...{ index, finishReason, stopText },
      message: { role: "assistant", content: texts[index] ?? "" },
    })),
  });
}
