// A ModelRunner on ONNX Runtime's own operators. It splits a ragged batch into what GroupQueryAttention takes: all
// single tokens as one run over neighbouring rows, and every longer entry as a run of its own. A row that rests between two
// that run is computed with them for a few steps; if it stays, rows change places. It knows tensors and rows, and nothing of
// scheduling or text.
//
// Rules of the kernel (onnxruntime 1.30, CPU) that this file keeps:
//   - several tokens behind a filled cache only at batch 1; single tokens at any batch and any lengths
//   - a mask as wide as the new tokens means a first prompt and ignores the cache, which is right exactly at position 0
//   - only the SUM of a mask row matters; what lies behind it in the cache is never read
//   - score memory grows with tokens × capacity: keep `maxTokens` small
// Graphs that switch rotary tables by total length (LongRoPE) need the cache computed anew on crossing; whoever opens
// such a folder limits `maxLength` to the shorter table.

import type { DecoderGraph } from "./decoder-graph.ts";
import { IndexBuffer } from "./index-buffer.ts";
import { blockTokens } from "./kv-blocks.ts";
import { KvCache } from "./kv-cache.ts";
import { LogitsBuffer } from "./logits-buffer.ts";
import type { BatchEntry, CacheHandle, CacheRoom, ModelRunner, ModelSpec } from "./model-runner.ts";
import { gather, joinRows, lossOf } from "./row-runs.ts";
import type { Binding, RunControl, Runtime, Session } from "./runtime.ts";

/** A row of the cache; `index` is -1 once it was given back. `length` positions of it are written and valid. */
interface Row extends CacheHandle {
  index: number;
  length: number;
}

/** One run of the graph: neighbouring rows from `first` on, each with as many new tokens. */
interface Run {
  readonly first: number;
  /** Per row: its tokens and where they go. A row between two that are wanted takes part with a token that nobody reads. */
  readonly rows: readonly { tokens: ArrayLike<number>; position: number }[];
  /** Which of the rows answer which entries of the batch. */
  readonly wanted: readonly { slot: number; row: number }[];
}

export interface StockRunnerOptions {
  /** Rows of the cache. */
  readonly maxSequences: number;
  /** Most tokens of one entry. */
  readonly maxTokens: number;
  /** Positions that all rows together may hold; default: every row in full. */
  readonly cacheTokens?: number;
  /** Idle rows that a run may include rather than be split in two; a split reads every weight again. */
  readonly bridgeRows?: number;
}

export class StockRunner implements ModelRunner {
  readonly spec: ModelSpec;
  readonly maxSequences: number;
  readonly maxTokens: number;
  /** Element type of keys and values, as the graph has it. */
  readonly cacheType: "float32" | "float16";
  readonly #session: Session;
  readonly #graph: DecoderGraph;
  readonly #bridgeRows: number;
  readonly #owned: { dispose(): void }[] = [];
  readonly #binding: Binding;
  readonly #control: RunControl;
  readonly #cache: KvCache;
  readonly #ids: IndexBuffer;
  readonly #mask: IndexBuffer;
  readonly #positions: IndexBuffer | null;
  readonly #logits: LogitsBuffer;
  readonly #blocks: number;
  /** By index; null is a row that nobody has. */
  readonly #rows: (Row | null)[];
  /** By steps, one after the other, whose rows did not lie side by side: see row-runs.ts. */
  #lost = 0;
  #nextId = 0;
  #inFlight: Promise<unknown> | undefined;
  #disposal: Promise<void> | undefined;

  /** Takes over `session`: `dispose` releases it. @throws OrtError when there is no memory for the cache */
  constructor(runtime: Runtime, session: Session, graph: DecoderGraph, spec: ModelSpec, options: StockRunnerOptions) {
    this.spec = spec;
    this.maxSequences = options.maxSequences;
    this.maxTokens = Math.min(options.maxTokens, spec.contextLength);
    this.#bridgeRows = options.bridgeRows ?? 2;
    this.#rows = new Array<Row | null>(options.maxSequences).fill(null);
    const most = options.maxSequences * blocksOf(spec.contextLength);
    this.#blocks = Math.max(1, Math.min(most, Math.floor((options.cacheTokens ?? Infinity) / blockTokens)));
    this.cacheType = graph.cacheType;
    this.#session = session;
    this.#graph = graph;
    const own = <T extends { dispose(): void }>(thing: T): T => {
      this.#owned.push(thing);
      return thing;
    };
    try {
      this.#cache = own(
        new KvCache(runtime, {
          tensors: graph.caches.length,
          rows: this.maxSequences,
          kvHeads: spec.kvHeads,
          capacity: spec.contextLength,
          headSize: spec.headSize,
          type: graph.cacheType,
        }),
      );
      const tokens = Math.max(this.maxSequences, this.maxTokens);
      this.#control = own(runtime.runControl());
      this.#ids = own(new IndexBuffer(runtime, graph.inputIds.type, tokens));
      this.#mask = own(new IndexBuffer(runtime, graph.attentionMask.type, this.maxSequences * spec.contextLength));
      this.#positions = graph.positionIds && own(new IndexBuffer(runtime, graph.positionIds.type, tokens));
      this.#logits = own(new LogitsBuffer(runtime, graph.logits.type, spec.vocabSize, tokens));
      const positions = graph.positionIds ? [graph.positionIds.name] : [];
      this.#binding = own(
        runtime.bind(
          [graph.inputIds.name, graph.attentionMask.name, ...positions, ...graph.caches.map((cache) => cache.past)],
          [graph.logits.name, ...graph.caches.map((cache) => cache.present)],
        ),
      );
    } catch (error) {
      for (const thing of this.#owned) thing.dispose();
      throw error;
    }
  }

  /** Rows are reserved as a whole, but a page is real once it is written: by positions, as if in blocks. */
  get room(): CacheRoom {
    const used = this.#rows.reduce((sum, row) => sum + blocksOf(row?.length ?? 0), 0);
    return { blockTokens, blocks: this.#blocks, free: this.#blocks - used };
  }

  blocksFor(sequence: CacheHandle, position: number, count: number): number {
    return Math.max(0, blocksOf(position + count) - blocksOf(this.#row(sequence).length));
  }

  allocate(): CacheHandle | null {
    this.#refuseDuringRun("allocate");
    const index = this.#rows.indexOf(null);
    if (index < 0) return null;
    const row: Row = { id: this.#nextId++, index, length: 0 };
    this.#rows[index] = row;
    return row;
  }

  async forward(batch: readonly BatchEntry[]): Promise<readonly (Float32Array | null)[]> {
    this.#refuseDuringRun("forward");
    const rows = batch.map((entry) => this.#check(entry));
    if (new Set(rows).size < rows.length) throw new RangeError("A batch holds one entry per sequence.");
    this.#refuseBeyondRoom(
      batch.reduce((sum, { sequence, position, tokens }) => sum + this.blocksFor(sequence, position, tokens.length), 0),
    );
    // What lies behind `position` is overwritten from here on, whether the runs succeed or not.
    batch.forEach((entry, i) => {
      rows[i]!.length = entry.position;
    });
    const work = this.#forward(batch, rows);
    this.#inFlight = work.catch(() => {});
    try {
      return await work;
    } finally {
      this.#inFlight = undefined;
      this.#control.reset();
    }
  }

  copyPrefix(from: CacheHandle, to: CacheHandle, length: number): void {
    this.#refuseDuringRun("copyPrefix");
    const source = this.#row(from);
    const target = this.#row(to);
    if (length < 0 || length > source.length)
      throw new RangeError(`${length} of ${source.length} positions cannot be copied.`);
    this.#refuseBeyondRoom(blocksOf(length) - blocksOf(target.length));
    this.#cache.copy(source.index, target.index, length);
    target.length = length;
  }

  release(sequence: CacheHandle): void {
    const row = sequence as Row;
    if (this.#rows[row.index] !== row) return;
    this.#refuseDuringRun("release");
    this.#rows[row.index] = null;
    row.index = -1;
  }

  terminate(): void {
    if (this.#inFlight) this.#control.terminate();
  }

  dispose(): Promise<void> {
    this.#disposal ??= (async () => {
      await this.#inFlight;
      await this.#session.dispose();
      for (const thing of this.#owned.reverse()) thing.dispose();
    })();
    return this.#disposal;
  }

  async #forward(batch: readonly BatchEntry[], rows: readonly Row[]): Promise<(Float32Array | null)[]> {
    const runs = this.#joinSingles(batch, rows);
    batch.forEach((entry, slot) => {
      if (entry.tokens.length > 1) runs.push({ first: rows[slot]!.index, rows: [entry], wanted: [{ slot, row: 0 }] });
    });
    // Positions of a run whose logits the graph writes: all, or one per row.
    const width = ({ rows: entries }: Run) => (this.#graph.logits.lastOnly ? 1 : entries[0]!.tokens.length);
    this.#logits.reserve(runs.reduce((sum, run) => sum + run.rows.length * width(run), 0));

    const answer = new Array<Float32Array | null>(batch.length).fill(null);
    let logitsRow = 0;
    for (const run of runs) {
      await this.#run(run, logitsRow, width(run));
      for (const { slot, row } of run.wanted) {
        const entry = batch[slot]!;
        const end = logitsRow + (row + 1) * width(run);
        if (entry.wantsLogits === "last") answer[slot] = this.#logits.read(end - 1, 1);
        if (entry.wantsLogits === "all") answer[slot] = this.#logits.read(end - width(run), width(run));
      }
      logitsRow += run.rows.length * width(run);
    }
    batch.forEach((entry, i) => {
      rows[i]!.length = entry.position + entry.tokens.length;
    });
    return answer;
  }

  /** Single tokens as runs over neighbouring rows, bridging short gaps; rows change places when gaps have cost as much as that. */
  #joinSingles(batch: readonly BatchEntry[], rows: readonly Row[]): Run[] {
    const slots = batch.flatMap(({ tokens }, slot) => (tokens.length === 1 ? [slot] : []));
    const byIndex = () => new Map(slots.map((slot) => [rows[slot]!.index, slot]));
    const length = (index: number) => this.#rows[index]?.length ?? 0;
    let wanted = byIndex();
    const ranges = () => {
      const canIdle = (index: number) => length(index) < this.spec.contextLength;
      return joinRows(
        [...wanted.keys()].sort((a, b) => a - b),
        canIdle,
        this.#bridgeRows,
      );
    };
    let joined = ranges();
    const loss = lossOf(joined, wanted.size);
    this.#lost = loss === 0 ? 0 : this.#lost + loss;
    const gathering =
      loss === 0
        ? undefined
        : gather(
            this.#rows.map((_, index) => length(index)),
            [...wanted.keys()],
          );
    if (gathering && this.#lost > gathering.positions) {
      for (const [one, other] of gathering.pairs) this.#exchange(one, other);
      this.#lost = 0;
      wanted = byIndex();
      joined = ranges();
    }
    return joined.map(({ first, count }) => {
      const taken = Array.from({ length: count }, (_, row) => ({ row, slot: wanted.get(first + row) }));
      return {
        first,
        // The next real token of an idle row overwrites what this one leaves behind.
        rows: taken.map(({ row, slot }) =>
          slot === undefined ? { tokens: [this.spec.padId], position: length(first + row) } : batch[slot]!,
        ),
        wanted: taken.flatMap(({ row, slot }) => (slot === undefined ? [] : [{ slot, row }])),
      };
    });
  }

  #exchange(one: number, other: number): void {
    const [a, b] = [this.#rows[one]!, this.#rows[other]!];
    this.#cache.exchange({ row: one, length: a?.length ?? 0 }, { row: other, length: b?.length ?? 0 });
    this.#rows[one] = b;
    this.#rows[other] = a;
    if (a) a.index = other;
    if (b) b.index = one;
  }

  async #run({ first, rows }: Run, logitsRow: number, logitsWidth: number): Promise<void> {
    const count = rows[0]!.tokens.length;
    const totals = rows.map((row) => row.position + count);
    const width = Math.max(...totals);
    rows.forEach(({ tokens, position }, r) => {
      for (let i = 0; i < count; i++) {
        this.#ids.set(r * count + i, tokens[i]!);
        this.#positions?.set(r * count + i, position + i);
      }
      this.#mask.fill(1, r * width, r * width + totals[r]!);
      this.#mask.fill(0, r * width + totals[r]!, (r + 1) * width);
    });
    const inputs = [this.#ids.tensor(rows.length, count), this.#mask.tensor(rows.length, width)];
    if (this.#positions) inputs.push(this.#positions.tensor(rows.length, count));
    const logits = this.#logits.tensor(logitsRow, rows.length, logitsWidth);
    const caches = this.#cache.rows(first, rows.length);
    for (const [i, tensor] of [...inputs, ...caches].entries()) this.#binding.setInput(i, tensor);
    for (const [i, tensor] of [logits, ...caches].entries()) this.#binding.setOutput(i, tensor);
    try {
      await this.#session.run(this.#binding, this.#control);
    } finally {
      for (const tensor of [...inputs, logits]) tensor.dispose();
    }
  }

  #check({ sequence, tokens, position, wantsLogits }: BatchEntry): Row {
    const row = this.#row(sequence);
    if (tokens.length < 1 || tokens.length > this.maxTokens)
      throw new RangeError(`An entry has ${tokens.length} tokens; 1 to ${this.maxTokens} are possible.`);
    if (position < 0 || position > row.length)
      throw new RangeError(`Position ${position} of a sequence of ${row.length}.`);
    if (position + tokens.length > this.spec.contextLength)
      throw new RangeError(`${position} + ${tokens.length} tokens exceed ${this.spec.contextLength}.`);
    if (wantsLogits === "all" && !this.spec.allLogits && tokens.length > 1)
      throw new RangeError("This graph gives the logits of the last position only.");
    return row;
  }

  #row(sequence: CacheHandle): Row {
    const row = sequence as Row;
    if (this.#rows[row.index] !== row) throw new RangeError("The sequence has been released.");
    return row;
  }

  #refuseBeyondRoom(needed: number): void {
    const { free } = this.room;
    if (needed > free) throw new RangeError(`${free} blocks of the cache are free, ${needed} are needed.`);
  }

  #refuseDuringRun(what: string): void {
    if (this.#disposal) throw new Error(`${what}: the runner has been disposed.`);
    if (this.#inFlight) throw new Error(`${what}: a forward is in flight.`);
  }
}

function blocksOf(positions: number): number {
  return Math.ceil(positions / blockTokens);
}
