// A request's input and parameters, read in their form and held against a signature.
import { invalidFields } from "@modelwire/proto";
import { type Data, type DataMap, Table } from "../mlmodel/data/data.ts";
import { enforceInput } from "../mlmodel/enforce/enforce.ts";
import { enforceParams } from "../mlmodel/enforce/params.ts";
import { readScoringInput, type ScoringForm } from "../mlmodel/enforce/scoring-input.ts";
import type { Signature } from "../mlmodel/schema.ts";

/** What a model is given, and what of the request did not get so far. */
export interface EnforcedInput {
  readonly data: Data;
  readonly params: DataMap | undefined;
  readonly ignored: { readonly columns: string[]; readonly params: string[] };
  /** Whether the answer to a JSON body stands alone, as that to {"messages": …} does. */
  readonly bare: boolean;
  /** Whether it came as rows, however few: then there is a list of answers. */
  readonly rows: boolean;
}

/** @param strict Refuse what MLflow drops. @throws ApiError SCHEMA_ENFORCEMENT_FAILED, INVALID_FIELD. */
export function enforcedInput(
  signature: Signature | undefined,
  form: ScoringForm,
  given: DataMap | undefined,
  strict: boolean,
): EnforcedInput {
  const read = readScoringInput(form, signature);
  if (given && read.params && read.params.size > 0)
    throw invalidFields([{ field: "params", description: "stand in the JSON body, too; give them in one place" }]);
  const input = enforceInput(signature?.inputs, read.data, { strict });
  const params = enforceParams(signature?.params, given ?? read.params, { strict });
  return {
    data: input.data,
    params: params.params,
    ignored: { columns: input.ignored, params: params.ignored },
    bare: read.unwrapped,
    rows: read.data instanceof Table || Array.isArray(read.data),
  };
}
