// The product with NEON's dot product of four bytes (ARMv8.2 and on; all Apple processors). Weights are signed bytes
// here: those of 8 bits have 128 taken off. Quantising and unpacking serve the variant with matrix products too.
#include "matmul_unit.h"
#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))
enum { ROWS = 4, COLUMNS = 16 };

/** Quantises `unit` floats. @return the sum of the int8 */
INLINE int quantise_unit(uint8_t *q, const float *x, int unit, float *scale) {
  uint32x4_t most = vdupq_n_u32(0);
  int32x4_t sum = vdupq_n_s32(0);
  for (int i = 0; i < unit; i += 4) {
    uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + i));
    most = vmaxq_u32(most, vandq_u32(bits, vdupq_n_u32(0x7fffffff)));
  }
  *scale = mw_unit_scale(vmaxvq_u32(most));
  float inverse = mw_unit_inverse(*scale);
  for (int i = 0; i < unit; i += 8) {
    int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i), inverse));
    int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i + 4), inverse));
    sum = vaddq_s32(sum, vaddq_s32(low, high));
    int8x8_t bytes = vqmovn_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high)));
    vst1_u8(q + i, vreinterpret_u8_s8(bytes));
  }
  return vaddvq_s32(sum);
}

void mw_quantise_neon(uint8_t *out, const float *x, int rows, int64_t depth, int unit, int zero) {
  for (int64_t k = 0; k < depth; k += unit, out += rows * (unit + MW_ROW_EXTRA))
    for (int r = 0; r < rows; r++) {
      const float *from = x + r * depth + k;
      float scale, last[32] = {0};
      if (depth - k < unit) from = memcpy(last, from, (size_t)(depth - k) * sizeof *x);
      int sum = quantise_unit(out + r * unit, from, unit, &scale);
      mw_store_extra(out + rows * unit, rows, r, MW_START - zero * sum, scale);
    }
}

/** What to take off the bytes of 4 columns: their zero points minus 15, each four times. */
INLINE uint8x16_t offset_of(const uint8_t *zero_points) {
  static const uint8_t each_four_times[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  uint8x16_t columns = vreinterpretq_u8_s32(vdupq_n_s32(mw_load_int(zero_points)));
  return vsubq_u8(vqtbl1q_u8(columns, vld1q_u8(each_four_times)), vdupq_n_u8(15));
}

void mw_unpack_neon(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit) {
  for (int64_t u = 0; u < units; u++)
    for (int lanes = 0; lanes < 128; lanes += 16) { // 4 columns
      uint8x16_t offset = zero_points ? offset_of(zero_points + u * MW_PANEL + lanes / 4) : vdupq_n_u8(0);
      for (int group = 0; group < unit / 8; group++) {
        int64_t at = (u * unit / 8 + group) * 128;
        uint8x16_t both = vld1q_u8(nibbles + at + lanes);
        vst1q_u8(out + at * 2 + lanes, vsubq_u8(vandq_u8(both, vdupq_n_u8(15)), offset));
        vst1q_u8(out + at * 2 + 128 + lanes, vsubq_u8(vshrq_n_u8(both, 4), offset));
      }
    }
}

void mw_widen_scales_neon(float *to, const uint8_t *from, int64_t count, int scale_type) {
  if (scale_type == MW_SCALE_F32) {
    memcpy(to, from, (size_t)count * 4);
    return;
  }
  for (int64_t i = 0; i < count; i += 4) {
    uint16x4_t halves = vreinterpret_u16_u8(vld1_u8(from + i * 2));
    float32x4_t widened = scale_type == MW_SCALE_F16 ? vcvt_f32_f16(vreinterpret_f16_u16(halves))
                                                     : vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
    vst1q_f32(to + i, widened);
  }
}

/** Adds the products with the four bytes of `a` in a lane. */
INLINE int32x4_t dot_lane(int32x4_t sum, int8x16_t weights, int8x16_t a, int lane) {
  switch (lane) {
    case 0: return vdotq_laneq_s32(sum, weights, a, 0);
    case 1: return vdotq_laneq_s32(sum, weights, a, 1);
    case 2: return vdotq_laneq_s32(sum, weights, a, 2);
    default: return vdotq_laneq_s32(sum, weights, a, 3);
  }
}

/** 4 values of K of 4 columns, as signed bytes. */
INLINE int8x16_t weights_at(const uint8_t *unit, int group, int lanes, MwForm form) {
  if (form == MW_NIBBLES) {
    uint8x16_t both = vld1q_u8(unit + group / 2 * 128 + lanes);
    return vreinterpretq_s8_u8(group % 2 ? vshrq_n_u8(both, 4) : vandq_u8(both, vdupq_n_u8(15)));
  }
  uint8x16_t bytes = vld1q_u8(unit + group * 128 + lanes);
  return vreinterpretq_s8_u8(form == MW_BYTES_255 ? veorq_u8(bytes, vdupq_n_u8(128)) : bytes);
}

/** One unit of `rows` rows by 16 columns. */
INLINE void unit_of(const uint8_t *weights, const uint8_t *activations, const float *scales, float *sums, int rows,
                    int unit, MwForm form) {
  const uint8_t *extra = activations + rows * unit;
  int32x4_t dot[ROWS][COLUMNS / 4];
  for (int r = 0; r < rows; r++)
    for (int q = 0; q < COLUMNS / 4; q++) dot[r][q] = vdupq_n_s32(mw_load_int(extra + r * 4));
  for (int first = 0; first < unit; first += 16) {
    int8x16_t a[ROWS];
    for (int r = 0; r < rows; r++) a[r] = vreinterpretq_s8_u8(vld1q_u8(activations + r * unit + first));
    for (int lane = 0; lane < 4; lane++)
      for (int q = 0; q < COLUMNS / 4; q++) {
        int8x16_t w = weights_at(weights, first / 4 + lane, q * 16, form);
        for (int r = 0; r < rows; r++) dot[r][q] = dot_lane(dot[r][q], w, a[r], lane);
      }
  }
  for (int r = 0; r < rows; r++) {
    float32x4_t scale = vdupq_n_f32(mw_load_float(extra + (rows + r) * 4));
    float32x4_t magic = vdupq_n_f32(mw_load_float(extra + (2 * rows + r) * 4));
    for (int q = 0; q < COLUMNS / 4; q++) {
      float *sum = sums + r * MW_PANEL + q * 4;
      float32x4_t scaled = vfmaq_f32(magic, vreinterpretq_f32_s32(dot[r][q]), scale);
      vst1q_f32(sum, vfmaq_f32(vld1q_f32(sum), scaled, vld1q_f32(scales + q * 4)));
    }
  }
}

#include "matmul_tile.h" // over unit_of

static void tile(const MwTile *t) {
  int whole = t->unit == 32;
  if (t->form == MW_NIBBLES) tile_with(t, 32, MW_NIBBLES);
  else if (t->form == MW_BYTES_255) whole ? tile_with(t, 32, MW_BYTES_255) : tile_with(t, 16, MW_BYTES_255);
  else whole ? tile_with(t, 32, MW_BYTES_15) : tile_with(t, 16, MW_BYTES_15);
}

const MwMatMulKernels mw_matmul_neon = {ROWS, 1, mw_quantise_neon, mw_unpack_neon, mw_widen_scales_neon, tile};
