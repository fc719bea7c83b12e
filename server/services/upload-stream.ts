// The order of an upload: header, then files, each a start, chunks and an end, or a reference, then the upload's end. It
// turns messages into a header and an iterable of files, and must never know where the bytes go.
import {
  ApiError,
  type FieldViolation,
  type FileReference,
  type FileStart,
  invalidFields,
  type LogModelHeader,
  type LogModelRequest,
} from "@modelwire/proto";
import { MAX_FILES } from "../store/model-header.ts";
import type { FileClaim } from "../store/model-store.ts";

export type IncomingFile =
  /** A file on its way. Its chunks must be read to the end before the next file is asked for. */
  | {
      readonly kind: "sent";
      readonly path: string;
      readonly claim: FileClaim;
      readonly chunks: AsyncIterable<Uint8Array>;
      /** SHA-256 as the sender says at the end, lower-case hexadecimal; known when the chunks have been read. */
      sha256(): string;
    }
  /** A file whose content the server should have. */
  | { readonly kind: "reference"; readonly path: string; readonly sizeBytes: number; readonly sha256: string };

/** @throws ApiError STREAM_ORDER when the first message is no header. */
export async function readHeader(messages: AsyncIterator<LogModelRequest>): Promise<LogModelHeader> {
  const first = await messages.next();
  if (first.done) throw outOfOrder("the stream ended before the header");
  const { message } = first.value;
  if (message.case !== "header") throw outOfOrder(`the first message must be a header, got ${nameOf(first.value)}`);
  return message.value;
}

/** Most bytes of all paths together: the list of a model's files goes into one message. */
const MAX_PATH_BYTES = 1 << 20;

/**
 * The files, until the upload's end.
 *
 * The end of the stream is not enough: Node's HTTP/2 client half-closes a stream before it resets it, so that a client
 * that cancels between two files looks for a moment like one that is done. Half a model must never be taken for a model.
 *
 * @param maxBytes Most bytes of all files together, those that are referred to included.
 * @throws ApiError STREAM_ORDER at the first message that does not fit, LIMIT_EXCEEDED for too many files or bytes,
 * INVALID_FIELD with every problem of a file's start or reference.
 */
export async function* incomingFiles(
  messages: AsyncIterator<LogModelRequest>,
  maxBytes: number,
): AsyncGenerator<IncomingFile> {
  let bytes = 0;
  let pathBytes = 0;
  const take = (more: number) => {
    bytes += more;
    if (bytes > maxBytes) throw tooMuch(`more than ${maxBytes} bytes (the server's --max-model-bytes)`);
  };
  for (let count = 0; ; count += 1) {
    const next = await messages.next();
    if (next.done) throw outOfOrder(`the stream ended without the upload's end, after ${count} files`);
    const { message } = next.value;
    if (message.case === "end") return checkEnd(message.value.fileCount, count);
    if (message.case !== "fileStart" && message.case !== "fileReference")
      throw outOfOrder(`expected a file_start, a file_reference or the end, got ${nameOf(next.value)}`);
    if (count === MAX_FILES) throw tooMuch(`more than ${MAX_FILES} files`);
    pathBytes += Buffer.byteLength(message.value.path);
    if (pathBytes > MAX_PATH_BYTES) throw tooMuch(`paths of more than ${MAX_PATH_BYTES} bytes together`);
    if (message.case === "fileReference") {
      checkReference(message.value);
      const { path, sizeBytes, sha256 } = message.value;
      take(Number(sizeBytes));
      yield { kind: "reference", path, sizeBytes: Number(sizeBytes), sha256 };
      continue;
    }
    const start = message.value;
    checkStart(start);
    if (bytes + Number(start.sizeBytes ?? 0n) > maxBytes) take(Number(start.sizeBytes));
    take(Number(start.offsetBytes));
    let sha256: string | undefined;
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
      kind: "sent",
      path: start.path,
      claim: {
        sizeBytes: start.sizeBytes === undefined ? undefined : Number(start.sizeBytes),
        sha256: start.sha256,
        offsetBytes: Number(start.offsetBytes),
      },
      chunks: chunks(),
      sha256: () => {
        if (sha256 === undefined) throw new Error(`the chunks of ${start.path} were not read to the end`);
        return sha256;
      },
    };
  }
}

function checkStart({ sizeBytes, sha256, offsetBytes }: FileStart): void {
  const problems: FieldViolation[] = [];
  const problem = (field: string, description: string) => problems.push({ field: `file_start.${field}`, description });
  if (sizeBytes !== undefined && !isLength(sizeBytes)) problem("size_bytes", `must be 0 or more, got ${sizeBytes}`);
  if (sha256 !== undefined && !isDigest(sha256)) problem("sha256", "must be 64 lower-case hexadecimal digits");
  if (sha256 !== undefined && sizeBytes === undefined) problem("size_bytes", "is wanted together with sha256");
  if (!isLength(offsetBytes)) problem("offset_bytes", `must be 0 or more, got ${offsetBytes}`);
  if (offsetBytes > 0n && sha256 === undefined) problem("sha256", "is wanted together with offset_bytes");
  if (sizeBytes !== undefined && offsetBytes > sizeBytes)
    problem("offset_bytes", `lies behind the end, ${offsetBytes} of ${sizeBytes}`);
  if (problems.length > 0) throw invalidFields(problems);
}

function checkReference({ sizeBytes, sha256 }: FileReference): void {
  const problems: FieldViolation[] = [];
  if (!isLength(sizeBytes))
    problems.push({ field: "file_reference.size_bytes", description: `must be 0 or more, got ${sizeBytes}` });
  if (!isDigest(sha256))
    problems.push({ field: "file_reference.sha256", description: "must be 64 lower-case hexadecimal digits" });
  if (problems.length > 0) throw invalidFields(problems);
}

/** One that is beyond all numbers is beyond the limit of bytes as well. */
function isLength(bytes: bigint): boolean {
  return bytes >= 0n;
}

function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
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
    `${message}; the order is header, then for each file file_start, file_chunk …, file_end or a file_reference, then end`,
  );
}
