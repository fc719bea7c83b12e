// Answers on the wire: pieces as they form, their end, and all of it folded into one message. It must never know how a call
// is made.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChatDelta,
  ChatDeltaSchema,
  type ChatDone,
  ChatDoneSchema,
  type ChatResponse,
  ChatResponseSchema,
  type ChoiceEnd,
  ChoiceEndSchema,
  FinishReason,
  type TokenLogprob,
  type TokenLogprobSchema,
  type ToolCallDelta,
} from "@modelwire/proto";
import type { GenerateEvent, TokenLogprob as PlainLogprob } from "../inference/host.ts";
import { durationOf, optionsInForce } from "./inference-messages.ts";

export function chatDelta({
  index,
  text,
  tokenIds,
  logprobs,
  toolCalls,
}: GenerateEvent & { type: "delta" }): ChatDelta {
  return create(ChatDeltaSchema, {
    ...{ index, content: text, tokenIds },
    ...(logprobs && { logprobs: logprobs.map(tokenLogprob) }),
    ...(toolCalls && {
      toolCalls: toolCalls.map(({ arguments: argumentsJson, ...call }) => ({ ...call, argumentsJson })),
    }),
  });
}

function tokenLogprob({ id, text, bytes, logprob, top }: PlainLogprob): MessageInitShape<typeof TokenLogprobSchema> {
  return { tokenId: id, text, utf8: new Uint8Array(bytes), logprob, ...(top && { top: top.map(tokenLogprob) }) };
}

const FINISH_REASONS = {
  stop: FinishReason.STOP,
  length: FinishReason.LENGTH,
  tool_calls: FinishReason.TOOL_CALLS,
} as const;

export function choiceEnd({ index, reason, stopString, stopTokenId }: GenerateEvent & { type: "finish" }): ChoiceEnd {
  return create(ChoiceEndSchema, {
    ...{ index, finishReason: FINISH_REASONS[reason] },
    ...(stopString !== undefined && { stopText: stopString }),
    ...(stopTokenId !== undefined && { stopTokenId }),
  });
}

/** What the last message says; id, model, time and choices are the caller's to add. */
export function chatDone({ usage, timings, options, seed, reproducible }: GenerateEvent & { type: "done" }): ChatDone {
  return create(ChatDoneSchema, {
    usage: { ...usage, totalTokens: usage.promptTokens + usage.completionTokens },
    timings: {
      queue: durationOf(timings.queueMs),
      timeToFirstToken: durationOf(timings.timeToFirstTokenMs),
      total: durationOf(timings.timeToFirstTokenMs + timings.generationMs),
      tokensPerSecond: timings.tokensPerSecond,
      steps: timings.steps,
      draftedTokens: timings.draftedTokens,
      acceptedTokens: timings.acceptedTokens,
    },
    options: { logprobs: false, ...optionsInForce({ ...options, seed }) },
    reproducible,
  });
}

/** An answer as it grows, choice by choice, until it is whole. */
export class FoldedChat {
  readonly #choices = new Map<number, { text: string; logprobs: TokenLogprob[]; calls: ToolCallDelta[] }>();

  add({ index, content, logprobs, toolCalls }: ChatDelta): void {
    const choice = this.#choices.get(index) ?? { text: "", logprobs: [], calls: [] };
    this.#choices.set(index, choice);
    choice.text += content;
    choice.logprobs.push(...logprobs);
    for (const piece of toolCalls) {
      const call = choice.calls.find((known) => known.index === piece.index);
      if (call) call.argumentsJson += piece.argumentsJson;
      else choice.calls.push(piece);
    }
  }

  end({ $typeName: _, $unknown: __, choices, ...same }: ChatDone): ChatResponse {
    return create(ChatResponseSchema, {
      ...same,
      choices: choices.map(({ index, finishReason, stopText, stopTokenId }) => {
        const { text: content, logprobs, calls } = this.#choices.get(index) ?? { text: "", logprobs: [], calls: [] };
        const toolCalls = calls.map(({ id, name, argumentsJson }) => ({ id, name, argumentsJson }));
        const message = { role: "assistant", content, toolCalls };
        return { index, finishReason, stopText, stopTokenId, logprobs, message };
      }),
    });
  }
}
