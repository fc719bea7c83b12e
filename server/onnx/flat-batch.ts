// Lays a ragged batch out as the inputs of a rewritten graph: all tokens one behind the other as one row [1, T], which of
// them are asked for, and where in the cache each sequence lies. It knows numbers and native memory; neither sessions nor
// logits.

import { IndexBuffer } from "./index-buffer.ts";
import type { BlockTable } from "./kv-blocks.ts";
import { type KvPool, metaHeader } from "./kv-pool.ts";
import type { BatchEntry } from "./model-runner.ts";
import type { NativeGraph } from "./rewrite.ts";
import type { Runtime, Tensor } from "./runtime.ts";

/** MW_META_RUN */
const metaRun = 4;
/** Items for which there is room at first. */
const firstItems = 1024;

export class FlatBatch {
  readonly #pool: KvPool;
  readonly #ids: IndexBuffer;
  readonly #positions: IndexBuffer | null;
  readonly #rows: IndexBuffer;
  readonly #meta: IndexBuffer;

  constructor(runtime: Runtime, inputs: NativeGraph["inputs"], pool: KvPool) {
    const owned: { dispose(): void }[] = [];
    const index = (type: "int32" | "int64") => {
      const buffer = new IndexBuffer(runtime, type, firstItems);
      owned.push(buffer);
      return buffer;
    };
    this.#pool = pool;
    try {
      this.#ids = index(inputs.ids.type);
      this.#positions = inputs.positions && index(inputs.positions.type);
      this.#rows = index("int64");
      this.#meta = index("int64");
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
    const count = batch.reduce((sum, { tokens }) => sum + tokens.length, 0);
    for (const buffer of [this.#ids, this.#positions, this.#rows]) buffer?.reserve(count);
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
      tensors.push(this.#rows.list(rows), this.#meta.list(meta));
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
    const firstTable = metaHeader + metaRun * batch.length;
    this.#meta.reserve(tables.reduce((sum, { blocks }) => sum + blocks.length, firstTable));
    this.#pool.describe(this.#meta.wide(metaHeader), batch.length);
    let token = 0;
    let end = firstTable;
    batch.forEach(({ tokens, position }, i) => {
      const run = metaHeader + metaRun * i;
      this.#meta.set(run, token);
      this.#meta.set(run + 1, tokens.length);
      this.#meta.set(run + 2, position);
      this.#meta.set(run + 3, end);
      for (const block of tables[i]!.blocks) this.#meta.set(end++, block);
      token += tokens.length;
    });
    return end;
  }
}
