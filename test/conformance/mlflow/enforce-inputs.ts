// Makes pairs of a signature and an input, and says what Modelwire makes of each; enforce_inputs.py compares that with real
// MLflow. It never knows MLflow.
//   node --import tsx test/conformance/mlflow/enforce-inputs.ts COUNT SEED
// Prints one JSON object per pair and line.
import { encodeData } from "./data-cases.ts";
import { type Case, inputCases } from "./input-cases.ts";
import { type CodedPair, verdictOn } from "./input-verdict.ts";

const [count = "900", seed = "1"] = process.argv.slice(2);
for (const pair of inputCases(Number(count), Number(seed))) {
  const coded = codedPair(pair);
  console.log(JSON.stringify({ ...coded, ours: verdictOn(coded) }));
}

function codedPair({ signature, form, params }: Case): CodedPair {
  const value = form.form === "json" ? form.text : encodeData(form.value);
  return { signature, form: form.form, value, params: params === undefined ? null : encodeData(params) };
}
