// Guesses the next tokens of an answer from what stands in its prompt and in itself: where the last few tokens stood
// before, what followed them may follow again. It only guesses; whether a guess is right the model says, so no answer
// depends on this file. It never knows the model, other sequences, or the clock.
//
// Saxena, "Prompt Lookup Decoding" (2023). The index is that of LZ77 compressors: a hash of two tokens heads a chain of
// the places where they stood.

export interface PromptLookupOptions {
  /**
   * What a step of 1 + k tokens takes, over what a step of one takes, by k. Behind its end each token adds what the last one
   * added. Default: the native runner's on two cores (`npm run bench -- kernels`).
   */
  readonly costs?: readonly number[];
}

/** The native runner's, as measured for steps of 1 to 8 tokens. */
export const nativeCosts: readonly number[] = [1, 1.1, 1.2, 1.3, 1.41, 1.52, 1.63, 1.75];
/** Places of the same two tokens that are looked at, the latest ones; what bounds the time of a search. */
const mostPlaces = 64;
/** Tokens beyond which a longer match is no better. */
const longestMatch = 16;
/** A gain below this is not worth the risk. */
const leastGain = 1.02;

export class PromptLookup {
  readonly #costs: readonly number[];
  readonly #odds = new Odds();
  /** Tokens that are indexed. */
  #length = 0;
  /** By hash of two tokens, the index behind their latest place; and by index, that of their place before. 0: none. */
  #latest = new Int32Array(32);
  #before = new Int32Array(32);
  /** Where the likeliest continuation stands, and how many tokens before it are those before the next one; 0: nowhere. */
  #place = 0;
  #match = 0;

  constructor({ costs = nativeCosts }: PromptLookupOptions = {}) {
    this.#costs = costs;
  }

  /**
   * The next tokens, as far as guessing them is likely to save time; empty when it is not. Each stands in `tokens`.
   * @param tokens prompt and answer so far, all of them; the same as at the call before, with what has come since. What has come
   *   shows how good guesses are, made or not.
   * @param most guesses
   * @param beside tokens of other sequences in the same step, guesses included; each counts as one that is gained anyway
   */
  draft(tokens: Int32Array, most: number, beside = 0): Int32Array {
    if (this.#length === 0) this.#readPrompt(tokens);
    else while (this.#length < tokens.length) this.#read(tokens);
    const guesses = new Int32Array(this.#place === 0 ? 0 : this.#worthwhile(most, beside));
    // What follows may reach into the guesses themselves: a text that runs in circles goes on so.
    for (let i = 0; i < guesses.length; i++) {
      const from = this.#place + i;
      guesses[i] = from < tokens.length ? tokens[from]! : guesses[from - tokens.length]!;
    }
    return guesses;
  }

  /** How many guesses give the most tokens for what the step takes. */
  #worthwhile(most: number, beside: number): number {
    let right = 1;
    let expected = beside + 1;
    let best = 0;
    let gain = (leastGain * expected) / this.#cost(beside);
    for (let count = 1; count <= most; count++) {
      right *= this.#odds.of(this.#match + count - 1);
      expected += right;
      const value = expected / this.#cost(beside + count);
      if (value > gain) [best, gain] = [count, value];
    }
    return best;
  }

  #cost(count: number): number {
    const last = this.#costs.length - 1;
    if (count <= last) return this.#costs[count]!;
    return this.#costs[last]! + (count - last) * (this.#costs[last]! - (this.#costs[last - 1] ?? 0));
  }

  #readPrompt(tokens: Int32Array): void {
    while (this.#length < tokens.length - 1) this.#index(tokens);
    if (this.#length < tokens.length) this.#search(tokens);
    if (this.#length < tokens.length) this.#index(tokens);
  }

  /** Takes in one token of the answer. */
  #read(tokens: Int32Array): void {
    const token = tokens[this.#length]!;
    const right = this.#place > 0 && tokens[this.#place] === token;
    if (this.#place > 0) this.#odds.learn(this.#match, right);
    if (right && this.#match < longestMatch) {
      // The latest longest match before is still that with one token more. Of those at the limit, a later one may have come up.
      this.#place++;
      this.#match++;
    } else {
      this.#search(tokens);
    }
    this.#index(tokens);
  }

  /** Finds the place behind the longest match of the tokens up to and with the next one that is indexed, the latest of equals. */
  #search(tokens: Int32Array): void {
    const end = this.#length + 1;
    this.#place = 0;
    this.#match = 0;
    if (end < 2) return;
    let place = this.#latest[this.#slot(tokens, end)]!;
    for (let looked = 0; place > 0 && looked < mostPlaces; looked++) {
      let match = 0;
      while (match < longestMatch && match < place && tokens[place - 1 - match] === tokens[end - 1 - match]) match++;
      if (match >= 2 && match > this.#match) {
        this.#match = match;
        this.#place = place;
      }
      place = this.#before[place]!;
    }
  }

  /** Adds the two tokens that end with the next one. */
  #index(tokens: Int32Array): void {
    const end = ++this.#length;
    if (end >= this.#before.length) this.#grow(tokens);
    else if (end >= 2) this.#link(tokens, end);
  }

  #link(tokens: Int32Array, end: number): void {
    const slot = this.#slot(tokens, end);
    this.#before[end] = this.#latest[slot]!;
    this.#latest[slot] = end;
  }

  /** Twice the room, at least what `tokens` takes. */
  #grow(tokens: Int32Array): void {
    let room = this.#before.length;
    while (room <= tokens.length) room *= 2;
    this.#before = new Int32Array(room);
    this.#latest = new Int32Array(room);
    for (let end = 2; end <= this.#length; end++) this.#link(tokens, end);
  }

  #slot(tokens: Int32Array, end: number): number {
    const mixed = Math.imul(tokens[end - 2]!, 0x9e3779b1) ^ Math.imul(tokens[end - 1]!, 0x85ebca6b);
    return ((mixed ^ (mixed >>> 15)) & (this.#latest.length - 1)) >>> 0;
  }
}

/** How often a guess after so many matching tokens was right: of late, in this answer. */
class Odds {
  readonly #right = Float64Array.from(prior, (odds) => odds * priorWeight);
  readonly #all = new Float64Array(prior.length).fill(priorWeight);

  of(match: number): number {
    const at = bucket(match);
    return this.#right[at]! / this.#all[at]!;
  }

  learn(match: number, right: boolean): void {
    const at = bucket(match);
    this.#right[at] = this.#right[at]! * memory + (right ? 1 : 0);
    this.#all[at] = this.#all[at]! * memory + 1;
  }
}

/** By bucket, what is believed before anything is known, and for how many guesses that counts. */
const prior = [0.3, 0.5, 0.65, 0.75, 0.85, 0.9, 0.95];
const priorWeight = 4;
/** What a guess still counts for when the next one is made. */
const memory = 0.97;
/** The least match of each bucket. */
const buckets = [2, 3, 4, 5, 7, 10, 16];

function bucket(match: number): number {
  let at = 0;
  while (at + 1 < buckets.length && match >= buckets[at + 1]!) at++;
  return at;
}
