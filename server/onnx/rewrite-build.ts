// Puts the operators of ours into a graph all of whose parts are known, leaves out what only the mask and the cache
// needed, and says of every node where it runs.

import { ModelFolderError } from "./errors.ts";
import {
  changed,
  elementType,
  encodeModel,
  intAttribute,
  type ModelProto,
  makeOperatorSet,
  makeValue,
  type NodeProto,
  nameOf,
  operatorOf,
  type TensorProto,
  type ValueInfoProto,
} from "./graph-proto.ts";
import { type Attention, describeAttention, pagedAttention } from "./rewrite-attention.ts";
import type { RotarySwitch } from "./rewrite-lengths.ts";
import { describeProduct, matMulInt4, type Product, Products, productOperator } from "./rewrite-matmul.ts";
import { operatorKind } from "./rewrite-operators.ts";
import type { IndexInput, NativeGraph, NodePlacement } from "./rewrite-result.ts";
import { type LateRows, lateRows, pickRows } from "./rewrite-rows.ts";
import type { LiveGraph } from "./rewrite-tokens.ts";
import type { GraphView } from "./rewrite-view.ts";

export const ourDomain = "modelwire";
const ourVersion = 1;

/** A graph whose attention is known, and where the tokens lie in all of it. */
export interface KnownParts {
  readonly attentions: ReadonlyMap<NodeProto, Attention>;
  readonly switches: readonly RotarySwitch[];
  readonly live: LiveGraph;
  readonly ids: IndexInput;
  readonly positions: IndexInput | null;
}

export function buildGraph(
  model: ModelProto,
  view: GraphView,
  known: KnownParts,
): {
  graph: NativeGraph;
  placements: NodePlacement[];
} {
  const build = new Build(model, view, known);
  const { decoder } = view.config;
  const rotary = [...known.attentions.values()].map(
    (attention) => attention.rotary?.positions ?? Number.POSITIVE_INFINITY,
  );
  return {
    graph: {
      weights: build.products.plans,
      inputs: { ids: known.ids, positions: known.positions, rows: build.rows, meta: build.meta },
      logits: { name: build.logits },
      layers: decoder.layers,
      heads: [...known.attentions.values()][0]!.heads,
      kvHeads: decoder.kvHeads,
      headSize: decoder.headSize,
      maxPositions: Math.min(...rotary),
      encode: (scaleTypes) => build.encode(scaleTypes),
    },
    placements: build.placements(),
  };
}

class Build {
  readonly products: Products;
  readonly meta: string;
  readonly rows: string;
  /** The output that holds the logits of the wanted tokens. */
  readonly logits: string;
  readonly #model: ModelProto;
  readonly #view: GraphView;
  readonly #known: KnownParts;
  readonly #names: Set<string>;
  readonly #taken = new Map<NodeProto, Product | string>();
  readonly #late: LateRows;
  readonly #nodes: NodeProto[] = [];
  /** The tensor of packed weights that a node of ours takes. */
  readonly #packed = new Map<NodeProto, string>();

  constructor(model: ModelProto, view: GraphView, known: KnownParts) {
    this.#model = model;
    this.#view = view;
    this.#known = known;
    const made = [...view.inputs.keys(), ...view.nodes.flatMap(({ output }) => output)];
    this.#names = new Set([...made, ...model.graph!.initializer.map(({ name }) => name)]);
    this.meta = this.#freshName("modelwire.meta");
    this.rows = this.#freshName("modelwire.rows");
    this.products = new Products(view, (wanted) => this.#freshName(wanted));
    for (const node of known.live.nodes)
      if (operatorOf(node) === productOperator) this.#taken.set(node, this.products.take(node));

    const kept = known.live.nodes.filter(({ output }) => !known.live.aliases.has(output[0]!));
    const logits = this.#resolved(view.config.decoder.outputs.logits);
    this.#late = lateRows(kept, {
      ...{ logits, layouts: known.live.layouts, attentions: known.attentions },
      inputsOf: (node) => (this.#switchAt(node) ? [] : node.input.map((name) => this.#resolved(name))),
      freshName: (wanted) => this.#freshName(wanted),
    });
    this.logits = this.#late.picked.get(logits) ?? logits;
    this.#pick([...view.inputs.keys()]);
    for (const node of kept) {
      const ours = this.#replaced(node);
      if (ours) this.#nodes.push(ours);
      this.#pick(node.output);
    }
  }

  /** The model with the scale types of its packed weights. @throws RangeError when one is missing, ModelFolderError */
  encode(scaleTypes: ReadonlyMap<string, number>): Uint8Array {
    const node = this.#nodes.map((one) => {
      const packed = this.#packed.get(one);
      if (packed === undefined) return one;
      const type = scaleTypes.get(packed);
      if (type === undefined) throw new RangeError(`No scale type is given for ${packed}.`);
      return changed(one, { attribute: [...one.attribute, intAttribute("scale_type", type)] });
    });
    const opsets = this.#model.opsetImport.filter(({ domain }) => domain !== ourDomain);
    const graph = changed(this.#model.graph!, {
      node,
      initializer: this.#initializers(),
      input: this.#inputs(),
      output: [makeValue(this.logits, elementType.float, [1, "rows", this.#view.config.vocabSize])],
      valueInfo: this.#shapes(),
    });
    const opsetImport = [...opsets, makeOperatorSet(ourDomain, ourVersion)];
    try {
      return encodeModel(changed(this.#model, { graph, opsetImport }));
    } catch (error) {
      // Broken protobuf may hold numbers that no writer writes.
      throw new ModelFolderError("The graph cannot be loaded.", [
        { field: this.#view.config.decoder.fileName, description: `is no ONNX file: ${(error as Error).message}.` },
      ]);
    }
  }

  placements(): NodePlacement[] {
    const { live, attentions } = this.#known;
    const alive = new Set(live.nodes);
    return this.#view.nodes.map((node): NodePlacement => {
      const [runsOn, reason] = this.#placement(node, attentions.get(node), alive.has(node));
      return { name: nameOf(node), operator: operatorOf(node), runsOn, reason };
    });
  }

  #placement(
    node: NodeProto,
    attention: Attention | undefined,
    alive: boolean,
  ): readonly [NodePlacement["runsOn"], string] {
    const switched = this.#switchAt(node);
    const product = this.#taken.get(node);
    const rows = this.#late.late.has(node) ? ", for the wanted rows only" : "";
    if (attention) return ["modelwire", describeAttention(attention, this.#view)];
    if (typeof product === "object") return ["modelwire", `${describeProduct(product)}${rows}`];
    if (typeof product === "string") return ["onnxruntime", `stays: ${product}${rows}`];
    if (!alive) return ["removed", "nothing that is left needs it: lengths come with the batch"];
    if (this.#known.live.aliases.has(node.output[0]!))
      return ["removed", "picks the last token; the wanted rows are picked earlier"];
    if (switched) return ["removed", `the rotary table for up to ${switched.limit} positions is chosen for good`];
    return ["onnxruntime", `${operatorKind(node)}; ONNX Runtime's is as good${rows}`];
  }

  /** What stands in a node's place; undefined when nothing does. */
  #replaced(node: NodeProto): NodeProto | undefined {
    if (this.#switchAt(node)) return undefined;
    const attention = this.#known.attentions.get(node);
    if (attention) return pagedAttention(attention, this.#view, this.meta);
    const { picked, late } = this.#late;
    const input = node.input.map((name) => {
      const from = this.#resolved(name);
      return (late.has(node) ? picked.get(from) : undefined) ?? from;
    });
    const product = this.#taken.get(node);
    if (typeof product !== "object") return changed(node, { input });
    const ours = matMulInt4(product, input[0]!);
    this.#packed.set(ours, product.plan.name);
    return ours;
  }

  /** Picks the wanted rows of those values of which some are wanted. */
  #pick(names: readonly string[]): void {
    for (const name of names) {
      const layout = this.#known.live.layouts.get(name);
      const picked = this.#late.picked.get(name);
      if (picked !== undefined && layout?.kind === "tokens")
        this.#nodes.push(pickRows(name, picked, layout.axis, this.rows));
    }
  }

  #initializers(): TensorProto[] {
    const used = new Set(this.#nodes.flatMap(({ input }) => input));
    const tables = this.#known.switches.flatMap((one) => [...one.tables]);
    return [
      ...this.#model.graph!.initializer.filter(({ name }) => used.has(name)),
      ...tables.filter(([name]) => used.has(name)).map(([name, table]) => changed(table, { name })),
      ...this.products.placeholders(),
    ];
  }

  #inputs(): ValueInfoProto[] {
    const { ids, positions } = this.#known;
    const index = ({ name, type }: IndexInput) => makeValue(name, elementType[type], [1, "tokens"]);
    return [
      index(ids),
      ...(positions ? [index(positions)] : []),
      makeValue(this.rows, elementType.int64, ["rows"]),
      makeValue(this.meta, elementType.int64, ["meta"]),
    ];
  }

  /** ONNX Runtime works shapes out by itself, but not those of operators that it does not know. */
  #shapes(): ValueInfoProto[] {
    return this.#view.nodes.flatMap((node) => {
      const ours = this.#known.attentions.has(node) || typeof this.#taken.get(node) === "object";
      const layout = this.#known.live.layouts.get(node.output[0]!);
      if (!ours || layout?.kind !== "tokens" || node.output[0] === this.logits) return [];
      const [...tail] = layout.tail.filter((size) => size !== null);
      if (tail.length < layout.tail.length || layout.fold > 1) return [];
      const count = this.#late.late.has(node) ? "rows" : "tokens";
      const dims = [...new Array<number>(layout.axis).fill(1), count, ...tail];
      return [makeValue(node.output[0]!, elementType.float, dims)];
    });
  }

  /** The value that another one is the same as, now that the nodes that pick the last token are gone. */
  #resolved(name: string): string {
    const { aliases } = this.#known.live;
    let at = name;
    for (let next = aliases.get(at); next !== undefined; next = aliases.get(at)) at = next;
    return at;
  }

  #switchAt(node: NodeProto): RotarySwitch | undefined {
    return this.#known.switches.find((one) => one.node === node);
  }

  #freshName(wanted: string): string {
    let name = wanted;
    for (let i = 1; this.#names.has(name); i++) name = `${wanted}.${i}`;
    this.#names.add(name);
    return name;
  }
}
