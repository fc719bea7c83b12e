// Signatures as the service gives them, from the JSON that an MLmodel file has.
import { create } from "@bufbuild/protobuf";
import { type Signature, SignatureSchema } from "@modelwire/proto";
import { type Json, pythonJson } from "../../server/mlmodel/data/python-json.ts";
import { readSignature } from "../../server/mlmodel/signature/schema-json.ts";
import { signatureMessage } from "../../server/services/signature-messages.ts";

/** A column, a property, a parameter or a tensor, in MLflow's words. */
export interface Spec {
  type: string;
  name?: string | number;
  required?: boolean;
  items?: Spec;
  values?: Spec;
  properties?: Record<string, Spec>;
  "tensor-spec"?: { dtype: string; shape: number[] };
  default?: unknown;
  shape?: number[] | null;
}

export function signatureOf(given: { inputs?: Spec[]; outputs?: Spec[]; params?: Spec[] }): Signature {
  const text = (specs: Spec[] | undefined) => (specs ? pythonJson(specs as unknown as Json) : null);
  const json = { inputs: text(given.inputs), outputs: text(given.outputs), params: text(given.params) };
  return create(SignatureSchema, signatureMessage(readSignature(json), json));
}

/** A tensor, in MLflow's words. */
export function tensorSpec(dtype: string, shape: number[], name?: string): Spec {
  return { ...(name !== undefined && { name }), type: "tensor", "tensor-spec": { dtype, shape } };
}
