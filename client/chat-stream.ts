// A chat's answer that forms: deltas with token ids, and the whole with its usage. It must never know how a call is made.
import type { ChatDelta, StreamChatResponse } from "@modelwire/proto";
import type { TextPiece } from "./answer-stream.ts";
import { AnswerStream } from "./answer-stream.ts";
import type { ChatResult } from "./chat-types.ts";
import { chatResult } from "./chat-types.ts";

/** The answer to a conversation; {@link AnswerStream.final} gives it whole, with usage, timings and the seed. */
export class ChatStream extends AnswerStream<StreamChatResponse, ChatResult> {
  /** Pieces of all choices, with their index and their token ids. */
  async *deltas(): AsyncGenerator<ChatDelta, void, undefined> {
    for await (const { event } of this.events()) if (event.case === "delta") yield event.value;
  }

  protected pieceOf({ event }: StreamChatResponse): TextPiece | undefined {
    return event.case === "delta" ? { index: event.value.index, text: event.value.content } : undefined;
  }

  protected resultOf({ event }: StreamChatResponse, texts: ReadonlyMap<number, string>): ChatResult | undefined {
    return event.case === "done" ? chatResult(event.value, texts) : undefined;
  }
}
