// What the rewriting of a decoder graph gives: the graph to load, the weights to pack for it, and node by node where
// the model runs and why. Plain data and one function; it knows neither files nor ONNX Runtime.

/** Where the bytes of a tensor lie: in a file, named relative to the model's folder, or here. */
export type TensorSource =
  | { readonly file: string; readonly offset: number; readonly length: number }
  | { readonly bytes: Uint8Array };

/** The weights of a product that are packed before the graph is loaded. Shapes as MatMulNBits has them. */
export interface WeightPlan {
  /** The initializer that stands for the packed bytes in the graph; uint8, empty until it is given to the session. */
  readonly name: string;
  /** N */
  readonly columns: number;
  /** K */
  readonly depth: number;
  readonly bits: 4 | 8;
  /** Values of K that share a scale: 16, 32, 64 or 128. */
  readonly block: number;
  /** uint8 [N, ceil(K / block), block * bits / 8] */
  readonly weights: TensorSource;
  /** float32 [N, ceil(K / block)] */
  readonly scales: TensorSource;
  /** uint8 [N, ceil(ceil(K / block) * bits / 8)]; null when every zero point is the middle, 8 or 128. */
  readonly zeroPoints: TensorSource | null;
}

/** Where one node of the original graph runs. */
export interface NodePlacement {
  /** The node's name, or that of its first output when it has none. */
  readonly name: string;
  /** "com.microsoft.MatMulNBits"; operators of ONNX itself without a domain, "Gather". */
  readonly operator: string;
  readonly runsOn: "modelwire" | "onnxruntime" | "removed";
  /** In plain words, for people. */
  readonly reason: string;
}

/** An input of the rewritten graph that takes whole numbers, [1, T]. */
export interface IndexInput {
  readonly name: string;
  readonly type: "int32" | "int64";
}

/**
 * A decoder graph that takes the tokens of any mix of sequences as one row [1, T] and gives the logits [1, R, V],
 * float32, of the rows that are asked for. Keys and values are no tensors of it: `meta` says where they lie.
 */
export interface NativeGraph {
  readonly weights: readonly WeightPlan[];
  readonly inputs: {
    readonly ids: IndexInput;
    /** The position of every token in its sequence; null when the graph needs none. */
    readonly positions: IndexInput | null;
    /** int64 [R]: which of the T tokens are asked for. */
    readonly rows: string;
    /** int64 [n], as kernels/attention.h lays it out. */
    readonly meta: string;
  };
  readonly logits: { readonly name: string };
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Positions that the rotary table has; Infinity when there is none. */
  readonly maxPositions: number;
  /** The model's bytes. `scaleTypes`: MW_SCALE_… of each of `weights` by name. External data stays where it is. @throws ModelFolderError */
  encode(scaleTypes: ReadonlyMap<string, number>): Uint8Array;
}

/** `graph` is null, with the reason, when the model runs on ONNX Runtime's own operators as it is. */
export type Rewrite = {
  readonly placements: readonly NodePlacement[];
  /** Element type of keys and values in the graph as it is, which the stock runner keeps. */
  readonly statedCache: "float32" | "float16";
} & ({ readonly graph: NativeGraph } | { readonly graph: null; readonly reason: string });
