// Written by `modelwire codegen` from the signature of iris. Write it anew instead of changing it.
import type { ModelwireClient, NoParams, ServedModel } from "@modelwire/client";

/** What it takes, a row. */
export type IrisRow = {
  /** double */
  readonly sepal_length: number;
  /** double */
  readonly sepal_width: number;
  /** double */
  readonly petal_length: number;
  /** double */
  readonly petal_width: number;
};

/** One row, or many. */
export type IrisInput = IrisRow | readonly IrisRow[];

export type IrisOutputRowProbabilities = {
  /** double */
  setosa: number;
  /** double */
  versicolor: number;
  /** double */
  virginica: number;
};

/** What it gives for a row. */
export type IrisOutputRow = {
  label: string;
  probabilities: IrisOutputRowProbabilities;
};

/** A row for each row of the input. */
export type IrisOutput = IrisOutputRow[];

export type IrisModel = ServedModel<IrisInput, IrisOutput, NoParams>;

/** The model, and the signature that this file was written from. */
export const IRIS = {
  uri: "iris",
  signatureDigest: "sha256:ac1f7f9b78b5c08064a11427f8333ddfc2cfca06bcf7b750e671e10dc15cd5fd",
} as const;

/** The model, asked through a client. */
export function iris(client: ModelwireClient): IrisModel {
  return client.model(IRIS.uri);
}
