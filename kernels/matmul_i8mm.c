// The product with ARM's matrix instruction: 2 rows by 2 columns by 8 values of K in one. Quantising and unpacking are
// those of the dot product, weights are signed bytes as there.
#include "matmul_unit.h"
#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))
enum { ROWS = 4, COLUMNS = 16 };

/** 8 values of K of two rows, side by side. `half` says which of the 16. */
INLINE int8x16_t two_rows(uint8x16_t first, uint8x16_t second, int half) {
  uint64x2_t a = vreinterpretq_u64_u8(first), b = vreinterpretq_u64_u8(second);
  return vreinterpretq_s8_u64(half ? vzip2q_u64(a, b) : vzip1q_u64(a, b));
}

/** 8 values of K of 4 columns: of the first two in `w[0]`, of the others in `w[1]`. */
INLINE void weights_at(int8x16_t w[2], const uint8_t *unit, int group, int lanes, MwForm form) {
  uint8x16_t low, high; // the first 4 values of each column, and the others
  if (form == MW_NIBBLES) {
    uint8x16_t both = vld1q_u8(unit + group * 128 + lanes);
    low = vandq_u8(both, vdupq_n_u8(15));
    high = vshrq_n_u8(both, 4);
  } else {
    uint8x16_t offset = vdupq_n_u8(form == MW_BYTES_255 ? 128 : 0);
    low = veorq_u8(vld1q_u8(unit + group * 256 + lanes), offset);
    high = veorq_u8(vld1q_u8(unit + group * 256 + 128 + lanes), offset);
  }
  uint32x4_t a = vreinterpretq_u32_u8(low), b = vreinterpretq_u32_u8(high);
  w[0] = vreinterpretq_s8_u32(vzip1q_u32(a, b));
  w[1] = vreinterpretq_s8_u32(vzip2q_u32(a, b));
}

/** Adds one row's integer sums of 4 columns to its sums. */
INLINE void add_scaled(float *sums, int32x4_t dot, const float *scales, const uint8_t *extra, int rows, int r) {
  float32x4_t scale = vdupq_n_f32(mw_load_float(extra + (rows + r) * 4));
  float32x4_t magic = vdupq_n_f32(mw_load_float(extra + (2 * rows + r) * 4));
  float32x4_t scaled = vfmaq_f32(magic, vreinterpretq_f32_s32(dot), scale);
  vst1q_f32(sums, vfmaq_f32(vld1q_f32(sums), scaled, vld1q_f32(scales)));
}

/** One unit of `rows` rows by 16 columns. Rows go by pairs; one without a partner is its own. */
INLINE void unit_of(const uint8_t *weights, const uint8_t *activations, const float *scales, float *sums, int rows,
                    int unit, MwForm form) {
  const uint8_t *extra = activations + rows * unit;
  int32x4_t dot[ROWS / 2][COLUMNS / 2];
  for (int r = 0; r < rows; r += 2) {
    int partner = r + 1 < rows ? r + 1 : r;
    int32x2_t first = vdup_n_s32(mw_load_int(extra + r * 4)), second = vdup_n_s32(mw_load_int(extra + partner * 4));
    for (int q = 0; q < COLUMNS / 2; q++) dot[r / 2][q] = vcombine_s32(first, second);
  }
  for (int group = 0; group < unit / 8; group++) {
    int8x16_t a[ROWS / 2];
    for (int r = 0; r < rows; r += 2) {
      const uint8_t *first = activations + r * unit + group / 2 * 16;
      a[r / 2] = two_rows(vld1q_u8(first), vld1q_u8(r + 1 < rows ? first + unit : first), group % 2);
    }
    for (int q = 0; q < COLUMNS / 4; q++) {
      int8x16_t w[2];
      weights_at(w, weights, group, q * 16, form);
      for (int r = 0; r < rows; r += 2) {
        dot[r / 2][q * 2] = vmmlaq_s32(dot[r / 2][q * 2], a[r / 2], w[0]);
        dot[r / 2][q * 2 + 1] = vmmlaq_s32(dot[r / 2][q * 2 + 1], a[r / 2], w[1]);
      }
    }
  }
  for (int r = 0; r < rows; r++)
    for (int q = 0; q < COLUMNS / 4; q++) {
      int64x2_t left = vreinterpretq_s64_s32(dot[r / 2][q * 2]), right = vreinterpretq_s64_s32(dot[r / 2][q * 2 + 1]);
      int64x2_t row = r % 2 ? vzip2q_s64(left, right) : vzip1q_s64(left, right);
      add_scaled(sums + r * MW_PANEL + q * 4, vreinterpretq_s32_s64(row), scales + q * 4, extra, rows, r);
    }
}

#include "matmul_tile.h" // over unit_of

static void tile(const MwTile *t) {
  int whole = t->unit == 32;
  if (t->form == MW_NIBBLES) tile_with(t, 32, MW_NIBBLES);
  else if (t->form == MW_BYTES_255) whole ? tile_with(t, 32, MW_BYTES_255) : tile_with(t, 16, MW_BYTES_255);
  else whole ? tile_with(t, 32, MW_BYTES_15) : tile_with(t, 16, MW_BYTES_15);
}

const MwMatMulKernels mw_matmul_i8mm = {ROWS, 1, mw_quantise_neon, mw_unpack_neon, mw_widen_scales_neon, tile};
