// A signature as messages of the wire.
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DataTypeSchema,
  type ModelSignature,
  type ModelSignatureSchema,
  ScalarType,
  type SchemaSchema,
  type SignatureSchema,
} from "@modelwire/proto";
import type { DataType, ScalarName, Schema, Signature } from "../mlmodel/schema.ts";
import { writeSignature } from "../mlmodel/signature/schema-json.ts";
import { signatureText } from "../mlmodel/signature/schema-text.ts";
import { taskOfSignature } from "../mlmodel/signature/task-of-signature.ts";
import type { SignatureJson } from "../mlmodel/signature/task-signatures.ts";
import { valueMessage } from "./data-messages.ts";

const SCALARS: Readonly<Record<ScalarName, ScalarType>> = {
  boolean: ScalarType.BOOLEAN,
  integer: ScalarType.INTEGER,
  long: ScalarType.LONG,
  float: ScalarType.FLOAT,
  double: ScalarType.DOUBLE,
  string: ScalarType.STRING,
  binary: ScalarType.BINARY,
  datetime: ScalarType.DATETIME,
};

/** @param json The texts as a file has them; written anew when absent. */
export function signatureMessage(
  signature: Signature,
  json: SignatureJson = writeSignature(signature),
): MessageInitShape<typeof SignatureSchema> {
  const { inputs, outputs, params } = signature;
  return {
    json: signatureJsonMessage(json),
    text: signatureText(signature),
    task: taskOfSignature(signature) ?? "",
    ...(inputs && { inputs: schemaMessage(inputs) }),
    ...(outputs && { outputs: schemaMessage(outputs) }),
    ...(params && {
      params: {
        params: params.map(({ name, type, default: value, shape }) => ({
          name,
          type: typeMessage(type),
          defaultValue: valueMessage(value),
          ...(shape && { length: BigInt(shape[0] ?? -1) }),
        })),
      },
    }),
  };
}

function signatureJsonMessage({
  inputs,
  outputs,
  params,
}: SignatureJson): MessageInitShape<typeof ModelSignatureSchema> {
  return { inputs: inputs ?? undefined, outputs: outputs ?? undefined, params: params ?? undefined };
}

export function signatureJson({ inputs, outputs, params }: ModelSignature): SignatureJson {
  return { inputs: inputs ?? null, outputs: outputs ?? null, params: params ?? null };
}

function schemaMessage(schema: Schema): MessageInitShape<typeof SchemaSchema> {
  if (schema.kind === "tensors")
    return {
      tensors: schema.tensors.map(({ name, dtype, shape }) => ({
        ...(name !== undefined && { name }),
        dtype,
        shape: shape.map(BigInt),
      })),
    };
  return {
    columns: schema.columns.map(({ name, type, required }) => ({
      ...(name !== undefined && { name: String(name) }),
      type: typeMessage(type),
      required: required ?? false,
    })),
  };
}

function typeMessage(type: DataType): MessageInitShape<typeof DataTypeSchema> {
  switch (type.kind) {
    case "scalar":
      return { kind: { case: "scalar", value: SCALARS[type.name] } };
    case "array":
      return { kind: { case: "arrayItems", value: typeMessage(type.items) } };
    case "map":
      return { kind: { case: "mapValues", value: typeMessage(type.values) } };
    case "any":
      return { kind: { case: "any", value: {} } };
    case "sparkml_vector":
      return { kind: { case: "sparkVector", value: {} } };
    case "object": {
      const properties = type.properties.map(({ name, type, required }) => ({
        name,
        type: typeMessage(type),
        required,
      }));
      return { kind: { case: "object", value: { properties } } };
    }
  }
}
