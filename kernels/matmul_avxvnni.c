// The product with 256-bit VNNI, as processors have it that have no AVX512. Compiled a second time by its test, with
// MW_VNNI_OF_AVX512: the same instructions in the encoding of AVX512VL, for machines that have only those.
#include "matmul_unit.h"
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
enum { ROWS = 4, COLUMNS = 16 };

INLINE __m256i dot_four(__m256i sum, __m256i weights, __m256i a) {
#if defined(MW_VNNI_OF_AVX512)
  return _mm256_dpbusd_epi32(sum, weights, a);
#else
  return _mm256_dpbusd_avx_epi32(sum, weights, a);
#endif
}

/** Four int8 of a row in every lane. */
INLINE __m256i four(const uint8_t *from) { return _mm256_set1_epi32(mw_load_int(from)); }

/** 4 values of K of 8 columns. */
INLINE __m256i weights_at(const uint8_t *unit, int group, int lanes, int nibbles) {
  if (!nibbles) return _mm256_loadu_si256((const __m256i_u *)(const void *)(unit + group * 128 + lanes));
  __m256i both = _mm256_loadu_si256((const __m256i_u *)(const void *)(unit + group / 2 * 128 + lanes));
  return _mm256_and_si256(group % 2 ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
}

/** One unit of `rows` rows by 16 columns. */
INLINE void unit_of(const uint8_t *weights, const uint8_t *activations, const float *scales, float *sums, int rows,
                    int unit, MwForm form) {
  const uint8_t *extra = activations + rows * unit;
  __m256i dot[ROWS][2];
  for (int r = 0; r < rows; r++) dot[r][0] = dot[r][1] = four(extra + r * 4);
  for (int group = 0; group < unit / 4; group++)
    for (int g = 0; g < 2; g++) {
      __m256i w = weights_at(weights, group, g * 32, form == MW_NIBBLES);
      for (int r = 0; r < rows; r++) dot[r][g] = dot_four(dot[r][g], w, four(activations + r * unit + group * 4));
    }
  for (int r = 0; r < rows; r++) {
    __m256 scale = _mm256_set1_ps(mw_load_float(extra + (rows + r) * 4));
    __m256 magic = _mm256_set1_ps(mw_load_float(extra + (2 * rows + r) * 4));
    for (int g = 0; g < 2; g++) {
      float *sum = sums + r * MW_PANEL + g * 8;
      __m256 scaled = _mm256_fmadd_ps(_mm256_castsi256_ps(dot[r][g]), scale, magic);
      _mm256_storeu_ps(sum, _mm256_fmadd_ps(scaled, _mm256_loadu_ps(scales + g * 8), _mm256_loadu_ps(sum)));
    }
  }
}

#include "matmul_tile.h" // over unit_of

static void tile(const MwTile *t) {
  // All forms but nibbles are bytes to it.
  if (t->form == MW_NIBBLES) tile_with(t, 32, MW_NIBBLES);
  else if (t->unit == 32) tile_with(t, 32, MW_BYTES_255);
  else tile_with(t, 16, MW_BYTES_255);
}

const MwMatMulKernels mw_matmul_avxvnni = {ROWS, 0, mw_quantise_avx2, mw_unpack_avx2, mw_widen_scales_avx2, tile};
