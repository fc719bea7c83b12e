// A model is files plus a row, and the row is the truth: PENDING before the first byte, READY when every byte is on disk
// and in place, FAILED when that did not come about. It must never know gRPC, SQL or where the disk is.
import type { LogModelHeader, Model, ModelFile } from "@modelwire/proto";
import type { Mlmodel } from "../mlmodel/mlmodel-file.ts";
import type { ModelIdentity } from "../mlmodel/model-files.ts";
import type { Servable } from "../mlmodel/servable.ts";
import type { Content, FileClaim, WrittenFile } from "./artifact-store.ts";
import type { Staged } from "./staged.ts";

export type { Content, FileClaim, WrittenFile } from "./artifact-store.ts";
export type { Staged } from "./staged.ts";

/** What {@link ModelStore.begin} gives: a place for files, or what the same request_id gave before. */
export type Begun = { readonly upload: ModelUpload } | { readonly replay: LoggedModel };

export interface LoggedModel {
  readonly model: Model;
  readonly files: ModelFile[];
  readonly warnings: string[];
}

export interface ModelFolder {
  readonly model: Model;
  /** Absolute. */
  readonly path: string;
  /** Its paths are relative to `path`. Nothing of what it names is a symbolic link. */
  readonly servable: Servable;
  /** One without flavors when the folder has no MLmodel file. */
  readonly mlmodel: Mlmodel;
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
  /** How much of each content is here already, in bytes, for uploads to come. @throws ApiError INVALID_FIELD with every problem. */
  held(contents: readonly Content[]): Promise<number[]>;
  /**
   * The model's folder on this machine, and what in it can be served.
   * @throws ApiError MODEL_NOT_FOUND, MODEL_NOT_READY, MODEL_NOT_SERVABLE for files that this server cannot reach or an
   * MLmodel file that it cannot read.
   */
  folder(ref: string): Promise<ModelFolder>;
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

/** What an uploaded folder is made into. */
export interface CommitInfo {
  /** Files that are added: path in the model's folder to text. Of a ready MLflow model they replace uploaded ones. */
  readonly texts: Readonly<Record<string, string>>;
  /** Where the uploaded files go in the model's folder: "model", or "" for itself. */
  readonly at: "model" | "";
  /** Kept, and given again to a repeated request. */
  readonly warnings: readonly string[];
}

/** An upload. One call at a time; ends with commit or abort. */
export interface ModelUpload {
  readonly modelId: string;
  readonly identity: ModelIdentity;
  /**
   * Adds a file, which is on disk when this resolves. The caller compares the digest with what the sender said last.
   * @throws ApiError INVALID_PATH with every problem, STORAGE_FULL, DIGEST_MISMATCH for another size or digest than
   * claimed, CONTENT_MISSING when what lies before `offsetBytes` is not there any more.
   */
  write(path: string, chunks: AsyncIterable<Uint8Array>, claim?: FileClaim): Promise<WrittenFile>;
  /** Adds a file whose content the store has. @throws ApiError CONTENT_MISSING when it has not, and as {@link write}. */
  refer(path: string, sizeBytes: number, sha256: string): Promise<WrittenFile>;
  /**
   * What was uploaded, for those who must look at it before the commit.
   * @throws ApiError MODEL_INVALID for none of the three kinds of folder, INVALID_PATH for names that MLflow keeps for
   * itself.
   */
  look(): Promise<Staged>;
  /**
   * Adds the files that make it an MLflow model, puts the folder into place, and makes the row READY.
   * @throws ApiError as {@link look}, INVALID_PATH for an uploaded file where one is to be added. After any error, call
   * {@link abort}.
   */
  commit(info: CommitInfo): Promise<LoggedModel>;
  /**
   * Leaves no model but the row, which becomes FAILED with the error's message. Contents that arrived are kept for a
   * day for the next try, unless the error says that there is no room. May be called at any time, and again.
   */
  abort(error: unknown): Promise<void>;
}
