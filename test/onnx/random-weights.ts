// Random numbers that a seed decides, and quantised weights made of them. The weights lie evenly around their zero point.

/** Numbers in [0, 1) that the seed alone decides: a counter, stirred. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Of mean 0 and variance 1, roughly normal. */
export function normal(random: () => number): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random();
  return sum;
}

export interface WeightForm {
  readonly columns: number;
  readonly depth: number;
  readonly bits: 4 | 8;
  readonly block: number;
  readonly zeroPoints: boolean;
  /** How much larger results are than inputs, roughly. */
  readonly gain: number;
}

/** Weights as MatMulNBits takes them: codes [columns, blocks, block × bits / 8], scales [columns, blocks], zero points. */
export function quantisedWeights(
  random: () => number,
  { columns, depth, bits, block, zeroPoints, gain }: WeightForm,
): { codes: Uint8Array; scales: Float32Array; zeros: Uint8Array | null } {
  const blocks = Math.ceil(depth / block);
  const reach = bits === 4 ? 5 : 110;
  const middles = new Uint8Array(columns * blocks).fill(bits === 4 ? 8 : 128);
  if (zeroPoints) for (let i = 0; i < middles.length; i++) middles[i]! += Math.floor(random() * 5) - 2;
  const codes = new Uint8Array((columns * blocks * block * bits) / 8);
  for (let i = 0; i < columns * blocks * block; i++) {
    const padding = i % (blocks * block) >= depth;
    const code = middles[Math.floor(i / block)]! + (padding ? 0 : Math.round((2 * random() - 1) * reach));
    if (bits === 8) codes[i] = code;
    else codes[i >> 1]! |= code << (4 * (i & 1));
  }
  const spread = (gain * Math.sqrt(3)) / (reach * Math.sqrt(depth));
  const scales = Float32Array.from({ length: columns * blocks }, () => spread * (0.5 + random()));
  return { codes, scales, zeros: zeroPoints ? packedZeros(middles, blocks, bits) : null };
}

function packedZeros(middles: Uint8Array, blocks: number, bits: 4 | 8): Uint8Array {
  if (bits === 8) return middles;
  const width = Math.ceil(blocks / 2);
  const packed = new Uint8Array((middles.length / blocks) * width);
  middles.forEach((zero, i) => {
    const at = i % blocks;
    packed[Math.floor(i / blocks) * width + (at >> 1)]! |= zero << (4 * (at & 1));
  });
  return packed;
}
