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
    const { plain, plainBits, longestPlain, words, others, marks } = this.#vocabulary;
    this.#recognizer.beginWork();
    const all = at.plain >= longestPlain;
    const bits = all ? plainBits.slice() : new Uint32Array(words);
    if (!all) this.#walk(plain, at, bits, true);
    this.#walk(others, at, bits, false);
    if (this.#marks) this.#walk(marks, at, bits, false);
    return bits;
  }

  /** @param plain the tokens are of plain characters alone */
  #walk(trie: TokenTrie, from: Position, bits: Uint32Array, plain: boolean): void {
    const { bytes, depths, ends, idsFrom, ids, rests, depth } = trie;
    const path = new Array<Position>(depth + 1).fill(from);
    const recognizer = this.#recognizer;
    for (let node = 0; node < bytes.length; ) {
      const at = recognizer.step(path[depths[node]! - 1]!, bytes[node]!);
      if (at === null) {
        node = ends[node]!;
        continue;
      }
      path[depths[node]!] = at;
      // Where any plain characters may follow, all that begins like this may.
      const next = plain && at.plain >= rests[node]! ? ends[node]! : node + 1;
      for (let i = idsFrom[node]!; i < idsFrom[next]!; i++) bits[ids[i]! >>> 5]! |= 1 << (ids[i]! & 31);
      node = next;
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
