// Examples and signatures for infer_signatures.py, with what Modelwire makes of them. Seeded: every run has the same.
//   node --import tsx test/conformance/mlflow/infer-signatures.ts
// Prints {"inferences": [{"input", "output", "params": encoded data, "ours", "fixed"}], "signatures": [{"given", "ours",
// "fixed"}], "json": [{"text", "ours", "fixed"}]}; the fixed ones are those chosen by hand.
import { ApiError } from "@modelwire/proto";
import type { Data } from "../../../server/mlmodel/data/data.ts";
import { JsonError, parsePythonJson, writePythonJson } from "../../../server/mlmodel/data/python-json.ts";
import { type Examples, inferSignature } from "../../../server/mlmodel/signature/infer.ts";
import { inferSchema } from "../../../server/mlmodel/signature/infer-schema.ts";
import { readSignature, writeSignature } from "../../../server/mlmodel/signature/schema-json.ts";
import { signatureText } from "../../../server/mlmodel/signature/schema-text.ts";
import type { SignatureJson } from "../../../server/mlmodel/signature/task-signatures.ts";
import { encodeData } from "./data-cases.ts";
import { ExampleMaker } from "./example-maker.ts";
import { FIXED_EXAMPLES } from "./fixed-examples.ts";
import { JSON_TEXTS } from "./json-texts.ts";
import { SIGNATURE_TEXTS } from "./signature-texts.ts";

const SEED = 20261121;
const MADE_EXAMPLES = 600;
const MADE_SIGNATURES = 150;
const MADE_TEXTS = 150;

function judgeExamples(examples: Examples) {
  return {
    input: encodeOptional(examples.input),
    output: encodeOptional(examples.output),
    params: encodeOptional(examples.params),
    ours: { ...verdict(() => inferred(examples)), refused: "error" in verdict(() => inferSignature(examples)) },
  };
}

function inferred(examples: Examples) {
  const { signature, warnings } = inferSignature(examples, { onFailure: "any" });
  const gaveUp = (["input", "output"] as const).filter((key) => {
    const data = examples[key];
    return data !== undefined && data !== null && inferSchema(data).schema === undefined;
  });
  return { json: writeSignature(signature), text: signatureText(signature), hints: warnings.length, gaveUp };
}

function judgeSignature(given: SignatureJson) {
  const ours = verdict(() => {
    const signature = readSignature(given);
    return { json: writeSignature(signature), text: signatureText(signature) };
  });
  return { given, ours };
}

function judgeJson(text: string) {
  const ours = verdict(() => {
    const data = parsePythonJson(text);
    return { data: encodeData(data), written: writePythonJson(data) };
  });
  return { text, ours };
}

function verdict<T>(judge: () => T): T | { error: string } {
  try {
    return judge();
  } catch (error) {
    if (error instanceof ApiError || error instanceof JsonError) return { error: error.message };
    throw error;
  }
}

function encodeOptional(data: Data | undefined): unknown {
  return data === undefined ? undefined : encodeData(data);
}

const maker = new ExampleMaker(SEED);
const made = Array.from({ length: MADE_EXAMPLES }, () => maker.examples());
const madeTexts = Array.from({ length: MADE_SIGNATURES }, () => maker.signatureJson());
const madeJson = Array.from({ length: MADE_TEXTS }, () => maker.jsonText());
const out = {
  inferences: [
    ...FIXED_EXAMPLES.map((examples) => ({ ...judgeExamples(examples), fixed: true })),
    ...made.map(judgeExamples),
  ],
  signatures: [
    ...SIGNATURE_TEXTS.map((given) => ({ ...judgeSignature(given), fixed: true })),
    ...madeTexts.map(judgeSignature),
  ],
  json: [...JSON_TEXTS.map((text) => ({ ...judgeJson(text), fixed: true })), ...madeJson.map(judgeJson)],
};
process.stdout.write(`${JSON.stringify(out)}\n`);
