// One model, asked by its own types. What those are is the caller's word, or that of a file which `modelwire codegen`
// wrote; it must never ask the server for them.
import type { PredictionService, ServiceClient, Signature, SignatureService, TokenizerService } from "@modelwire/proto";
import type { CallOptions } from "./call-options.ts";
import { messageOf } from "./chat-request.ts";
import type { ChatTurn } from "./chat-types.ts";
import { InputColumns } from "./column-values.ts";
import type { ModelInput, ModelOutput } from "./data.ts";
import { toObject } from "./data.ts";
import type { InputForm } from "./data-input.ts";
import { toDataInput } from "./data-input.ts";
import type { Prediction } from "./prediction.ts";
import { PredictionStream, prediction } from "./prediction.ts";

/** Parameters of a prediction, by name. */
export type ModelParams = Readonly<Record<string, ModelInput | undefined>>;

/** The parameters of a model that has none. */
export type NoParams = Readonly<Record<string, never>>;

/** What the client knows of a model beforehand. */
export interface ModelOptions {
  /**
   * The `inputs` of its signature, as MLflow's JSON text. MLflow takes no whole number for a double inside an array, an
   * object or a map, and JavaScript has only one kind of number: with this, each is sent as its column wants it.
   */
  inputs?: string;
}

/** What may be said about one prediction. */
export interface PredictOptions<Params> extends CallOptions {
  /** Parameters, as the signature lists them; absent means their defaults. */
  params?: Params;
  /** Refuse what MLflow drops with a warning: columns and parameters that the signature does not know. */
  strict?: boolean;
  /**
   * How the input goes out. Absent: tensors and objects of nothing but tensors as `tensors`, lists of objects as
   * `dataframe_records`, anything else as `inputs`, in which an object of values that are no lists is one row.
   */
  as?: InputForm;
}

/** A model that is asked by its signature. */
export interface ServedModel<Input = ModelInput, Output = ModelOutput, Params = ModelParams> {
  /** What it is asked by: an id, a models:/ URI, or a name, which means the newest READY model of that name. */
  readonly uri: string;
  /** The whole prediction at once. */
  predict(input: Input, options?: PredictOptions<Params>): Promise<Prediction<Output>>;
  /** The signature that the server has for it. @throws ApiError FAILED_PRECONDITION when it has none. */
  signature(options?: CallOptions): Promise<Signature>;
}

/** A model that gives text, and knows tokens. */
export interface ServedTextModel<Input = ModelInput, Output = ModelOutput, Params = ModelParams>
  extends ServedModel<Input, Output, Params> {
  /** The prediction as it forms: `for await` over it gives text, `final()` the whole. */
  stream(input: Input, options?: PredictOptions<Params>): PredictionStream<Output>;
  /** The tokens of a text as it stands, or of a conversation with the beginning of an answer at its end. */
  tokenize(source: string | readonly ChatTurn[], options?: CallOptions): Promise<Tokens>;
  /** How many tokens that are, and how many prompt and answer may have together. */
  countTokens(
    source: string | readonly ChatTurn[],
    options?: CallOptions,
  ): Promise<{ tokenCount: number; contextLength: number }>;
}

/** Tokens, and the vocabulary's entry for each. */
export interface Tokens {
  tokenIds: number[];
  pieces: string[];
}

interface Services {
  readonly prediction: ServiceClient<typeof PredictionService, CallOptions>;
  readonly signatures: ServiceClient<typeof SignatureService, CallOptions>;
  readonly tokenizer: ServiceClient<typeof TokenizerService, CallOptions>;
}

/** @throws ApiError INVALID_ARGUMENT when `inputs` is no signature's. */
export function servedModel<Input, Output, Params>(
  services: Services,
  uri: string,
  { inputs }: ModelOptions = {},
): ServedTextModel<Input, Output, Params> {
  const columns = inputs === undefined ? undefined : new InputColumns(inputs);
  const request = (data: Input, { params, strict = false, as }: PredictOptions<Params> = {}) => ({
    model: uri,
    input: toDataInput(data, as, columns),
    params: params === undefined ? undefined : toObject(params, "params"),
    strict,
  });
  return {
    uri,
    predict: async (input, options) => prediction(await services.prediction.predict(request(input, options), options)),
    stream: (input, options) => {
      const message = request(input, options);
      const open = (signal: AbortSignal) => services.prediction.streamPredict(message, { ...options, signal });
      return new PredictionStream(open, options?.signal);
    },
    signature: async (options) => {
      const { signature } = await services.signatures.getSignature({ model: uri }, options);
      return signature as Signature;
    },
    tokenize: async (source, options) => {
      const message = { model: uri, source: tokenSource(source), withPieces: true };
      const { tokenIds, pieces } = await services.tokenizer.tokenize(message, options);
      return { tokenIds, pieces };
    },
    countTokens: async (source, options) => {
      const message = { model: uri, source: tokenSource(source) };
      const { tokenCount, contextLength } = await services.tokenizer.countTokens(message, options);
      return { tokenCount, contextLength };
    },
  };
}

function tokenSource(source: string | readonly ChatTurn[]) {
  if (typeof source === "string") return { case: "text" as const, value: source };
  return { case: "conversation" as const, value: { messages: source.map(messageOf) } };
}
