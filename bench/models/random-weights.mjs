// Weights at random, in chunks and in their quantised form: nothing here ever holds a tensor in floating point. The
// same seed and name give the same bytes on every machine.
//
// Nibbles are 1 to 15 and their mean is exactly the zero point, 8. With 0 to 15 the mean is half a step below it: every
// row of every product then ends near plus or minus one and the same vector, and a comparison of logits shows nothing.
//
// Scales are bfloat16 numbers of either sign, as those of a bf16 checkpoint are: the quantiser takes the weight of
// greatest magnitude of a block, a bf16 number, and divides it by -8, which changes the exponent only. `f32` scales
// have random bits behind these, as a checkpoint in float32 has.
import { createCipheriv, createHash } from "node:crypto";

const chunkBytes = 8 << 20;

/** Random bytes of a name, in chunks of at most 8 MiB. A chunk is valid until the next. */
export function* randomBytes(seed, name, bytes) {
  const key = createHash("sha256").update(`${seed}:${name}`).digest().subarray(0, 16);
  const stream = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(chunkBytes, bytes));
  for (let left = bytes; left > 0; left -= zeros.length)
    yield stream.update(zeros.subarray(0, Math.min(left, zeros.length)));
}

// A random 0 becomes an 8: nibbles stay symmetric about 8. Two bytes at a time.
const balanced = Uint16Array.from({ length: 1 << 16 }, (_, bits) => {
  let out = 0;
  for (let shift = 0; shift < 16; shift += 4) out |= ((bits >> shift) & 15 || 8) << shift;
  return out;
});

/** `bytes` (even) bytes of two nibbles each. */
export function* randomNibbles(seed, name, bytes) {
  for (const chunk of randomBytes(seed, name, bytes)) {
    const pairs = new Uint16Array(chunk.buffer, chunk.byteOffset, chunk.length >> 1);
    for (let i = 0; i < pairs.length; i += 1) pairs[i] = balanced[pairs[i]];
    yield chunk;
  }
}

/** Exponent such that a product of depth K has outputs of about its inputs' size. */
export function scaleExponent(k) {
  return Math.round(Math.log2(0.1 / Math.sqrt(k)));
}

/** `count` float32 scales of magnitude 2^exponent to 2^(exponent+1), little-endian; `type` is "bf16" or "f32". */
export function* randomScales(seed, name, count, exponent, type) {
  for (const chunk of randomBytes(seed, name, count * 4)) {
    const bits = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length >> 2);
    const random = type === "bf16" ? 0x807f0000 : 0x807fffff; // sign and mantissa
    for (let i = 0; i < bits.length; i += 1) bits[i] = (bits[i] & random) | ((127 + exponent) << 23);
    yield chunk;
  }
}

/** One such bf16 scale of a random byte as float16 bits, which hold it exactly. */
export function halfScale(byte, exponent) {
  return ((byte & 0x80) << 8) | ((15 + exponent) << 10) | ((byte & 0x7f) << 3);
}

/** `count` float32 values, uniform in ±`limit`, little-endian. */
export function* randomFloats(seed, name, count, limit) {
  for (const chunk of randomBytes(seed, name, count * 2)) {
    const integers = new Int16Array(chunk.buffer, chunk.byteOffset, chunk.length >> 1);
    yield bytesOf(Float32Array.from(integers, (value) => (value / 32768) * limit));
  }
}

/** The memory of a typed array. */
export function bytesOf(array) {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}
