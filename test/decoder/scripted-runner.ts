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

export class ScriptedRunner implements ModelRunner {
  readonly spec: ModelSpec;
  readonly maxSequences: number;
  readonly maxTokens: number;
  /** Every batch that was given, as [sequence id, tokens]. */
  readonly log: (readonly (readonly [number, readonly number[]])[])[] = [];
  terminations = 0;
  disposed = false;
  readonly #script: Script;
  readonly #caches = new Map<CacheHandle, number[]>();
  #nextId = 0;
  #abort: ((error: Error) => void) | undefined;

  constructor(script: Script) {
    const { vocabSize = 64, contextLength = 64, eosIds = [1] } = script;
    this.#script = script;
    this.maxSequences = script.maxSequences ?? 4;
    this.maxTokens = script.maxTokens ?? 16;
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
    const blocks = this.#script.cacheBlocks ?? this.maxSequences * Math.ceil(this.spec.contextLength / blockTokens);
    const used = [...this.#caches.values()].reduce((sum, cache) => sum + Math.ceil(cache.length / blockTokens), 0);
    return { blockTokens, blocks, free: blocks - used };
  }

  blocksFor(sequence: CacheHandle, position: number, count: number): number {
    const held = Math.ceil(this.#cache(sequence).length / blockTokens);
    return Math.max(0, Math.ceil((position + count) / blockTokens) - held);
  }

  get free(): number {
    return this.maxSequences - this.#caches.size;
  }

  allocate(): CacheHandle | null {
    this.#refuseDuringForward();
    if (this.free === 0) return null;
    const handle = { id: this.#nextId++ };
    this.#caches.set(handle, []);
    return handle;
  }

  async forward(batch: readonly BatchEntry[]): Promise<readonly (Float32Array | null)[]> {
    this.#refuseDuringForward();
    this.log.push(batch.map(({ sequence, tokens }) => [sequence.id, [...tokens]] as const));
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
    this.#caches.set(to, this.#cache(from).slice(0, length));
  }

  release(sequence: CacheHandle): void {
    this.#refuseDuringForward();
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
    const cache = this.#cache(sequence);
    if (position > cache.length) throw new RangeError(`position ${position} of ${cache.length}`);
    if (tokens.length < 1 || tokens.length > this.maxTokens) throw new RangeError(`${tokens.length} tokens`);
    cache.splice(position, cache.length, ...tokens);
    if (wantsLogits === "none") return null;
    const logits = new Float32Array(this.spec.vocabSize);
    this.#script.logits(cache, logits);
    return logits;
  }

  #cache(sequence: CacheHandle): number[] {
    const cache = this.#caches.get(sequence);
    if (!cache) throw new RangeError(`sequence ${sequence.id} was released`);
    return cache;
  }

  #refuseDuringForward(): void {
    if (this.#abort) throw new Error("called during a forward");
  }
}
