// Picks the next token from a row of logits. Pure: (logits, options, number in [0, 1)) → token id. Nothing is sorted
// whole and nothing is copied; the order is temperature, then top k, then top p, then min p, as in Hugging Face (vLLM has
// min p before top k, so that its top p keeps a part of less). Equal logits rank by token id, the lower first. Penalties
// and bias are not its affair: `logit-rules` comes before.

import { LogitsError } from "./errors.ts";

export interface SamplingOptions {
  /** 0 picks the largest logit. */
  readonly temperature: number;
  /** Only the k largest may be drawn; 0 is no limit, 1 picks the largest. */
  readonly topK: number;
  /** Only the fewest whose probabilities reach p may be drawn, never fewer than one; 1 is no limit. */
  readonly topP: number;
  /** Only tokens at least this part as likely as the likeliest may be drawn; default 0, no limit. */
  readonly minP?: number;
  /** Of every token of prompt and answer the logit is divided by it when positive, else multiplied; default 1, no penalty. */
  readonly repetitionPenalty?: number;
  /** Taken once from the logit of every token of the answer; default 0. */
  readonly presencePenalty?: number;
  /** Taken from the logit of every token of the answer as often as it stands there; default 0. */
  readonly frequencyPenalty?: number;
  /** Added to the logits of token ids. */
  readonly logitBias?: ReadonlyMap<number, number>;
}

export function isGreedy({ temperature, topK, topP }: SamplingOptions): boolean {
  return temperature === 0 || topK === 1 || topP === 0;
}

/**
 * By temperature, top k, top p and min p.
 * @param logits [vocabSize], any scale; not changed
 * @param draw number in [0, 1), unused when greedy
 * @throws LogitsError when there is no largest logit
 */
export function sample(logits: Float32Array, options: SamplingOptions, draw: number): number {
  const best = argmax(logits);
  if (isGreedy(options)) return best;
  const { temperature, topK, topP, minP = 0 } = options;
  if (topK > 0 && topK < logits.length) return drawFromTop(logits, options, draw);
  const weights = weigh(logits, logits[best]!, temperature);
  const floor = topP < 1 ? nucleusFloor(logits, weights, logits[best]!, topP) : everything;
  return drawAbove(logits, weights, floor, minP, draw);
}

/** The id of the largest logit, the lowest id of equals. @throws LogitsError */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let largest = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit <= largest) continue; // nearly all of them: one comparison each
    if (Number.isNaN(logit)) throw new LogitsError();
    largest = logit;
    best = id;
  }
  if (best === -1 || largest === Infinity) throw new LogitsError();
  return best;
}

/** Top k through a heap of k ids whose root is the worst kept, then top p and min p over those in order. */
function drawFromTop(logits: Float32Array, options: SamplingOptions, draw: number): number {
  const { temperature, topK: k, topP, minP = 0 } = options;
  const heap = new Int32Array(k);
  // a ranks behind b
  const worse = (a: number, b: number) => logits[a]! < logits[b]! || (logits[a]! === logits[b]! && a > b);
  const sink = (from: number) => {
    for (let at = from; ; ) {
      let worst = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < k && worse(heap[child]!, heap[worst]!)) worst = child;
      if (worst === at) return;
      [heap[at], heap[worst]] = [heap[worst]!, heap[at]!];
      at = worst;
    }
  };
  for (let id = 0; id < k; id++) heap[id] = id;
  for (let at = (k >> 1) - 1; at >= 0; at--) sink(at);
  let threshold = logits[heap[0]!]!;
  for (let id = k; id < logits.length; id++) {
    if (logits[id]! > threshold) {
      heap[0] = id;
      sink(0);
      threshold = logits[heap[0]!]!;
    }
  }
  const ids = heap.sort((a, b) => logits[b]! - logits[a]! || a - b);
  const largest = logits[ids[0]!]!;
  const weights = Float64Array.from(ids, (id) => weight(logits[id]!, largest, temperature));
  const all = weights.reduce((sum, value) => sum + value, 0);
  let kept = 0;
  let mass = 0;
  while (kept < k && (kept === 0 || (mass < topP * all && weights[kept]! >= minP))) mass += weights[kept++]!;
  let left = draw * mass;
  for (let rank = 0; rank < kept; rank++) {
    left -= weights[rank]!;
    if (left < 0) return ids[rank]!;
  }
  return ids[0]!; // rounding left a remainder: the likeliest
}

/** The least logit that top p keeps; of those equal to it, ids up to `lastId` are kept. */
interface Floor {
  readonly logit: number;
  readonly lastId: number;
}

const everything: Floor = { logit: -Infinity, lastId: -1 };
const bins = 1024;
const farthest = 40; // e^-40 of the largest weight: what lies beyond shares the last bin
const masses = new Float64Array(bins);

/**
 * The floor of the nucleus, exact without sorting the vocabulary: masses are added up per bin of distance from the
 * largest logit, and only the bin in which the sum crosses p is sorted.
 */
function nucleusFloor(logits: Float32Array, weights: Float64Array, largest: number, topP: number): Floor {
  let least = largest;
  for (let id = 0; id < logits.length; id++) if (weights[id]! > 0 && logits[id]! < least) least = logits[id]!;
  const spread = Math.max(largest - least, 1e-6);
  const scale = bins / spread;
  const binOf = (logit: number) => Math.min(bins - 1, Math.floor((largest - logit) * scale));
  masses.fill(0);
  let all = 0;
  for (let id = 0; id < logits.length; id++) {
    if (weights[id] === 0) continue;
    masses[binOf(logits[id]!)]! += weights[id]!;
    all += weights[id]!;
  }
  const target = topP * all;
  let bin = 0;
  let mass = 0;
  while (bin < bins - 1 && mass + masses[bin]! < target) mass += masses[bin++]!;
  const crossing: number[] = [];
  for (let id = 0; id < logits.length; id++) if (weights[id]! > 0 && binOf(logits[id]!) === bin) crossing.push(id);
  crossing.sort((a, b) => logits[b]! - logits[a]! || a - b);
  let last = crossing[0]!;
  for (const id of crossing) {
    last = id;
    mass += weights[id]!;
    if (mass >= target) break;
  }
  return { logit: logits[last]!, lastId: last };
}

/** Draws among the logits above the floor whose weights reach `minP`, in the order of ids. */
function drawAbove(logits: Float32Array, weights: Float64Array, floor: Floor, minP: number, draw: number): number {
  let mass = 0;
  for (let id = 0; id < logits.length; id++) {
    const above = logits[id]! > floor.logit || (logits[id] === floor.logit && id <= floor.lastId);
    if (above && weights[id]! >= minP) mass += weights[id]!;
    else weights[id] = 0;
  }
  let left = draw * mass;
  let last = -1;
  for (let id = 0; id < logits.length; id++) {
    if (weights[id] === 0) continue;
    last = id;
    left -= weights[id]!;
    if (left < 0) return id;
  }
  return last; // rounding left a remainder
}

let scratch = new Float64Array(0);

/** [vocabSize] unnormalised probabilities, in memory that the next call writes over. What is e^-40 of the largest counts as 0. */
function weigh(logits: Float32Array, largest: number, temperature: number): Float64Array {
  if (scratch.length !== logits.length) scratch = new Float64Array(logits.length);
  for (let id = 0; id < logits.length; id++) {
    const distance = (largest - logits[id]!) / temperature;
    scratch[id] = distance > farthest ? 0 : Math.exp(-distance);
  }
  return scratch;
}

/** Unnormalised probability; 1 for the largest logit. */
function weight(logit: number, largest: number, temperature: number): number {
  return Math.exp((logit - largest) / temperature);
}
