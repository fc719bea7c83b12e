// What the variants of the product share: bits of floats, the scale of a unit of activations, and the parts of
// one variant that others use too.
#ifndef MODELWIRE_MATMUL_UNIT_H
#define MODELWIRE_MATMUL_UNIT_H
#include "matmul.h"
#include <string.h>

static inline uint32_t mw_bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

static inline float mw_float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static inline int32_t mw_load_int(const uint8_t *from) {
  int32_t value;
  memcpy(&value, from, 4);
  return value;
}

static inline float mw_load_float(const uint8_t *from) {
  float value;
  memcpy(&value, from, 4);
  return value;
}

/**
 * The scale of a unit of activations: max|x| / 127, cut to 22 significant bits; `most` is the bits of max|x|.
 * Where the scale would not be a normal number: 0, the activations count as zeros.
 * From 2^110 on MW_MAGIC * scale would soon not be finite: NaN, as for infinities and NaN; it reaches all of the row.
 */
static inline float mw_unit_scale(uint32_t most) {
  if (most >= 0x76800000) return mw_float_of(0x7fc00000);
  uint32_t scale = mw_bits_of(mw_float_of(most) / 127.0f) & ~3u;
  return scale < 0x00800000 ? 0.0f : mw_float_of(scale);
}

/** What activations are multiplied with before they are rounded. */
static inline float mw_unit_inverse(float scale) { return scale > 0 ? 1.0f / scale : 0.0f; }

/** Writes what of row `r` follows the int8 of a unit. */
static inline void mw_store_extra(uint8_t *extra, int rows, int r, int32_t start, float scale) {
  float product = -MW_MAGIC * scale;
  memcpy(extra + r * 4, &start, 4);
  memcpy(extra + (rows + r) * 4, &scale, 4);
  memcpy(extra + (2 * rows + r) * 4, &product, 4);
}

// matmul_avx2.c
void mw_quantise_avx2(uint8_t *out, const float *x, int rows, int64_t depth, int unit, int zero);
void mw_unpack_avx2(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit);
void mw_widen_scales_avx2(float *to, const uint8_t *from, int64_t count, int scale_type);

// matmul_neon.c
void mw_quantise_neon(uint8_t *out, const float *x, int rows, int64_t depth, int unit, int zero);
void mw_unpack_neon(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit);
void mw_widen_scales_neon(float *to, const uint8_t *from, int64_t count, int scale_type);

#endif
