// Randomness without state: a number is a pure function of (seed, position). So an answer is the same bit by bit
// whether its sequence ran alone or in a batch, and no generator is shared.

// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
const golden = 0x9e3779b97f4a7c15n;

function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** A number in [0, 1) with 53 bits. The seed is mixed first, so that neighbouring seeds have unrelated streams. */
export function uniform(seed: bigint, position: number): number {
  const bits = mix(mix(seed + golden) + golden * BigInt(position + 1));
  return Number(bits >> 11n) / 2 ** 53;
}

/** The seed of answer `index` to one request: one that a caller can ask for by itself to get that answer again. */
export function answerSeed(seed: bigint, index: number): bigint {
  return BigInt.asUintN(64, seed + BigInt(index));
}
