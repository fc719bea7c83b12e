// Picks the tokens whose logits are wanted as early as can be: behind the last attention only they go on, and not at the
// last product alone. Works with any wiring, as it asks only who needs what.

import { intAttribute, makeNode, type NodeProto } from "./graph-proto.ts";
import type { Attention } from "./rewrite-attention.ts";
import type { Layout } from "./rewrite-layout.ts";

/** The nodes that see the wanted tokens only, and the values that are picked for them: name → name of what is picked. */
export interface LateRows {
  readonly late: ReadonlySet<NodeProto>;
  readonly picked: ReadonlyMap<string, string>;
}

/** What is to be known of a graph for that. */
export interface RowGraph {
  /** The value that is wanted. */
  readonly logits: string;
  readonly layouts: ReadonlyMap<string, Layout>;
  readonly attentions: ReadonlyMap<NodeProto, Attention>;
  /** What a node takes, under the names that hold once the nodes that pick the last token are gone. */
  inputsOf(node: NodeProto): readonly string[];
  /** A name that no value of the graph has. */
  freshName(wanted: string): string;
}

/** @param nodes those that the logits need, in the order in which they run, without any that only picks the last token */
export function lateRows(nodes: readonly NodeProto[], graph: RowGraph): LateRows {
  const { layouts, logits } = graph;
  const isFolded = (name: string) => {
    const layout = layouts.get(name);
    return layout?.kind === "tokens" && layout.fold > 1;
  };
  // A node that has been sent back, and whatever it takes from, is early.
  const early = new Set<NodeProto>();
  for (;;) {
    const late = lateNodes(nodes, graph, early);
    const fromEarly = earlyValues(nodes, late, layouts);
    const crossing = (node: NodeProto) => graph.inputsOf(node).filter((name) => fromEarly.has(name));
    // A value whose tokens have been merged with another axis cannot be picked from.
    const folded = [...late].filter((node) => crossing(node).some(isFolded));
    if (folded.length === 0) {
      const names = new Set([...late].flatMap(crossing));
      if (!nodes.some((node) => late.has(node) && node.output.includes(logits))) names.add(logits);
      return { late, picked: new Map([...names].map((name) => [name, graph.freshName(`${name}.rows`)])) };
    }
    for (const node of folded) early.add(node);
  }
}

/** Nodes whose results reach nothing but the logits, through nodes of the same kind; `early` are none. */
function lateNodes(
  nodes: readonly NodeProto[],
  graph: RowGraph,
  early: ReadonlySet<NodeProto>,
): ReadonlySet<NodeProto> {
  const late = new Set<NodeProto>();
  const neededEarly = new Set<string>();
  for (const node of [...nodes].reverse()) {
    const makesTokens = node.output.some((name) => graph.layouts.get(name)?.kind === "tokens");
    const needed = node.output.some((name) => neededEarly.has(name));
    if (makesTokens && !needed && !graph.attentions.has(node) && !early.has(node)) late.add(node);
    else for (const name of graph.inputsOf(node)) neededEarly.add(name);
  }
  return late;
}

/** Values with tokens that are not made by a late node. */
function earlyValues(
  nodes: readonly NodeProto[],
  late: ReadonlySet<NodeProto>,
  layouts: ReadonlyMap<string, Layout>,
): ReadonlySet<string> {
  const names = new Set([...layouts].filter(([, { kind }]) => kind === "tokens").map(([name]) => name));
  for (const node of nodes) if (late.has(node)) for (const output of node.output) names.delete(output);
  return names;
}

/** The node that picks the wanted rows of a value. */
export function pickRows(value: string, picked: string, axis: number, rows: string): NodeProto {
  return makeNode({
    operator: "Gather",
    name: picked,
    inputs: [value, rows],
    outputs: [picked],
    attributes: [intAttribute("axis", axis)],
  });
}
