// Sends a model folder to the service. It must never hold a file in memory, nor read a byte twice.
import { createHash, randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { LogModelRequestSchema, LogModelResponse, ModelService, ServiceClient } from "@modelwire/proto";
import { ApiError } from "@modelwire/proto";
import type { CallOptions } from "./call-options.ts";
import type { FolderFile } from "./model-folder.ts";
import { listModelFolder } from "./model-folder.ts";
import type { Retry } from "./retry.ts";
import { isUnavailable } from "./retry.ts";

/** Bytes per message: large enough to cost little, small enough to flow evenly. */
const CHUNK_BYTES = 256 * 1024;

export interface UploadProgress {
  /** The file that is being sent, relative to the folder. */
  path: string;
  /** Bytes handed to the network so far, of all files; begins again at 0 with each attempt. */
  bytesSent: number;
  bytesTotal: number;
  /** Files sent completely. */
  filesSent: number;
  filesTotal: number;
  /** From 1; higher when the server was UNAVAILABLE and the upload was begun again. */
  attempt: number;
}

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
  /** Called after each message that was handed to the network. */
  onProgress?(progress: UploadProgress): void;
}

type LogMessage = MessageInitShape<typeof LogModelRequestSchema>;

/**
 * Streams a folder up and gives the committed model. When the server is UNAVAILABLE it begins again under the same
 * request id, so that a model which was committed just before the connection broke is not logged twice.
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
  const files = await listModelFolder(folder);
  const requestId = options.requestId ?? randomUUID();
  const { signal = new AbortController().signal, timeoutMs, metadata, onHeader, onTrailer } = options;
  const deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  for (let attempt = 1; ; attempt++) {
    const left = deadline === undefined ? undefined : Math.max(0, deadline - Date.now());
    try {
      const messages = logMessages(files, { ...options, requestId }, attempt);
      return await service.logModel(messages, { signal, timeoutMs: left, metadata, onHeader, onTrailer });
    } catch (error) {
      if (!(await retry.again(error, attempt, { signal, deadline }, isRepeatable))) throw error;
    }
  }
}

/** An attempt that broke may still be ending on the server when the next one arrives: that too is worth waiting for. */
function isRepeatable(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof ApiError && error.reason === "REQUEST_IN_PROGRESS");
}

async function* logMessages(
  files: readonly FolderFile[],
  options: LogOptions,
  attempt: number,
): AsyncGenerator<LogMessage> {
  const { name, requestId, experimentId, experimentName, runId, step, modelType, params, tags } = options;
  const header = {
    ...{ name, requestId, experimentId, experimentName, runId, modelType },
    step: BigInt(step ?? 0),
    params: { ...params },
    tags: { ...tags },
    metadata: { ...options.mlmodelMetadata },
  };
  yield { message: { case: "header", value: header } };
  const bytesTotal = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const progress = { path: "", bytesSent: 0, bytesTotal, filesSent: 0, filesTotal: files.length, attempt };
  for (const file of files) {
    progress.path = file.path;
    for await (const message of fileMessages(file)) {
      yield message;
      const sent = message.message;
      if (sent?.case === "fileChunk") progress.bytesSent += sent.value.data?.length ?? 0;
      if (sent?.case === "fileEnd") progress.filesSent++;
      options.onProgress?.({ ...progress });
    }
  }
  yield { message: { case: "end", value: { fileCount: files.length } } };
}

async function* fileMessages(file: FolderFile): AsyncGenerator<LogMessage> {
  const handle = await open(file.location, "r").catch((cause: unknown) => {
    throw changed(file, "cannot be opened any more", cause);
  });
  try {
    const before = await handle.stat();
    if (before.size !== file.sizeBytes) throw changed(file, `had ${file.sizeBytes} bytes and has ${before.size} now`);
    yield { message: { case: "fileStart", value: { path: file.path, sizeBytes: BigInt(file.sizeBytes) } } };
    const sha256 = createHash("sha256");
    let sent = 0;
    for (;;) {
      // A new buffer each time: what was given away may still wait to be sent.
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, file.sizeBytes - sent + 1));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      sent += bytesRead;
      if (sent > file.sizeBytes) throw changed(file, `grew beyond its ${file.sizeBytes} bytes`);
      const data = buffer.subarray(0, bytesRead);
      sha256.update(data);
      yield { message: { case: "fileChunk", value: { data } } };
    }
    if (sent < file.sizeBytes) throw changed(file, `ended after ${sent} of its ${file.sizeBytes} bytes`);
    if ((await handle.stat()).mtimeMs !== before.mtimeMs) throw changed(file, "was written to");
    yield { message: { case: "fileEnd", value: { sha256: sha256.digest("hex") } } };
  } finally {
    await handle.close();
  }
}

function changed(file: FolderFile, what: string, cause?: unknown): ApiError {
  const message = `${file.path} ${what} while the folder was being sent; wait until nothing writes to it, then log it again`;
  return new ApiError({ code: status.ABORTED }, message, { cause });
}
