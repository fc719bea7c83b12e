// An answer that forms: read it as text, as raw events, or all at once. It must never know how a call is made, nor which
// service answers.
import { status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";
import { onAbort } from "./on-abort.ts";

/** A piece of text, and the choice that it belongs to. */
export interface TextPiece {
  readonly index: number;
  readonly text: string;
}

/**
 * The answer to one question.
 *
 * `for await (const text of stream)` gives the text of choice 0 as it comes. The request is sent when reading begins,
 * and messages are fetched as they are asked for: a slow reader slows the server's work for this answer down, and
 * nothing else.
 *
 * What has come is remembered. So {@link final} has the whole text whatever was read before, and every loop begins at
 * the beginning. Leaving a loop early, with `break`, `return` or an error, cancels the call, as {@link cancel} does;
 * reading on after that throws an ApiError with code CANCELLED.
 */
export abstract class AnswerStream<Response, Result> implements AsyncIterable<string> {
  readonly #responses: AsyncIterator<Response>;
  readonly #cancelled = new AbortController();
  readonly #received: Response[] = [];
  readonly #texts = new Map<number, string>();
  /** The fetch that is under way, shared by all who wait for the same message. */
  #fetching: Promise<void> | undefined;
  #result: { whole: Result } | undefined;
  #end: { error?: unknown } | undefined;

  /**
   * @param open makes the call, which must begin at the first read and end when the signal aborts
   * @param signal of the caller
   */
  constructor(open: (signal: AbortSignal) => AsyncIterable<Response>, signal?: AbortSignal) {
    this.#responses = responses(open, this.#cancelled, signal);
  }

  /** The text that a message brings; undefined when it brings none. */
  protected abstract pieceOf(response: Response): TextPiece | undefined;

  /** The whole answer of the last message and the texts before it; undefined for any other message. */
  protected abstract resultOf(response: Response, texts: ReadonlyMap<number, string>): Result | undefined;

  /** The text of choice 0 that has been received so far: what there is of an answer that was cancelled. */
  get text(): string {
    return this.textOf(0);
  }

  /** The text of one choice that has been received so far. */
  textOf(index: number): string {
    return this.#texts.get(index) ?? "";
  }

  /** Text of choice 0 in pieces that are never empty and never split a character. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    for await (const response of this.events()) {
      const piece = this.pieceOf(response);
      if (piece?.index === 0 && piece.text !== "") yield piece.text;
    }
  }

  /** The messages as they came: deltas, then `done`. */
  async *events(): AsyncGenerator<Response, void, undefined> {
    let finished = false;
    try {
      for (let next = 0; await this.#has(next); next++) yield this.#received[next] as Response;
      finished = true;
    } finally {
      if (!finished) await this.#abandon();
    }
  }

  /**
   * The whole answer. Reads what is left of the stream.
   *
   * @throws ApiError with what the call ended with; CANCELLED after {@link cancel} or a `break`.
   */
  async final(): Promise<Result> {
    while (await this.#has(this.#received.length)) {
      // Fetching folds; there is nothing else to do.
    }
    return (this.#result as { whole: Result }).whole;
  }

  /** Ends the call. What is waiting for it, and whoever reads on, gets an ApiError with code CANCELLED. Twice is no error. */
  cancel(reason?: unknown): void {
    this.#cancelled.abort(reason);
  }

  /** Whether there is a message at this place; waits for it to come. @throws what the call ended with. */
  async #has(place: number): Promise<boolean> {
    while (place >= this.#received.length) {
      if (this.#end) {
        if ("error" in this.#end) throw this.#end.error;
        return false;
      }
      this.#fetching ??= this.#fetch().finally(() => {
        this.#fetching = undefined;
      });
      await this.#fetching;
    }
    return true;
  }

  async #fetch(): Promise<void> {
    try {
      const next = await this.#responses.next();
      if (!next.done) {
        this.#fold(next.value);
        this.#received.push(next.value);
      } else if (this.#result) {
        this.#end = {};
      } else {
        throw new ApiError({ code: status.INTERNAL }, "the server ended the answer without its last message");
      }
    } catch (error) {
      this.#end = { error };
      throw error;
    }
  }

  #fold(response: Response): void {
    const piece = this.pieceOf(response);
    if (piece) this.#texts.set(piece.index, this.textOf(piece.index) + piece.text);
    const whole = this.resultOf(response, this.#texts);
    if (whole !== undefined) this.#result = { whole };
  }

  /** A loop was left: cancels, and waits until the call has really ended. */
  async #abandon(): Promise<void> {
    if (this.#end) return;
    this.cancel();
    // A fetch under way ends with CANCELLED now, and tells those who wait for it; with none, this one finds the end.
    await this.#has(Number.POSITIVE_INFINITY).catch(() => {});
  }
}

/** The call's messages. The caller's signal is listened to while it runs, so that an answer nobody reads leaves nothing on it. */
async function* responses<Response>(
  open: (signal: AbortSignal) => AsyncIterable<Response>,
  cancelled: AbortController,
  signal: AbortSignal | undefined,
): AsyncGenerator<Response, void, undefined> {
  const off = onAbort(signal, () => cancelled.abort(signal?.reason));
  try {
    yield* open(cancelled.signal);
  } finally {
    off();
  }
}
