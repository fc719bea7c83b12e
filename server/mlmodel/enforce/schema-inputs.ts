// What a schema calls its inputs, the way MLflow asks it. It never knows data.
import { type Dtype, NUMBER_BYTES } from "../data/data.ts";
import type { ColumnSpec, Schema, TensorSpec } from "../schema.ts";
import { Misfit } from "./findings.ts";

/** Whether the inputs have names; all have or none has. */
export function hasNames(schema: Schema): boolean {
  const [first] = schema.kind === "columns" ? schema.columns : schema.tensors;
  return first?.name !== undefined;
}

/** The name of an input; its position where it has none, or an empty one. */
export function inputName(spec: ColumnSpec | TensorSpec, at: number): string | number {
  return spec.name === undefined || spec.name === "" ? at : spec.name;
}

/** The element type of a tensor. @throws Misfit for one that no data here can have, such as complex64. */
export function dtypeOf(name: string): Dtype {
  if (Object.hasOwn(NUMBER_BYTES, name) || name === "str" || name === "bytes" || name === "object")
    return name as Dtype;
  throw new Misfit(`There are no elements of type ${name.slice(0, 40)} here.`, "Only Python can feed this model.");
}
