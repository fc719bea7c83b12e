// Makes pairs of a signature and an input, and says what Modelwire makes of each; enforce_inputs.py compares that with real
// MLflow. It never knows MLflow.
//   node --import tsx test/conformance/mlflow/enforce-inputs.ts COUNT SEED
// Prints one JSON object per pair and line.
import { ApiError } from "@modelwire/proto";
import type { Data } from "../../../server/mlmodel/data.ts";
import { enforceInput } from "../../../server/mlmodel/enforce/enforce.ts";
import { enforceParams } from "../../../server/mlmodel/enforce/params.ts";
import { readScoringInput } from "../../../server/mlmodel/enforce/scoring-input.ts";
import { scoringOutput } from "../../../server/mlmodel/enforce/scoring-output.ts";
import { writePythonJson } from "../../../server/mlmodel/python-json.ts";
import { readSignature } from "../../../server/mlmodel/schema-json.ts";
import { encodeData } from "./data-cases.ts";
import { type Case, inputCases } from "./input-cases.ts";

/** What became of a pair. */
interface Verdict {
  readonly data?: unknown;
  readonly params?: unknown;
  readonly output?: unknown;
  readonly message?: string;
  readonly violations?: readonly string[];
}

const [count = "900", seed = "1"] = process.argv.slice(2);
for (const pair of inputCases(Number(count), Number(seed))) {
  const { signature, form, params } = pair;
  const value = form.form === "json" ? form.text : encodeData(dataOf(pair));
  console.log(
    JSON.stringify({
      signature,
      form: form.form,
      value,
      params: params === undefined ? null : encodeData(params),
      ours: verdictOn(pair),
    }),
  );
}

function dataOf({ form }: Case): Data {
  if (form.form === "data" || form.form === "inputs" || form.form === "instances") return form.value;
  throw new Error(`${form.form} is sent as JSON`);
}

function verdictOn({ signature, form, params }: Case): Verdict {
  const read = readSignature(signature);
  try {
    const input =
      form.form === "data" ? { data: form.value, params: undefined, unwrapped: false } : readScoringInput(form, read);
    const { data } = enforceInput(read.inputs, input.data, { strict: false });
    const enforced = enforceParams(read.params, input.params ?? params, { strict: false });
    return {
      data: encodeData(data),
      params: enforced.params === undefined ? null : encodeData(enforced.params),
      output: writePythonJson(scoringOutput(data)),
    };
  } catch (error) {
    if (error instanceof ApiError)
      return { message: error.message, violations: error.violations.map(({ description }) => description) };
    throw error;
  }
}
