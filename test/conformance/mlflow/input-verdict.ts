// What Modelwire makes of a pair of a signature and an input, as JSON. It never knows what MLflow makes of it.
import { ApiError } from "@modelwire/proto";
import type { Data, DataMap } from "../../../server/mlmodel/data/data.ts";
import { writePythonJson } from "../../../server/mlmodel/data/python-json.ts";
import { enforceInput } from "../../../server/mlmodel/enforce/enforce.ts";
import { enforceParams } from "../../../server/mlmodel/enforce/params.ts";
import { readScoringInput } from "../../../server/mlmodel/enforce/scoring-input.ts";
import { scoringOutput } from "../../../server/mlmodel/enforce/scoring-output.ts";
import { readSignature } from "../../../server/mlmodel/signature/schema-json.ts";
import type { SignatureJson } from "../../../server/mlmodel/signature/task-signatures.ts";
import { decodeData, encodeData } from "./data-cases.ts";

export interface CodedPair {
  readonly signature: SignatureJson;
  /** "data" goes to the enforcement as it is; "json" is a body, whose value is text. */
  readonly form: "json" | "data" | "inputs" | "instances";
  /** Encoded, as data-cases.ts has it. */
  readonly value: unknown;
  /** Encoded; null for none. */
  readonly params: unknown;
}

export interface Verdict {
  /** What the model would get, encoded. */
  readonly data?: unknown;
  readonly params?: unknown;
  /** What the server would write, if the model gave back what it got. */
  readonly output?: unknown;
  /** Why it is refused. */
  readonly message?: string;
  readonly violations?: readonly string[];
}

export function verdictOn({ signature, form, value, params }: CodedPair): Verdict {
  const read = readSignature(signature);
  const given = params === null ? undefined : (decodeData(params) as DataMap);
  const input = (): { data: Data; params: DataMap | undefined } => {
    if (form === "json") return readScoringInput({ form, text: value as string }, read);
    const data = decodeData(value);
    return form === "data" ? { data, params: undefined } : readScoringInput({ form, value: data }, read);
  };
  try {
    const came = input();
    const { data } = enforceInput(read.inputs, came.data, { strict: false });
    const enforced = enforceParams(read.params, came.params ?? given, { strict: false });
    return {
      data: encodeData(data),
      params: enforced.params === undefined ? null : encodeData(enforced.params),
      output: writePythonJson(scoringOutput(data)),
    };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { message: error.message, violations: error.violations.map(({ description }) => description) };
  }
}
