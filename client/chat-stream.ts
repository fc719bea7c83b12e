// A chat's answer that forms: deltas with token ids, and the whole with its usage. It must never know how a call is made.
import type { ChatDelta, StreamChatResponse } from "@modelwire/proto";
import type { TextPiece } from "./answer-stream.ts";
import { AnswerStream } from "./answer-stream.ts";
import { type ChatResult, FoldedChat } from "./chat-result.ts";
import type { ToolCall } from "./tools.ts";

/** The answer to a conversation; {@link AnswerStream.final} gives it whole, with usage, timings and the seed. */
export class ChatStream<Json = unknown, Call extends ToolCall = ToolCall> extends AnswerStream<
  StreamChatResponse,
  ChatResult<Json, Call>
> {
  readonly #folded = new FoldedChat();

  /** Pieces of all choices, with their index, their token ids, log-probabilities and calls of tools as they form. */
  async *deltas(): AsyncGenerator<ChatDelta, void, undefined> {
    for await (const { event } of this.events()) if (event.case === "delta") yield event.value;
  }

  protected pieceOf({ event }: StreamChatResponse): TextPiece | undefined {
    return event.case === "delta" ? { index: event.value.index, text: event.value.content } : undefined;
  }

  protected resultOf({ event }: StreamChatResponse): ChatResult<Json, Call> | undefined {
    if (event.case === "delta") this.#folded.add(event.value);
    return event.case === "done" ? this.#folded.result(event.value) : undefined;
  }
}
