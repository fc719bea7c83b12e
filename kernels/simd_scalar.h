// Sixteen floats at a time, in plain C: what the other simd_*.h do with registers, this does one by one. It defines the
// bits that they must give. Numbers are rounded once per operation, to nearest even, subnormals kept.
#ifndef MODELWIRE_SIMD_SCALAR_H
#define MODELWIRE_SIMD_SCALAR_H
#include <stdint.h>
#include <string.h>

typedef struct Lanes {
  float at[16];
} Lanes;

// The tile that attention_kernel.h keeps in registers: rows times groups of sixteen columns.
enum { TILE_ROWS = 1, TILE_GROUPS = 1 };

static inline void prefetch(const uint8_t *address) { (void)address; }

static inline Lanes lanes_all(float x) {
  Lanes out;
  for (int i = 0; i < 16; i++) out.at[i] = x;
  return out;
}

static inline Lanes lanes_load(const float *from) {
  Lanes out;
  memcpy(out.at, from, sizeof out.at);
  return out;
}

static inline void lanes_store(float *to, Lanes a) { memcpy(to, a.at, sizeof a.at); }

static inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}

static inline float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

/**
 * a * b + c, rounded once. Not every C library's fmaf is right, so it is made of doubles: the product is exact in them,
 * and a sum that is not is moved to its odd neighbour, which keeps the second rounding, to float, from going wrong.
 */
static inline float fused(float a, float b, float c) {
#if defined(__aarch64__)
  return __builtin_fmaf(a, b, c); // an instruction
#else
  double product = (double)a * b, sum = product + c;
  double part = sum - product, lost = (product - (sum - part)) + (c - part);
  if (lost > 0 || lost < 0) {
    uint64_t bits;
    memcpy(&bits, &sum, 8);
    if (bits % 2 == 0) bits += (lost > 0) == (sum > 0) ? 1 : -(uint64_t)1;
    memcpy(&sum, &bits, 8);
  }
  return (float)sum;
#endif
}

/** float16, exactly. */
static inline float float_of_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
  if (rest >= 0x7c00) return float_of(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest < 0x400) return float_of(sign | bits_of((float)rest * 0x1p-24f)); // subnormal
  return float_of(sign | ((rest << 13) + (112u << 23)));
}

/** To float16, to nearest even. */
static inline uint16_t half_of_float(float x) {
  uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // 65520 and more
  // Below 2^-14 the last place is 2^-24: adding 0.5 leaves that many bits, and the adder rounds.
  if (rest < 0x38800000) return (uint16_t)(sign | (bits_of(float_of(rest) + 0.5f) - bits_of(0.5f)));
  uint32_t even = rest >> 13 & 1;
  return (uint16_t)(sign | ((rest - (112u << 23) + 0xfff + even) >> 13));
}

static inline Lanes lanes_load_half(const uint8_t *from) {
  Lanes out;
  for (int i = 0; i < 16; i++) {
    uint16_t half;
    memcpy(&half, from + 2 * i, 2);
    out.at[i] = float_of_half(half);
  }
  return out;
}

static inline void lanes_store_half(uint16_t *to, Lanes a) {
  for (int i = 0; i < 16; i++) to[i] = half_of_float(a.at[i]);
}

static inline Lanes lanes_load_int8(const uint8_t *from) {
  Lanes out;
  for (int i = 0; i < 16; i++) out.at[i] = (int8_t)from[i];
  return out;
}

static inline Lanes lanes_add(Lanes a, Lanes b) {
  for (int i = 0; i < 16; i++) a.at[i] += b.at[i];
  return a;
}

static inline Lanes lanes_subtract(Lanes a, Lanes b) {
  for (int i = 0; i < 16; i++) a.at[i] -= b.at[i];
  return a;
}

static inline Lanes lanes_multiply(Lanes a, Lanes b) {
  for (int i = 0; i < 16; i++) a.at[i] *= b.at[i];
  return a;
}

static inline Lanes lanes_divide(Lanes a, Lanes b) {
  for (int i = 0; i < 16; i++) a.at[i] /= b.at[i];
  return a;
}

/** a * b + c, rounded once. Apart from its callers: sixteen of the above in each would be most of the library. */
__attribute__((noinline)) static Lanes lanes_fused(Lanes a, Lanes b, Lanes c) {
  for (int i = 0; i < 16; i++) c.at[i] = fused(a.at[i], b.at[i], c.at[i]);
  return c;
}

/** The larger; b where a is NaN. */
static inline Lanes lanes_larger(Lanes a, Lanes b) {
  for (int i = 0; i < 16; i++) b.at[i] = a.at[i] > b.at[i] ? a.at[i] : b.at[i];
  return b;
}

/** x where a < b, else y. */
static inline Lanes lanes_where_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  for (int i = 0; i < 16; i++) y.at[i] = a.at[i] < b.at[i] ? x.at[i] : y.at[i];
  return y;
}

/** 2 to the power of the integer in the low bits of a's mantissa, from -126 to 127. */
static inline Lanes lanes_power_of_two(Lanes a) {
  for (int i = 0; i < 16; i++) a.at[i] = float_of((bits_of(a.at[i]) << 23) + 0x3f800000);
  return a;
}

#endif
