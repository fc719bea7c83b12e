// The TypeScript type of what fits a JSON Schema, for the part of JSON Schema that types can say. Where a schema says more,
// the type is wider than the schema and never narrower. Types only.

/** Of a schema that is written in place, or `as const`. What is not known gives `unknown`. */
export type FromSchema<S> = S extends { readonly const: infer Value }
  ? Value
  : S extends { readonly enum: readonly (infer Value)[] }
    ? Value
    : S extends { readonly anyOf: readonly (infer One)[] }
      ? FromSchema<One>
      : S extends { readonly oneOf: readonly (infer One)[] }
        ? FromSchema<One>
        : S extends { readonly type: readonly (infer Type)[] }
          ? OfType<Type, S>
          : S extends { readonly type: infer Type }
            ? OfType<Type, S>
            : unknown;

type OfType<Type, S> = Type extends "string"
  ? string
  : Type extends "number" | "integer"
    ? number
    : Type extends "boolean"
      ? boolean
      : Type extends "null"
        ? null
        : Type extends "array"
          ? OfArray<S>
          : Type extends "object"
            ? OfObject<S>
            : unknown;

type OfArray<S> = S extends { readonly prefixItems: unknown }
  ? unknown[]
  : S extends { readonly items: infer Item }
    ? FromSchema<Item>[]
    : unknown[];

type OfObject<S> = S extends { readonly properties: infer Properties }
  ? Flat<
      { [K in keyof Properties & Required<S>]: FromSchema<Properties[K]> } & {
        [K in Exclude<keyof Properties, Required<S>>]?: FromSchema<Properties[K]>;
      } & { [K in Exclude<Required<S>, keyof Properties>]: unknown }
    >
  : S extends { readonly additionalProperties: infer Value }
    ? { [key: string]: FromSchema<Value> }
    : { [key: string]: unknown };

type Required<S> = S extends { readonly required: readonly (infer Name extends string)[] } ? Name : never;

/** One object type in place of an intersection, which editors show in full. */
type Flat<T> = { [K in keyof T]: T[K] };
