// A model is files plus a row, and the row is the truth: PENDING before the first byte, READY when every byte is on disk
// and in place, FAILED when that did not come about. It must never know gRPC, SQL or where the disk is.
import type { LogModelHeader, Model, ModelFile } from "@modelwire/proto";
import type { WrittenFile } from "./artifact-store.ts";

/** What {@link ModelStore.begin} gives: a place for files, or what the same request_id gave before. */
export type Begun = { readonly upload: ModelUpload } | { readonly replay: LoggedModel };

export interface LoggedModel {
  readonly model: Model;
  readonly files: ModelFile[];
  readonly warnings: string[];
}

export interface SearchModels {
  readonly experimentIds: readonly string[];
  readonly name: string;
  /** 0 means 100; more than 1,000 becomes 1,000. */
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface SweepReport {
  /** Models that were PENDING when their process died, now FAILED. */
  readonly failed: readonly string[];
  /** Folders removed, those of models whose end was already written included. */
  readonly removed: number;
}

/**
 * Where a method takes a `ref`: a model id ("m-…"), its URI ("models:/m-…"), or a bare name, which means the newest
 * READY model of that name.
 */
export interface ModelStore {
  /**
   * @throws ApiError INVALID_FIELD with every problem of the header, EXPERIMENT_NOT_FOUND, RUN_NOT_FOUND,
   * REQUEST_ID_REUSED, REQUEST_IN_PROGRESS, STORAGE_FULL.
   */
  begin(header: LogModelHeader, signal?: AbortSignal): Promise<Begun>;
  /** Models of every status. @throws ApiError MODEL_NOT_FOUND, deleted ones included. */
  get(ref: string): Promise<Model>;
  /**
   * The model's folder on this machine.
   * @returns llmFolder: the folder in it that holds genai_config.json, null when there is none.
   * @throws ApiError MODEL_NOT_FOUND, MODEL_NOT_READY, MODEL_NOT_SERVABLE for files that this server cannot reach.
   */
  folder(ref: string): Promise<{ model: Model; path: string; llmFolder: string | null }>;
  /** Newest first. @throws ApiError INVALID_FIELD for ids or a token that cannot be. */
  search(request: SearchModels): Promise<{ models: Model[]; nextPageToken: string }>;
  /** @param ref An id or URI. @throws ApiError MODEL_NOT_FOUND. @returns the model as it was. */
  delete(ref: string): Promise<Model>;
  /** All files, sorted by path. @throws as {@link folder}. */
  files(ref: string): Promise<ModelFile[]>;
  /** @throws ApiError ARTIFACT_NOT_FOUND, OFFSET_OUT_OF_RANGE, and as {@link folder}. */
  open(
    ref: string,
    path: string,
    offset: number,
    chunkBytes?: number,
  ): Promise<{ file: ModelFile; chunks: AsyncIterable<Uint8Array> }>;
  /** Removes what dead processes left. Uploads of live ones, here or elsewhere, are not touched. */
  sweep(): Promise<SweepReport>;
  close(): Promise<void>;
}

/** What was found out about the uploaded folder. */
export interface CommitInfo {
  readonly report: {
    /** Kept, and given again to a repeated request. */
    readonly warnings: readonly string[];
  };
}

/** An upload. One call at a time; ends with commit or abort. */
export interface ModelUpload {
  readonly modelId: string;
  /**
   * Adds a file, which is on disk when this resolves. The caller compares the digest with what the sender said.
   * @throws ApiError INVALID_PATH with every problem, STORAGE_FULL, DIGEST_MISMATCH for another size than expected.
   */
  write(path: string, chunks: AsyncIterable<Uint8Array>, expectedSize?: number): Promise<WrittenFile>;
  /** Where the uploaded files lie, as they were sent, for those who must look at them before the commit. */
  stagedFolder(): string;
  /**
   * Adds the files that make it an MLflow model, puts the folder into place, and makes the row READY.
   * @throws ApiError MODEL_INVALID without a genai_config.json. After any error, call {@link abort}.
   */
  commit(info: CommitInfo): Promise<{ model: Model; files: ModelFile[] }>;
  /** Keeps nothing but the row, which becomes FAILED with the reason. May be called at any time, and again. */
  abort(reason: string): Promise<void>;
}
