// SignatureService: signatures read, inferred and enforced, without any model at work.
import { create } from "@bufbuild/protobuf";
import {
  ApiError,
  type InputViolation,
  invalidFields,
  type ServiceHandlers,
  type SignatureService,
  type ValidateInputRequest,
  ValidateInputResponseSchema,
} from "@modelwire/proto";
import type { Signature } from "../mlmodel/schema.ts";
import { inferSignature } from "../mlmodel/signature/infer.ts";
import { readSignature } from "../mlmodel/signature/schema-json.ts";
import type { CallContext } from "../rpc/context.ts";
import type { ModelStore } from "../store/model-store.ts";
import { dataMap, dataOutput, objectMessage, scoringForm } from "./data-messages.ts";
import { enforcedInput } from "./enforced-input.ts";
import { exampleOf } from "./example-data.ts";
import { required } from "./serving-service.ts";
import { signatureJson, signatureMessage } from "./signature-messages.ts";

export function signatureService(store: ModelStore): ServiceHandlers<typeof SignatureService, CallContext> {
  return {
    async getSignature({ model: ref }) {
      const model = await store.get(required(ref));
      if (!model.signature)
        throw new ApiError(
          "SIGNATURE_MISSING",
          `model ${model.modelId} has no signature; log it with one, or with an input example`,
          {
            resource: { type: "model", name: ref },
          },
        );
      const json = signatureJson(model.signature);
      return { modelId: model.modelId, signature: signatureMessage(readSignature(json), json) };
    },

    async inferSignature({ input, output, params }) {
      if (!input && !output && !params)
        throw invalidFields([
          { field: "input", description: "is missing: give an example of input, output or params" },
        ]);
      const { signature, warnings } = inferSignature({
        ...(input && { input: exampleOf(scoringForm(input, "input"), "input") }),
        ...(output && { output: exampleOf(scoringForm(output, "output"), "output") }),
        ...(params && { params: dataMap(params, "params") }),
      });
      return { signature: signatureMessage(signature), warnings: [...warnings] };
    },

    async validateInput(request) {
      const signature = await signatureOf(store, request);
      const form = scoringForm(request.input);
      const given = dataMap(request.params, "params");
      try {
        const { data, params, ignored, bare } = enforcedInput(signature, form, given, request.strict);
        return {
          valid: true,
          ignored,
          input: dataOutput(data, form.form, bare),
          ...(params && { params: objectMessage(params) }),
        };
      } catch (error) {
        if (!(error instanceof ApiError) || error.reason !== "SCHEMA_ENFORCEMENT_FAILED") throw error;
        const violations: Pick<InputViolation, "field" | "description">[] = error.violations.map((one) => ({ ...one }));
        return create(ValidateInputResponseSchema, { valid: false, errorMessage: error.message, violations });
      }
    },
  };
}

async function signatureOf(store: ModelStore, { against }: ValidateInputRequest): Promise<Signature | undefined> {
  switch (against.case) {
    case "model": {
      const { signature } = await store.get(required(against.value));
      return signature && readSignature(signatureJson(signature));
    }
    case "signature":
      return readSignature(signatureJson(against.value));
    default:
      throw invalidFields([{ field: "model", description: "is missing: give a model or a signature" }]);
  }
}
