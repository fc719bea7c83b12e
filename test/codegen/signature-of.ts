// Signatures as the service gives them, from the JSON that an MLmodel file has.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { DataTypeSchema, SchemaSchema, Signature, ValueSchema } from "@modelwire/proto";
import { ScalarType, SignatureSchema } from "@modelwire/proto";

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

/** @param task as the service would find it by the structure */
export function signatureOf(given: { inputs?: Spec[]; outputs?: Spec[]; params?: Spec[] }, task = ""): Signature {
  const { inputs, outputs, params } = given;
  const json = Object.entries(given).map(([part, specs]) => [part, JSON.stringify(specs)]);
  return create(SignatureSchema, {
    task,
    json: Object.fromEntries(json),
    ...(inputs && { inputs: schemaOf(inputs) }),
    ...(outputs && { outputs: schemaOf(outputs) }),
    ...(params && {
      params: {
        params: params.map((spec) => ({
          name: String(spec.name),
          type: typeOf(spec),
          defaultValue: pythonValue(spec.default),
          ...(spec.shape && { length: -1n }),
        })),
      },
    }),
  });
}

/** A tensor, in MLflow's words. */
export function tensorSpec(dtype: string, shape: number[], name?: string): Spec {
  return { ...(name !== undefined && { name }), type: "tensor", "tensor-spec": { dtype, shape } };
}

function schemaOf(specs: Spec[]): MessageInitShape<typeof SchemaSchema> {
  const named = ({ name }: Spec) => (name === undefined ? {} : { name: String(name) });
  const tensors = specs.flatMap((spec) => {
    const tensor = spec["tensor-spec"];
    return tensor ? [{ ...named(spec), dtype: tensor.dtype, shape: tensor.shape.map(BigInt) }] : [];
  });
  if (tensors.length > 0) return { tensors };
  return { columns: specs.map((spec) => ({ ...named(spec), type: typeOf(spec), required: spec.required ?? true })) };
}

function typeOf(spec: Spec): MessageInitShape<typeof DataTypeSchema> {
  if (spec.items) return { kind: { case: "arrayItems", value: typeOf(spec.items) } };
  if (spec.values) return { kind: { case: "mapValues", value: typeOf(spec.values) } };
  if (spec.type === "any") return { kind: { case: "any", value: {} } };
  if (spec.properties) {
    const properties = Object.entries(spec.properties).map(([name, property]) => ({
      name,
      type: typeOf(property),
      required: property.required ?? true,
    }));
    return { kind: { case: "object", value: { properties } } };
  }
  const scalar = ScalarType[spec.type.toUpperCase() as keyof typeof ScalarType];
  return { kind: { case: "scalar", value: scalar } };
}

function pythonValue(value: unknown): MessageInitShape<typeof ValueSchema> {
  if (Array.isArray(value)) return { kind: { case: "listValue", value: { values: value.map(pythonValue) } } };
  if (typeof value === "string") return { kind: { case: "stringValue", value } };
  if (Number.isInteger(value)) return { kind: { case: "intValue", value: BigInt(value as number) } };
  return { kind: { case: "doubleValue", value: Number(value) } };
}
