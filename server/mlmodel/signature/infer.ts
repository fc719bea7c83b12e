// MLflow's infer_signature: the signature that examples of input, output and params speak for. It never knows where the
// examples come from.
import { type FieldViolation, invalidFields } from "@modelwire/proto";
import type { Data, DataMap } from "../data/data.ts";
import type { Schema, Signature } from "../schema.ts";
import { inferParams } from "./infer-params.ts";
import { type InferredSchema, inferSchema, isWhole } from "./infer-schema.ts";

/** null and undefined mean that there is none. */
export interface Examples {
  readonly input?: Data | undefined;
  readonly output?: Data | undefined;
  /** Parameters by name; their values become the defaults. */
  readonly params?: DataMap | undefined;
}

export interface InferOptions {
  /**
   * What to do with input and output that MLflow finds no type for, and with input that it would then not take itself:
   * "throw", the default, or "any", which makes one column of anything of the former and passes the latter, as MLflow does.
   */
  readonly onFailure?: "throw" | "any";
}

export interface InferredSignature {
  readonly signature: Signature;
  /** What MLflow warns of. */
  readonly warnings: readonly string[];
}

/** Violations told of one example; a table of 10^5 columns may have as many. */
const MAX_VIOLATIONS = 100;

/** @throws ApiError INVALID_FIELD with every place that stands in the way of a signature. */
export function inferSignature(
  { input, output, params }: Examples,
  { onFailure = "throw" }: InferOptions = {},
): InferredSignature {
  const violations: FieldViolation[] = [];
  const warnings: string[] = [];
  const infer = (data: Data | undefined, field: string, mustBeTaken: boolean): Schema | undefined => {
    if (data === undefined || data === null) return undefined;
    const inferred = inferSchema(data);
    if (onFailure === "throw") violations.push(...violationsOf(inferred, field, mustBeTaken));
    const { schema = ANYTHING } = inferred;
    if (schema.kind === "columns" && schema.columns.some(({ type }) => isWhole(type)))
      warnings.push(`${field}: ${WHOLE_NUMBERS}`);
    return schema;
  };
  const inputs = infer(input, "input", true);
  const outputs = infer(output, "output", false);
  const found = params && params.size > 0 ? inferParams(params) : undefined;
  violations.push(...(found?.violations ?? []));
  if (!inputs && !outputs && !found)
    violations.push({ field: "input", description: "give an example of input, output or params" });
  if (violations.length > 0) throw invalidFields(violations);
  return { signature: { inputs, outputs, params: found?.specs }, warnings };
}

/** What MLflow falls back to. */
const ANYTHING: Schema = { kind: "columns", columns: [{ name: undefined, type: { kind: "any" }, required: true }] };

const WHOLE_NUMBERS =
  "there are columns of whole numbers, in which no value may be missing: Python makes floats of them then, which this " +
  "signature refuses. Write the numbers of the example as floats, as 1.0, if values may be missing";

function violationsOf({ failures, losses }: InferredSchema, field: string, mustBeTaken: boolean): FieldViolation[] {
  const problems = mustBeTaken ? [...failures, ...losses] : failures;
  const violations = problems
    .slice(0, MAX_VIOLATIONS)
    .map(({ place, message }) => ({ field: field + place, description: message }));
  if (problems.length > MAX_VIOLATIONS)
    violations.push({ field, description: `${problems.length - MAX_VIOLATIONS} further places` });
  return violations;
}
