// The table that MLflow wrote (test/conformance/mlflow/infer_signatures.py --record; its origin is in it).
import { readFileSync } from "node:fs";
import type { SignatureJson } from "../../server/mlmodel/signature/task-signatures.ts";

export interface Failed {
  readonly error: string;
}

export interface Inferred {
  readonly error?: undefined;
  readonly json?: SignatureJson;
  readonly text: string;
  readonly hints: number;
  /** Where MLflow found no type and took `any` for the whole. */
  readonly gaveUp: readonly ("input" | "output")[];
  /** What becomes of the signature in MLflow. */
  readonly losses: readonly ("untaken" | "unreadable" | "unwritable")[];
}

interface SignatureTable {
  readonly inferences: readonly { input?: unknown; output?: unknown; params?: unknown; theirs: Inferred | Failed }[];
  readonly signatures: readonly {
    given: SignatureJson;
    theirs: { error?: undefined; json: SignatureJson; text: string } | Failed;
  }[];
  readonly json: readonly { text: string; theirs: { error?: undefined; data: unknown; written: string } | Failed }[];
}

export const signatureTable: SignatureTable = JSON.parse(
  readFileSync(new URL("signature-table.json", import.meta.url), "utf8"),
);
