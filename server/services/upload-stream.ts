// The order of an upload: header, then files, each a start, chunks and an end, then the upload's end. It turns messages
// into a header and an iterable of files, and must never know where the bytes go.
import { ApiError, type FileStart, type LogModelHeader, type LogModelRequest } from "@modelwire/proto";

/** A file on its way. Its chunks must be read to the end before the next file is asked for. */
export interface IncomingFile {
  readonly start: FileStart;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** SHA-256 as the sender says, lower-case hexadecimal; known when the chunks have been read. */
  sha256(): string;
}

/** Most files of one model: a folder of a model has tens, and each costs the store an inode and a flush. */
const MAX_FILES = 10_000;

/** @throws ApiError STREAM_ORDER when the first message is no header. */
export async function readHeader(messages: AsyncIterator<LogModelRequest>): Promise<LogModelHeader> {
  const first = await messages.next();
  if (first.done) throw outOfOrder("the stream ended before the header");
  const { message } = first.value;
  if (message.case !== "header") throw outOfOrder(`the first message must be a header, got ${nameOf(first.value)}`);
  return message.value;
}

/**
 * The files, until the upload's end.
 *
 * The end of the stream is not enough: Node's HTTP/2 client half-closes a stream before it resets it, so that a client
 * that cancels between two files looks for a moment like one that is done. Half a model must never be taken for a model.
 *
 * @param maxBytes Most bytes of all files together.
 * @throws ApiError STREAM_ORDER at the first message that does not fit, LIMIT_EXCEEDED for too many files or bytes.
 */
export async function* incomingFiles(
  messages: AsyncIterator<LogModelRequest>,
  maxBytes: number,
): AsyncGenerator<IncomingFile> {
  let bytes = 0;
  const take = (more: number) => {
    bytes += more;
    if (bytes > maxBytes) throw tooMuch(`more than ${maxBytes} bytes (the server's --max-model-bytes)`);
  };
  for (let count = 0; ; count += 1) {
    const next = await messages.next();
    if (next.done) throw outOfOrder(`the stream ended without the upload's end, after ${count} files`);
    const { message } = next.value;
    if (message.case === "end") return checkEnd(message.value.fileCount, count);
    if (message.case !== "fileStart") throw outOfOrder(`expected a file_start or the end, got ${nameOf(next.value)}`);
    if (count === MAX_FILES) throw tooMuch(`more than ${MAX_FILES} files`);
    let sha256: string | undefined;
    const start = message.value;
    if (bytes + Number(start.sizeBytes ?? 0n) > maxBytes) take(Number(start.sizeBytes));
    async function* chunks(): AsyncGenerator<Uint8Array> {
      while (sha256 === undefined) {
        const inner = await messages.next();
        if (inner.done) throw outOfOrder(`the stream ended within the file "${start.path}": its file_end is missing`);
        const piece = inner.value.message;
        if (piece.case === "fileChunk") {
          take(piece.value.data.length);
          yield piece.value.data;
        } else if (piece.case === "fileEnd") sha256 = piece.value.sha256.toLowerCase();
        else
          throw outOfOrder(
            `within the file "${start.path}" expected a file_chunk or file_end, got ${nameOf(inner.value)}`,
          );
      }
    }
    yield {
      start,
      chunks: chunks(),
      sha256: () => {
        if (sha256 === undefined) throw new Error(`the chunks of ${start.path} were not read to the end`);
        return sha256;
      },
    };
  }
}

function checkEnd(said: number, arrived: number): void {
  if (said !== arrived) throw outOfOrder(`the end says ${said} files, ${arrived} arrived`);
}

function nameOf(request: LogModelRequest): string {
  const names = {
    header: "a header",
    fileStart: "a file_start",
    fileChunk: "a file_chunk",
    fileEnd: "a file_end",
    end: "the end",
    fileReference: "a file_reference",
  };
  return request.message.case ? names[request.message.case] : "an empty message";
}

function tooMuch(what: string): ApiError {
  return new ApiError("LIMIT_EXCEEDED", `the model has ${what}; nothing was kept of it`);
}

function outOfOrder(message: string): ApiError {
  return new ApiError(
    "STREAM_ORDER",
    `${message}; the order is header, then for each file file_start, file_chunk …, file_end, then end`,
  );
}
