// Sends a model folder to the service: what the server has already is only named, and a file that broke off is gone on
// with. It must never hold a file in memory, nor hash a byte twice.
import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { FilePlan, LogModelRequestSchema, LogModelResponse, ModelService, ServiceClient } from "@modelwire/proto";
import { ApiError } from "@modelwire/proto";
import type { CallOptions } from "./call-options.ts";
import type { HashedFile } from "./model-folder.ts";
import { changed, hashFile, listModelFolder } from "./model-folder.ts";
import type { Retry } from "./retry.ts";
import { isUnavailable } from "./retry.ts";

/** Bytes per message: large enough to cost little, small enough to flow evenly. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Pieces of memory that an upload reads into, over and over: new memory for each message costs more than to send it. A
 * stream of objects holds at most 16 messages that it was given, and that one is on its way; so a piece is free again when
 * twice as many others have been given away. Were it not, the server would refuse the file by its digest.
 */
const PIECES = 32;

export interface UploadProgress {
  /** First every file is hashed, then what the server has not is sent. */
  stage: "hashing" | "sending";
  /** The file that is being worked on, relative to the folder. */
  path: string;
  /** Bytes hashed so far, of all files. */
  bytesHashed: number;
  /** Bytes handed to the network so far, of all files; begins again at 0 with each attempt. */
  bytesSent: number;
  /** Bytes that the server has already and that are not sent; known when sending begins. */
  bytesReused: number;
  /** Of all files, sent or not. */
  bytesTotal: number;
  /** Files sent completely; those that were gone on with count. */
  filesSent: number;
  /** Files that need not be sent at all. */
  filesReused: number;
  filesTotal: number;
  /** From 1; higher when the upload was begun again. */
  attempt: number;
}

type Plan = Pick<FilePlan, "present" | "offsetBytes">;

type LogMessage = MessageInitShape<typeof LogModelRequestSchema>;

/** What to log a folder as. */
export interface LogOptions extends CallOptions {
  /** Name of the model, without / : . % ' ". */
  name: string;
  /** Makes repeating safe: the same value again gives the first result. A new UUID when absent. */
  requestId?: string;
  /** Experiment as decimal text; MLflow's Default when neither it nor `experimentName` is given. */
  experimentId?: string;
  /** Experiment by name, created when there is none. */
  experimentName?: string;
  /** Run that logs the model. */
  runId?: string;
  /** Step of the run at which the model was made. */
  step?: number | bigint;
  /** MLflow's model_type. */
  modelType?: string;
  params?: Readonly<Record<string, string>>;
  tags?: Readonly<Record<string, string>>;
  /** Entries of the MLmodel file's `metadata`. (`metadata` is that of the call, as everywhere.) */
  mlmodelMetadata?: Readonly<Record<string, string>>;
  /** What an ONNX LLM is for: "llm/v1/chat", "llm/v1/completions" or "prompt"; found out by the server when absent. */
  task?: string;
  /** The signature as MLflow's JSON texts; the task's, or what is inferred, when absent. */
  signature?: { inputs?: string; outputs?: string; params?: string };
  /** An input example: any value that JSON can hold. A text is an example too, not JSON. */
  inputExample?: unknown;
  /** The same as JSON text, where 1 and 1.0 are not the same; in place of `inputExample`. */
  inputExampleJson?: string;
  /** Called after each piece that was hashed, and each message that was handed to the network. */
  onProgress?(progress: UploadProgress): void;
}

/**
 * Streams a folder up and gives the committed model. When the server is UNAVAILABLE it goes on under the same request id
 * with what is missing, so that a model which was committed just before the connection broke is not logged twice.
 *
 * @throws ApiError INVALID_ARGUMENT for a folder that cannot be sent, ABORTED for a file that changes meanwhile, and
 * whatever the server refuses.
 */
export async function uploadModel(
  service: ServiceClient<typeof ModelService, CallOptions>,
  retry: Retry,
  folder: string,
  options: LogOptions,
): Promise<LogModelResponse> {
  const { signal = new AbortController().signal, timeoutMs, metadata, onHeader, onTrailer, onProgress } = options;
  const deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  const call = (): CallOptions => ({
    signal,
    metadata,
    timeoutMs: deadline === undefined ? undefined : Math.max(0, deadline - Date.now()),
  });
  const header = headerOf({ ...options, requestId: options.requestId ?? randomUUID() });
  const listed = await listModelFolder(folder);
  const progress: UploadProgress = {
    ...{ stage: "hashing", path: "", bytesHashed: 0, bytesSent: 0, bytesReused: 0, filesSent: 0, filesReused: 0 },
    ...{ bytesTotal: listed.reduce((sum, file) => sum + file.sizeBytes, 0), filesTotal: listed.length, attempt: 1 },
  };
  const report = () => onProgress?.({ ...progress });
  const files: HashedFile[] = [];
  for (const file of listed) {
    progress.path = file.path;
    files.push(
      await hashFile(file, signal, (bytes) => {
        progress.bytesHashed += bytes;
        report();
      }),
    );
  }
  progress.stage = "sending";
  // Tries count from the last one that brought something.
  for (let attempt = 1, tries = 1, reached = 0, vanished = 0; ; attempt++, tries++) {
    Object.assign(progress, { attempt, bytesSent: 0, bytesReused: 0, filesSent: 0, filesReused: 0 });
    try {
      // Who goes on with the same contents as others may find them taken again and again; what is sent needs nobody.
      const plan = vanished < 2 ? await planOf(service, files, call()) : [];
      const held = files.reduce((sum, file, index) => sum + heldOf(file, plan[index]), 0);
      if (held > reached) tries = 1;
      reached = Math.max(reached, held);
      progress.bytesReused = held;
      const messages = logMessages(header, files, plan, progress, report);
      return await service.logModel(messages, { ...call(), onHeader, onTrailer });
    } catch (error) {
      // Another upload took what was promised, or it is not what it was: the server knows that now.
      if (vanished < 2 && error instanceof ApiError && error.reason === "CONTENT_MISSING") vanished++;
      else if (!(await retry.again(error, tries, { signal, deadline }, isRepeatable))) throw error;
    }
  }
}

/** Bytes of a file that need not be sent. */
function heldOf({ sizeBytes }: HashedFile, plan: Plan | undefined): number {
  if (plan?.present) return sizeBytes;
  const offset = Number(plan?.offsetBytes ?? 0n);
  return offset > 0 && offset < sizeBytes ? offset : 0;
}

function isRepeatable(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof ApiError && error.reason === "REQUEST_IN_PROGRESS");
}

/** What the server has of each file; nothing, for a server that cannot say. */
async function planOf(
  service: ServiceClient<typeof ModelService, CallOptions>,
  files: readonly HashedFile[],
  call: CallOptions,
): Promise<readonly Plan[]> {
  const contents = files.map(({ sizeBytes, sha256 }) => ({ sizeBytes: BigInt(sizeBytes), sha256 }));
  try {
    return (await service.planUpload({ files: contents }, call)).files;
  } catch (error) {
    if (error instanceof ApiError && error.code === status.UNIMPLEMENTED) return [];
    throw error;
  }
}

function headerOf(options: LogOptions & { requestId: string }) {
  const { name, requestId, experimentId, experimentName, runId, step, modelType, params, tags } = options;
  const { task, signature, inputExample, inputExampleJson } = options;
  return {
    ...{ name, requestId, experimentId, experimentName, runId, modelType, task, signature },
    step: BigInt(step ?? 0),
    params: { ...params },
    tags: { ...tags },
    metadata: { ...options.mlmodelMetadata },
    inputExample: inputExampleJson ?? (inputExample === undefined ? undefined : JSON.stringify(inputExample)),
  };
}

async function* logMessages(
  header: ReturnType<typeof headerOf>,
  files: readonly HashedFile[],
  plan: readonly Plan[],
  progress: UploadProgress,
  report: () => void,
): AsyncGenerator<LogMessage> {
  yield { message: { case: "header", value: header } };
  const pieces = new Pieces();
  for (const [index, file] of files.entries()) {
    progress.path = file.path;
    const { path, sizeBytes, sha256 } = file;
    const held = heldOf(file, plan[index]);
    if (plan[index]?.present) {
      yield { message: { case: "fileReference", value: { path, sizeBytes: BigInt(sizeBytes), sha256 } } };
      progress.filesReused++;
      report();
      continue;
    }
    for await (const message of fileMessages(file, held, pieces)) {
      yield message;
      const sent = message.message;
      if (sent?.case === "fileChunk") progress.bytesSent += sent.value.data?.length ?? 0;
      if (sent?.case === "fileEnd") progress.filesSent++;
      report();
    }
  }
  yield { message: { case: "end", value: { fileCount: files.length } } };
}

/** @param offset From where on the server wants it. */
async function* fileMessages(file: HashedFile, offset: number, pieces: Pieces): AsyncGenerator<LogMessage> {
  const { path, sizeBytes, sha256 } = file;
  const handle = await open(file.location, "r").catch((cause: unknown) => {
    throw changed(file, "cannot be opened any more", cause);
  });
  try {
    const before = await handle.stat();
    if (before.size !== sizeBytes) throw changed(file, `had ${sizeBytes} bytes and has ${before.size} now`);
    if (before.mtimeMs !== file.modifiedMs) throw changed(file, "was written to");
    yield {
      message: {
        case: "fileStart",
        value: { path, sizeBytes: BigInt(sizeBytes), sha256, offsetBytes: BigInt(offset) },
      },
    };
    let sent = offset;
    for (;;) {
      const piece = pieces.next();
      const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, sizeBytes - sent + 1), sent);
      if (bytesRead === 0) break;
      sent += bytesRead;
      if (sent > sizeBytes) throw changed(file, `grew beyond its ${sizeBytes} bytes`);
      yield { message: { case: "fileChunk", value: { data: piece.subarray(0, bytesRead) } } };
    }
    if (sent < sizeBytes) throw changed(file, `ended after ${sent} of its ${sizeBytes} bytes`);
    if ((await handle.stat()).mtimeMs !== before.mtimeMs) throw changed(file, "was written to");
    yield { message: { case: "fileEnd", value: { sha256 } } };
  } finally {
    await handle.close();
  }
}

/** See {@link PIECES}. */
class Pieces {
  readonly #all: Uint8Array[] = [];
  #given = 0;

  next(): Uint8Array {
    const index = this.#given++ % PIECES;
    const piece = this.#all[index] ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#all[index] = piece;
    return piece;
  }
}
