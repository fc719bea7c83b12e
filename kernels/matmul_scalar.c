// The product in plain C: it defines the bits that every other variant must give, and is the variant of last resort.
#include "matmul_unit.h"

/** a * b + c rounded once, without the instruction for it: some C libraries of Windows round fmaf twice. */
static float fused(float a, float b, float c) {
#if defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  double product = (double)a * b; // exact
  double sum = product + c, part = sum - product;
  double lost = (product - (sum - part)) + (c - part);
  if (lost > 0 || lost < 0) { // inexact: rounded to odd, so that the second rounding is that of the exact sum
    uint64_t bits;
    memcpy(&bits, &sum, 8);
    if (!(bits & 1)) bits += (lost > 0) == (sum > 0) ? 1 : -(uint64_t)1;
    memcpy(&sum, &bits, 8);
  }
  return (float)sum;
#endif
}

/** To the nearest integer, ties to even, for |x| < 2^22. */
static int nearest(float x) { return (int)mw_bits_of(x + MW_MAGIC) - MW_START; }

static float scale_of(const float *x, int64_t count) {
  uint32_t most = 0; // as integers |x| sort as they do as floats, and NaN above all
  for (int64_t i = 0; i < count; i++) {
    uint32_t magnitude = mw_bits_of(x[i]) & 0x7fffffff;
    if (magnitude > most) most = magnitude;
  }
  return mw_unit_scale(most);
}

/** @return the sum of the unit's int8 */
static int quantise_unit(int8_t *q, const float *x, int64_t count, float scale) {
  float inverse = mw_unit_inverse(scale);
  int sum = 0;
  if (!(scale > 0)) return 0;
  for (int64_t i = 0; i < count; i++) {
    q[i] = (int8_t)nearest(x[i] * inverse);
    sum += q[i];
  }
  return sum;
}

static void quantise(uint8_t *out, const float *x, int rows, int64_t depth, int unit, int zero) {
  for (int64_t k = 0; k < depth; k += unit, out += rows * (unit + MW_ROW_EXTRA)) {
    int64_t count = depth - k < unit ? depth - k : unit;
    for (int r = 0; r < rows; r++) {
      int8_t q[32] = {0};
      float scale = scale_of(x + r * depth + k, count);
      int sum = quantise_unit(q, x + r * depth + k, count, scale);
      memcpy(out + r * unit, q, (size_t)unit);
      mw_store_extra(out + rows * unit, rows, r, MW_START - zero * sum, scale);
    }
  }
}

static void unpack(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit) {
  for (int64_t i = 0; i < units * unit / 8 * MW_PANEL * 4; i++) {
    int64_t group = i / 128, byte = i % 128;
    int zero = zero_points ? zero_points[group * 8 / unit * MW_PANEL + byte / 4] - 15 : 0;
    out[group * 256 + byte] = (uint8_t)((nibbles[i] & 15) - zero);
    out[group * 256 + 128 + byte] = (uint8_t)((nibbles[i] >> 4) - zero);
  }
}

static float widen_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
  if (rest < 0x0400) { // a multiple of 2^-24
    float value = (float)rest * 0x1p-24f;
    return sign ? -value : value;
  }
  return mw_float_of(sign | (rest + (112u << 10)) << 13); // packed scales are finite
}

static void widen_scales(float *to, const uint8_t *from, int64_t count, int scale_type) {
  for (int64_t i = 0; i < count; i++) {
    uint16_t half;
    if (scale_type == MW_SCALE_F32) memcpy(&to[i], from + i * 4, 4);
    else memcpy(&half, from + i * 2, 2);
    if (scale_type == MW_SCALE_F16) to[i] = widen_f16(half);
    if (scale_type == MW_SCALE_BF16) to[i] = mw_float_of((uint32_t)half << 16);
  }
}

/** Value k of a unit's column. */
static int weight_at(const MwTile *t, const uint8_t *unit, int k, int column) {
  if (t->form != MW_NIBBLES) return unit[(k / 4 * MW_PANEL + column) * 4 + k % 4];
  int byte = unit[(k / 8 * MW_PANEL + column) * 4 + k % 4];
  return k % 8 < 4 ? byte & 15 : byte >> 4;
}

static void tile(const MwTile *t) {
  int64_t unit_bytes = t->unit * MW_PANEL / (t->form == MW_NIBBLES ? 2 : 1);
  for (int64_t u = 0; u < t->units; u++)
    for (int r = 0; r < t->rows; r++) {
      const uint8_t *activations = t->quantised + u * t->rows * (t->unit + MW_ROW_EXTRA);
      const uint8_t *extra = activations + t->rows * t->unit + r * 4;
      int32_t start = mw_load_int(extra);
      float scale = mw_load_float(extra + t->rows * 4);
      for (int c = 0; c < MW_PANEL; c++) {
        int dot = start - MW_START;
        for (int k = 0; k < t->unit; k++)
          dot += weight_at(t, t->weights + u * unit_bytes, k, c) * (int8_t)activations[r * t->unit + k];
        float *sum = &t->sums[r * MW_PANEL + c];
        *sum = fused((float)dot * scale, t->scales[u * MW_PANEL + c], *sum);
      }
    }
}

const MwMatMulKernels mw_matmul_scalar = {4, 0, quantise, unpack, widen_scales, tile};
