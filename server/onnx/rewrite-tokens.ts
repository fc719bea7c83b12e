// Follows the tokens through a graph whose attention is known: that every other operator treats each of them by itself,
// and that nothing needs the mask or the cache any more.

import type { NodeProto } from "./graph-proto.ts";
import type { Attention } from "./rewrite-attention.ts";
import { constant, type Layout, tokens } from "./rewrite-layout.ts";
import type { RotarySwitch } from "./rewrite-lengths.ts";
import { layoutsOf } from "./rewrite-operators.ts";
import { type GraphView, NotKnown } from "./rewrite-view.ts";

/** What is left of a graph once our attention is in it. */
export interface LiveGraph {
  /** In the order in which they run. */
  readonly nodes: readonly NodeProto[];
  readonly layouts: ReadonlyMap<string, Layout>;
  /** Values that are the same as another: nodes that pick the last token are left out. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly usesPositions: boolean;
  /** How many logits a token gets; null where not known. */
  readonly vocabulary: number | null;
}

export function followTokens(
  view: GraphView,
  attentions: ReadonlyMap<NodeProto, Attention>,
  switches: readonly RotarySwitch[],
): LiveGraph | NotKnown {
  const { decoder } = view.config;
  const inputsOf = (node: NodeProto) => effectiveInputs(node, attentions, switches);
  const nodes = liveNodes(view, decoder.outputs.logits, inputsOf);
  const layouts = new Map<string, Layout>();
  const aliases = new Map<string, string>();
  for (const name of [decoder.inputs.inputIds, decoder.inputs.positionIds])
    if (view.inputs.has(name)) layouts.set(name, tokens(1, []));
  let usesPositions = false;

  for (const node of nodes) {
    const inputs: (Layout | undefined)[] = [];
    for (const name of inputsOf(node)) {
      const layout = name === "" ? undefined : (layouts.get(name) ?? constantLayout(view, name));
      if (name !== "" && layout === undefined) return new NotKnown(`${missing(view, name)}.`, node);
      if (name === decoder.inputs.positionIds) usesPositions = true;
      inputs.push(layout);
    }
    const attention = attentions.get(node);
    const rotary = switches.find((one) => one.node === node);
    const made = attention
      ? attentionLayout(view, attention, inputs)
      : rotary
        ? [...rotary.tables.values()].map((table) => constant(table.dims.map(Number)))
        : layoutsOf(view, node, inputs);
    if (typeof made === "string") return new NotKnown(`${made}.`, node);
    node.output.forEach((name, i) => {
      if (name !== "" && made[i]) layouts.set(name, made[i]);
    });
    if (picksLast(inputs[0], made[0])) aliases.set(node.output[0]!, node.input[0]!);
  }
  const logits = layouts.get(decoder.outputs.logits);
  if (logits?.kind !== "tokens") return new NotKnown("The logits do not depend on the tokens.");
  if (logits.axis !== 1 || logits.tail.length !== 1 || logits.fold !== 1 || logits.last === "dropped")
    return new NotKnown("The logits are not of the form [batch, tokens, vocabulary].");
  return { nodes, layouts, aliases, usesPositions, vocabulary: logits.tail[0] ?? null };
}

/** What a node needs in the rewritten graph: our attention needs neither mask nor cache, a chosen table no width. */
function effectiveInputs(
  node: NodeProto,
  attentions: ReadonlyMap<NodeProto, Attention>,
  switches: readonly RotarySwitch[],
): readonly string[] {
  const attention = attentions.get(node);
  if (attention)
    return [...attention.inputs, ...(attention.rotary ? [attention.rotary.cos, attention.rotary.sin] : [])];
  return switches.some((one) => one.node === node) ? [] : node.input;
}

/** Nodes that the logits depend on, in the order of the graph. */
function liveNodes(
  view: GraphView,
  logits: string,
  inputsOf: (node: NodeProto) => readonly string[],
): readonly NodeProto[] {
  const live = new Set<NodeProto>();
  const wanted = [logits];
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const node = view.makerOf(name);
    if (!node || live.has(node)) continue;
    live.add(node);
    for (const input of inputsOf(node)) wanted.push(input);
  }
  return view.nodes.filter((node) => live.has(node));
}

function constantLayout(view: GraphView, name: string): Layout | undefined {
  return view.constant(name) ? constant(view.constantDims(name)) : undefined;
}

function missing(view: GraphView, name: string): string {
  const { inputs } = view.config.decoder;
  if (name === inputs.attentionMask) return "needs the attention mask beside the attention";
  if (view.inputs.has(name)) return `needs the input ${JSON.stringify(name)}`;
  if (view.makerOf(name)) return `needs ${JSON.stringify(name)}, which is made later or by the cache`;
  return `needs ${JSON.stringify(name)}, which nothing makes`;
}

function attentionLayout(
  view: GraphView,
  attention: Attention,
  inputs: readonly (Layout | undefined)[],
): Layout[] | string {
  const { kvHeads, headSize } = view.config.decoder;
  const width = attention.heads * headSize;
  const kv = kvHeads * headSize;
  const widths = attention.inputs.length === 1 ? [width + 2 * kv] : [width, kv, kv];
  for (const [i, expected] of widths.entries()) {
    const input = inputs[i];
    if (
      input?.kind !== "tokens" ||
      input.axis !== 1 ||
      input.tail.length !== 1 ||
      input.fold !== 1 ||
      input.last !== "no"
    )
      return "takes what is not [batch, tokens, size]";
    if ((input.tail[0] ?? expected) !== expected)
      return `takes ${input.tail[0]} numbers of each token, where ${expected} are expected`;
  }
  return [tokens(1, [width])];
}

function picksLast(input: Layout | undefined, made: Layout | undefined): boolean {
  return input?.kind === "tokens" && made?.kind === "tokens" && input.last !== made.last;
}
