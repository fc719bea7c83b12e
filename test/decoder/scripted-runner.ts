// A ModelRunner without a model: the logits of a position are a function that the test chooses, of the tokens before it.
// It keeps every cache as a list of tokens, checks how it is used, and lets a test hold, fail and watch each forward.

import { RunTerminatedError } from "../../server/onnx/errors.ts";
import type { BatchEntry, CacheHandle, CacheRoom, ModelRunner, ModelSpec } from "../../server/onnx/model-runner.ts";

const blockTokens = 4;

export interface Script {
  /** Writes the logits that follow `tokens`. */
  readonly logits: (tokens: readonly number[], logits: Float32Array) => void;
  readonly maxSequences?: number;
  readonly maxTokens?: number;
  readonly contextLength?: number;
  readonly vocabSize?: number;
  readonly eosIds?: readonly number[];
  /** Default: as many as all sequences at their longest take. */
  readonly cacheBlocks?: number;
  /** Sequences that may have a place in the cache at a time; default `maxSequences`. */
  readonly places?: number;
  /** Called before each forward computes; a promise holds it, a throw fails it. */
  readonly before?: (batch: readonly BatchEntry[]) => void | Promise<void>;
}

/** Logits with one clear largest, chosen by a hash of everything before: a wrong cache gives other tokens. */
export function hashed(vocabSize: number): Script["logits"] {
  return (tokens, logits) => {
    let hash = 2166136261;
    for (const token of tokens) hash = Math.imul(hash ^ token, 16777619) >>> 0;
    for (let id = 0; id < vocabSize; id++) logits[id] = ((Math.imul(hash + id, 2654435761) >>> 0) / 2 ** 32) * 4;
  };
}

/** A block of the cache; several places may hold it. */
interface Block {
  holders: number;
}

interface Place {
  tokens: number[];
  readonly blocks: Block[];
}

export class ScriptedRunner implements ModelRunner {
  readonly spec: ModelSpec;
  readonly maxSequences: number;
  readonly maxTokens: number;
  readonly places: number;
  /** Every batch that was given, as [sequence id, tokens]. */
  readonly log: (readonly (readonly [number, readonly number[]])[])[] = [];
  terminations = 0;
  disposed = false;
  readonly #script: Script;
  readonly #caches = new Map<CacheHandle, Place>();
  readonly #blocks: number;
  #nextId = 0;
  #abort: ((error: Error) => void) | undefined;

  constructor(script: Script) {
    const { vocabSize = 64, contextLength = 64, eosIds = [1] } = script;
    this.#script = script;
    this.maxSequences = script.maxSequences ?? 4;
    this.maxTokens = script.maxTokens ?? 16;
    this.places = script.places ?? this.maxSequences;
    this.#blocks = script.cacheBlocks ?? this.places * Math.ceil(contextLength / blockTokens);
    this.spec = {
      vocabSize,
      contextLength,
      eosIds,
      layers: 1,
      kvHeads: 1,
      headSize: 8,
      bosId: undefined,
      padId: 0,
      allLogits: true,
    };
  }

  get room(): CacheRoom {
    return { blockTokens, blocks: this.#blocks, free: this.#blocks - this.heldBlocks };
  }

  /** Blocks that at least one place holds. */
  get heldBlocks(): number {
    return new Set([...this.#caches.values()].flatMap((place) => place.blocks)).size;
  }

  blocksFor(sequence: CacheHandle, position: number, count: number): number {
    const { blocks } = this.#place(sequence);
    const kept = Math.min(blocks.length, Math.ceil(position / blockTokens));
    const shared = position % blockTokens > 0 && blocks[kept - 1]!.holders > 1;
    return Math.ceil((position + count) / blockTokens) - kept + Number(shared);
  }

  get freePlaces(): number {
    return this.places - this.#caches.size;
  }

  allocate(): CacheHandle | null {
    this.#refuseDuringForward();
    if (this.freePlaces === 0) return null;
    const handle = { id: this.#nextId++ };
    this.#caches.set(handle, { tokens: [], blocks: [] });
    return handle;
  }

  async forward(batch: readonly BatchEntry[]): Promise<readonly (Float32Array | null)[]> {
    this.#refuseDuringForward();
    this.log.push(batch.map(({ sequence, tokens }) => [sequence.id, [...tokens]] as const));
    if (batch.length < 1 || batch.length > this.maxSequences) throw new RangeError(`${batch.length} entries`);
    if (new Set(batch.map(({ sequence }) => sequence)).size < batch.length) throw new RangeError("a sequence twice");
    for (const { sequence, position, tokens } of batch) this.#reserve(this.#place(sequence), position, tokens.length);
    const terminated = new Promise<never>((_, reject) => {
      this.#abort = reject;
    });
    terminated.catch(() => {});
    try {
      await Promise.race([this.#script.before?.(batch), terminated]);
      return batch.map((entry) => this.#append(entry));
    } finally {
      this.#abort = undefined;
    }
  }

  copyPrefix(from: CacheHandle, to: CacheHandle, length: number): void {
    this.#refuseDuringForward();
    const [source, target] = [this.#place(from), this.#place(to)];
    if (length > source.tokens.length) throw new RangeError(`${length} of ${source.tokens.length} tokens`);
    this.#drop(target, 0);
    const whole = Math.floor(length / blockTokens);
    for (const block of source.blocks.slice(0, whole)) {
      block.holders++;
      target.blocks.push(block);
    }
    this.#take(target, Math.ceil(length / blockTokens) - whole);
    target.tokens = source.tokens.slice(0, length);
  }

  release(sequence: CacheHandle): void {
    this.#refuseDuringForward();
    const place = this.#caches.get(sequence);
    if (place) this.#drop(place, 0);
    this.#caches.delete(sequence);
  }

  terminate(): void {
    if (!this.#abort) return;
    this.terminations++;
    this.#abort(new RunTerminatedError());
  }

  async dispose(): Promise<void> {
    this.disposed = true;
  }

  #append({ sequence, tokens, position, wantsLogits }: BatchEntry): Float32Array | null {
    const place = this.#place(sequence);
    const { vocabSize, contextLength } = this.spec;
    if (tokens.length < 1 || tokens.length > this.maxTokens) throw new RangeError(`${tokens.length} tokens`);
    if (position + tokens.length > contextLength) throw new RangeError(`${position} + ${tokens.length} tokens`);
    place.tokens.splice(position, place.tokens.length, ...tokens);
    if (wantsLogits === "none") return null;
    const rows = wantsLogits === "all" ? tokens.length : 1;
    const logits = new Float32Array(rows * vocabSize);
    for (let row = 0; row < rows; row++) {
      const seen = place.tokens.slice(0, place.tokens.length - rows + 1 + row);
      this.#script.logits(seen, logits.subarray(row * vocabSize, (row + 1) * vocabSize));
    }
    return logits;
  }

  /** Room for the new tokens: what is behind `position` is forgotten, and a shared block is not written. */
  #reserve(place: Place, position: number, count: number): void {
    if (position > place.tokens.length) throw new RangeError(`position ${position} of ${place.tokens.length}`);
    place.tokens.length = position;
    this.#drop(place, Math.ceil(position / blockTokens));
    if (position % blockTokens > 0 && place.blocks.at(-1)!.holders > 1) {
      this.#drop(place, place.blocks.length - 1);
      this.#take(place, 1);
    }
    this.#take(place, Math.ceil((position + count) / blockTokens) - place.blocks.length);
  }

  #take(place: Place, count: number): void {
    if (count > this.room.free) throw new RangeError(`${this.room.free} blocks are free, ${count} are needed`);
    for (let i = 0; i < count; i++) place.blocks.push({ holders: 1 });
  }

  #drop(place: Place, from: number): void {
    for (const block of place.blocks.splice(from)) block.holders--;
  }

  #place(sequence: CacheHandle): Place {
    const place = this.#caches.get(sequence);
    if (!place) throw new RangeError(`sequence ${sequence.id} was released`);
    return place;
  }

  #refuseDuringForward(): void {
    if (this.#abort) throw new Error("called during a forward");
  }
}
