// One answer on its way through a grammar: which tokens may come next, and which one came.

import type { TokenConstraint } from "../decoder/constraint.ts";
import type { Position, Recognizer } from "./recognizer.ts";
import type { TokenTrie } from "./token-trie.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** @throws AmbiguousGrammarError from `mask` and `accept` */
export class GrammarConstraint implements TokenConstraint {
  readonly #vocabulary: Vocabulary;
  readonly #recognizer: Recognizer;
  readonly #marks: boolean;
  #at: Position | null;

  /** @param marks hidden tokens that calls of tools are written with may come */
  constructor(vocabulary: Vocabulary, recognizer: Recognizer, marks: boolean) {
    this.#vocabulary = vocabulary;
    this.#recognizer = recognizer;
    this.#marks = marks;
    this.#at = recognizer.start();
  }

  mask(logits: Float32Array): void {
    const at = this.#position();
    if (at.allowed === null) this.#recognizer.keepMask(at, this.#allowed(at));
    const { eosIds } = this.#vocabulary;
    const ends = at.ends ? eosIds.map((id) => logits[id]!) : [];
    keepOnly(logits, at.allowed!);
    for (const [i, value] of ends.entries()) logits[eosIds[i]!] = value;
  }

  accept(id: number): void {
    const bytes = this.#vocabulary.bytes(id);
    this.#recognizer.beginWork();
    let at: Position | null = bytes === undefined ? null : this.#position();
    for (let i = 0; at !== null && i < bytes!.length; i++) at = this.#recognizer.step(at, bytes![i]!);
    if (at === null) throw new Error(`Token ${id} does not fit the grammar here.`);
    this.#at = at;
  }

  get finished(): boolean {
    const at = this.#position();
    // Every byte has a token, so where a byte may come a token may.
    return at.ends && at.states.length === 0;
  }

  dispose(): void {
    this.#at = null;
  }

  #position(): Position {
    if (this.#at === null) throw new Error("The constraint has been disposed of.");
    return this.#at;
  }

  /** A bit for each token. */
  #allowed(at: Position): Uint32Array {
    const { plain, words, others, all, marks } = this.#vocabulary;
    this.#recognizer.beginWork();
    const run = Math.min(at.plain, plain.length - 1);
    const bits = run === 0 ? new Uint32Array(words) : plain[run]!.slice();
    this.#walk(run === plain.length - 1 ? others : all, at, bits);
    if (this.#marks) this.#walk(marks, at, bits);
    return bits;
  }

  #walk({ bytes, depths, ends, idsFrom, ids, depth }: TokenTrie, from: Position, bits: Uint32Array): void {
    const path = new Array<Position>(depth + 1).fill(from);
    const recognizer = this.#recognizer;
    for (let node = 0; node < bytes.length; ) {
      const at = recognizer.step(path[depths[node]! - 1]!, bytes[node]!);
      if (at === null) {
        node = ends[node]!;
        continue;
      }
      path[depths[node]!] = at;
      for (let i = idsFrom[node]!; i < idsFrom[node + 1]!; i++) bits[ids[i]! >>> 5]! |= 1 << (ids[i]! & 31);
      node++;
    }
  }
}

/** Writes -Infinity over what is not in the set, whole words of it at once. */
function keepOnly(logits: Float32Array, allowed: Uint32Array): void {
  for (let word = 0; word < allowed.length; ) {
    const bits = allowed[word]!;
    if (bits === 0) {
      let end = word + 1;
      while (end < allowed.length && allowed[end] === 0) end++;
      logits.fill(-Infinity, word * 32, end * 32);
      word = end;
      continue;
    }
    if (bits !== 0xffffffff) {
      const first = word * 32;
      const end = Math.min(first + 32, logits.length);
      for (let id = first; id < end; id++) if ((bits & (1 << (id - first))) === 0) logits[id] = -Infinity;
    }
    word++;
  }
  logits.fill(-Infinity, allowed.length * 32);
}
