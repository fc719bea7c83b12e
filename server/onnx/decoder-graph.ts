// Matches what a genai_config.json states with what the loaded graph really has: which tensors to feed, their
// types, and the shapes that are fixed. Everything that does not fit is reported at once.

import { ModelFolderError, type Violation } from "./errors.ts";
import type { GenaiConfig } from "./genai-config.ts";
import type { ElementType, ValueInfo } from "./runtime.ts";

type IndexType = "int32" | "int64";
type FloatType = "float32" | "float16";

/** A decoder graph: input_ids, attention_mask, keys and values in; logits, keys and values out. */
export interface DecoderGraph {
  readonly inputIds: { readonly name: string; readonly type: IndexType };
  readonly attentionMask: { readonly name: string; readonly type: IndexType };
  /** Null when the graph works positions out by itself. */
  readonly positionIds: { readonly name: string; readonly type: IndexType } | null;
  /** `lastOnly`: the graph gives the logits of the last position of a row only. */
  readonly logits: { readonly name: string; readonly type: FloatType; readonly lastOnly: boolean };
  /** Two per layer, keys first. */
  readonly caches: readonly { readonly past: string; readonly present: string }[];
  readonly cacheType: FloatType;
}

/** @throws ModelFolderError with every violation */
export function matchDecoderGraph(
  config: GenaiConfig,
  session: { readonly inputs: readonly ValueInfo[]; readonly outputs: readonly ValueInfo[] },
): DecoderGraph {
  const violations: Violation[] = [];
  const refuse = (field: string, description: string) => violations.push({ field, description });
  const { decoder } = config;
  const inputs = new Map(session.inputs.map((value) => [value.name, value]));
  const outputs = new Map(session.outputs.map((value) => [value.name, value]));

  const take = (from: Map<string, ValueInfo>, kind: "input" | "output", field: string, name: string) => {
    const value = from.get(name);
    from.delete(name);
    if (value === undefined) refuse(field, `the graph has no ${kind} ${JSON.stringify(name)}.`);
    return value;
  };
  const typed = <T extends ElementType>(value: ValueInfo | undefined, allowed: readonly T[], field: string): T => {
    const type = allowed.find((candidate) => candidate === value?.type);
    if (type === undefined && value)
      refuse(field, `${value.name} is ${value.type}; it must be ${allowed.join(" or ")}.`);
    return type ?? allowed[0]!;
  };
  const index = (field: string, name: string) => {
    const value = take(inputs, "input", field, name);
    return { name, type: typed(value, ["int64", "int32"], field) };
  };

  const inputIds = index("model.decoder.inputs.input_ids", decoder.inputs.inputIds);
  const attentionMask = index("model.decoder.inputs.attention_mask", decoder.inputs.attentionMask);
  // Configurations name position_ids even where the graph has none: the graph decides.
  const positionField = "model.decoder.inputs.position_ids";
  const positionIds = inputs.has(decoder.inputs.positionIds) ? index(positionField, decoder.inputs.positionIds) : null;

  const logitsValue = take(outputs, "output", "model.decoder.outputs.logits", decoder.outputs.logits);
  const logits = {
    name: decoder.outputs.logits,
    type: typed<FloatType>(logitsValue, ["float32", "float16"], "model.decoder.outputs.logits"),
    lastOnly: logitsValue?.dims[1] === 1,
  };
  const vocabulary = logitsValue?.dims[2];
  if (typeof vocabulary === "number" && vocabulary !== config.vocabSize) {
    refuse("model.vocab_size", `is ${config.vocabSize}, but the graph gives ${vocabulary} logits.`);
  }

  const caches: { past: string; present: string }[] = [];
  const cacheTypes = new Set<FloatType>();
  for (let layer = 0; layer < decoder.layers; layer++) {
    for (const kind of ["key", "value"] as const) {
      const past = (kind === "key" ? decoder.inputs.pastKeys : decoder.inputs.pastValues).replace("%d", `${layer}`);
      const present = (kind === "key" ? decoder.outputs.presentKeys : decoder.outputs.presentValues).replace(
        "%d",
        `${layer}`,
      );
      const value = take(inputs, "input", `model.decoder.inputs.past_${kind}_names`, past);
      take(outputs, "output", `model.decoder.outputs.present_${kind}_names`, present);
      cacheTypes.add(typed<FloatType>(value, ["float32", "float16"], `model.decoder.inputs.past_${kind}_names`));
      for (const [axis, field, expected] of [
        [1, "num_key_value_heads", decoder.kvHeads],
        [3, "head_size", decoder.headSize],
      ] as const) {
        const size = value?.dims[axis];
        if (typeof size === "number" && size !== expected) {
          refuse(`model.decoder.${field}`, `is ${expected}, but ${past} of the graph has ${size}.`);
        }
      }
      caches.push({ past, present });
    }
  }
  if (cacheTypes.size > 1) refuse("model.decoder.inputs", "keys and values of the graph have different element types.");
  for (const name of inputs.keys())
    refuse("model.decoder.inputs", `the graph needs an input ${JSON.stringify(name)} that nothing provides.`);

  if (violations.length > 0)
    throw new ModelFolderError("The graph does not fit genai_config.json.", distinct(violations));
  return { inputIds, attentionMask, positionIds, logits, caches, cacheType: [...cacheTypes][0] ?? "float32" };
}

/** A wrong head size would otherwise be told once per layer. */
function distinct(violations: readonly Violation[]): Violation[] {
  const seen = new Map<string, Violation>();
  for (const violation of violations) {
    const key = `${violation.field} ${violation.description.replace(/\d+\.(key|value)/, "")}`;
    if (!seen.has(key)) seen.set(key, violation);
  }
  return [...seen.values()];
}
