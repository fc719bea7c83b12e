// What a plain ONNX graph takes and gives. Plain data: all of it crosses a thread boundary.

import type { OnnxType } from "./element-types.ts";
import type { Value } from "./values.ts";

export type { OnnxType } from "./element-types.ts";
export type { TensorValue, Value } from "./values.ts";

/** One input or output of a graph. */
export interface GraphValue {
  readonly name: string;
  readonly kind: "tensor" | "sequence" | "map";
  /** ONNX's name of the element type; "" for what is no tensor. */
  readonly type: OnnxType | "";
  /** Sizes, and names (possibly "") of those that are free; null when the graph does not say how many there are. */
  readonly dims: readonly (number | string)[] | null;
}

/** A tensor to feed. */
export interface GraphTensor {
  readonly name: string;
  /** As ONNX names it: "float", "double", "int64", "string" … */
  readonly type: string;
  readonly dims: readonly number[];
  /** Little-endian, row-major, beginning anywhere in a buffer; or the items of a tensor of "string". */
  readonly data: Uint8Array | readonly string[];
  /** The caller needs the bytes no more: their buffer may be taken instead of copied, and is empty afterwards. */
  readonly mayTake?: boolean;
}

/** An output, in the graph's order. */
export type GraphOutput = Value & { readonly name: string };

/** Options of a graph; absent means ONNX Runtime's default. What a model's own file says is not trusted. */
export interface GraphOptions {
  /** Threads of one operator; default: one per physical core. */
  readonly threads?: number;
  /** Threads that run operators beside each other, in parallel mode. */
  readonly interOpThreads?: number;
  readonly executionMode?: "sequential" | "parallel";
  /** 0 none, 1 basic, 2 extended, 3 layout, 99 all. */
  readonly graphOptimization?: number;
  /** Session config entries. Those that bear on more than speed are ignored with a warning. */
  readonly entries?: Readonly<Record<string, string>>;
}
