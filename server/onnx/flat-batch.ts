// Lays a ragged batch out as the inputs of a rewritten graph: all tokens one behind the other as one row [1, T], which of
// them are asked for, and where in the cache each sequence lies. It knows numbers and native memory; neither sessions nor
// logits.

import { IndexBuffer } from "./index-buffer.ts";
import { type BlockTable, blockTokens } from "./kv-blocks.ts";
import { type KvPool, metaHeader } from "./kv-pool.ts";
import type { BatchEntry } from "./model-runner.ts";
import type { NativeGraph } from "./rewrite.ts";
import { itemBytes, type NativeBuffer, type Runtime, type Tensor } from "./runtime.ts";

/** MW_META_RUN */
const metaRun = 4;

export interface FlatBatchLimits {
  readonly sequences: number;
  /** Tokens of one entry. */
  readonly tokens: number;
  /** Positions of a sequence. */
  readonly positions: number;
}

export class FlatBatch {
  readonly #runtime: Runtime;
  readonly #pool: KvPool;
  readonly #ids: IndexBuffer;
  readonly #positions: IndexBuffer | null;
  readonly #rows: IndexBuffer;
  readonly #meta: NativeBuffer;

  /** Room for a batch in which every sequence takes part with all that it may. */
  constructor(runtime: Runtime, inputs: NativeGraph["inputs"], pool: KvPool, limits: FlatBatchLimits) {
    const tokens = limits.sequences * limits.tokens;
    const owned: { dispose(): void }[] = [];
    const index = (type: "int32" | "int64") => {
      const buffer = new IndexBuffer(runtime, type, tokens);
      owned.push(buffer);
      return buffer;
    };
    this.#runtime = runtime;
    this.#pool = pool;
    try {
      this.#ids = index(inputs.ids.type);
      this.#positions = inputs.positions && index(inputs.positions.type);
      this.#rows = index("int64");
      const tables = limits.sequences * Math.ceil(limits.positions / blockTokens);
      this.#meta = runtime.allocate(itemBytes.int64 * (metaHeader + limits.sequences * metaRun + tables));
    } catch (error) {
      for (const buffer of owned) buffer.dispose();
      throw error;
    }
  }

  /**
   * @param tables of the entries' sequences, with room for the new tokens
   * @returns ids, positions if the graph takes them, rows and meta; the caller disposes them. `rows` are how many are asked
   *   for, the entries' own one behind the other: at least one, so that no operator must do with none.
   */
  fill(batch: readonly BatchEntry[], tables: readonly BlockTable[]): { tensors: Tensor[]; rows: number } {
    let token = 0;
    let rows = 0;
    for (const { tokens, position, wantsLogits } of batch) {
      for (let i = 0; i < tokens.length; i++) {
        this.#ids.set(token + i, tokens[i]!);
        this.#positions?.set(token + i, position + i);
        if (wantsLogits === "all") this.#rows.set(rows++, token + i);
      }
      token += tokens.length;
      if (wantsLogits === "last") this.#rows.set(rows++, token - 1);
    }
    if (rows === 0) this.#rows.set(rows++, token - 1);
    const meta = this.#fillMeta(batch, tables);
    const tensors: Tensor[] = [];
    try {
      tensors.push(this.#ids.tensor(1, token));
      if (this.#positions) tensors.push(this.#positions.tensor(1, token));
      tensors.push(this.#rows.list(rows), this.#runtime.tensor(this.#meta, 0, "int64", [meta]));
    } catch (error) {
      for (const tensor of tensors) tensor.dispose();
      throw error;
    }
    return { tensors, rows };
  }

  dispose(): void {
    for (const buffer of [this.#ids, this.#positions, this.#rows, this.#meta]) buffer?.dispose();
  }

  /** @returns items of the input */
  #fillMeta(batch: readonly BatchEntry[], tables: readonly BlockTable[]): number {
    const meta = new BigInt64Array(this.#meta.view);
    this.#pool.describe(meta, batch.length);
    let token = 0;
    let end = metaHeader + metaRun * batch.length;
    batch.forEach(({ tokens, position }, i) => {
      meta.set([token, tokens.length, position, end].map(BigInt), metaHeader + metaRun * i);
      for (const block of tables[i]!.blocks) meta[end++] = BigInt(block);
      token += tokens.length;
    });
    return end;
  }
}
