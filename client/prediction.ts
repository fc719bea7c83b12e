// A prediction in the words of a TypeScript program: whole, or as its text forms. It must never know how a call is made.
import type { Duration } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type { PredictResponse, StreamPredictResponse, TextDelta } from "@modelwire/proto";
import { ApiError } from "@modelwire/proto";
import type { TextPiece } from "./answer-stream.ts";
import { AnswerStream } from "./answer-stream.ts";
import { tokenUsage } from "./chat-result.ts";
import type { TokenUsage } from "./chat-types.ts";
import { fromDataOutput } from "./data-input.ts";

/** A whole prediction. */
export interface Prediction<Output> {
  /** What MLflow's scoring server puts under `predictions`; tensors for tensors; text for a JSON body. */
  output: Output;
  /** The model that answered. */
  modelId: string;
  /** What was dropped because the signature does not know it; with `strict` it is an error instead. */
  ignored: { columns: string[]; params: string[] };
  /** Absent for models without tokens. */
  usage?: TokenUsage;
  /** Where the time went, as the server saw it, in milliseconds. */
  timings: { enforcementMs: number; modelMs: number };
}

/**
 * A prediction that forms. A model that gives no text has no pieces, only the whole. Several rows are answered side by
 * side: their choices are numbered through.
 */
export class PredictionStream<Output> extends AnswerStream<StreamPredictResponse, Prediction<Output>> {
  /** Pieces of all choices, with their index. */
  async *deltas(): AsyncGenerator<TextDelta, void, undefined> {
    for await (const { event } of this.events()) if (event.case === "delta") yield event.value;
  }

  protected pieceOf({ event }: StreamPredictResponse): TextPiece | undefined {
    return event.case === "delta" ? event.value : undefined;
  }

  protected resultOf({ event }: StreamPredictResponse): Prediction<Output> | undefined {
    return event.case === "done" ? prediction(event.value) : undefined;
  }
}

/**
 * The prediction of a response. That its output is an `Output` is the caller's word.
 *
 * @throws ApiError INTERNAL for a response without an output.
 */
export function prediction<Output>(response: PredictResponse): Prediction<Output> {
  const { modelId, output, ignored, usage, timings } = response;
  if (output?.form.case === undefined)
    throw new ApiError({ code: status.INTERNAL }, "the server answered without a prediction");
  return {
    output: fromDataOutput(output) as Output,
    modelId,
    ignored: { columns: ignored?.columns ?? [], params: ignored?.params ?? [] },
    ...(usage && { usage: tokenUsage(usage) }),
    timings: {
      enforcementMs: milliseconds(timings?.enforcement),
      modelMs: milliseconds(timings?.model),
    },
  };
}

/** With what is below a millisecond: a small model takes less than one. */
function milliseconds(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) * 1_000 + duration.nanos / 1e6 : 0;
}
