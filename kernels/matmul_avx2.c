// The product with AVX2: products of unsigned by signed bytes are summed in 16 bits as far as they fit. Quantising and
// unpacking serve the wider variants too.
#include "matmul_unit.h"
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
enum { ROWS = 4, COLUMNS = 16 };

/** The bits of the largest |x| of 8 lanes; as integers they sort as floats do, and NaN above all. */
INLINE uint32_t largest(__m256i magnitudes) {
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(magnitudes), _mm256_extracti128_si256(magnitudes, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(m);
}

INLINE int sum_of(__m256i ints) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/** Quantises `unit` floats. @return the sum of the int8 */
INLINE int quantise_unit(uint8_t *q, const float *x, int unit, float *scale) {
  __m256i most = _mm256_setzero_si256(), sum = most;
  for (int i = 0; i < unit; i += 8) {
    __m256i bits = _mm256_loadu_si256((const __m256i_u *)(const void *)(x + i));
    most = _mm256_max_epu32(most, _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff)));
  }
  *scale = mw_unit_scale(largest(most));
  __m256 inverse = _mm256_set1_ps(mw_unit_inverse(*scale));
  for (int i = 0; i < unit; i += 8) {
    __m256i ints = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), inverse));
    sum = _mm256_add_epi32(sum, ints);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
    _mm_storel_epi64((__m128i_u *)(void *)(q + i), _mm_packs_epi16(words, words));
  }
  return *scale > 0 ? sum_of(sum) : 0; // the int8 of a NaN mean nothing
}

void mw_quantise_avx2(uint8_t *out, const float *x, int rows, int64_t depth, int unit, int zero) {
  for (int64_t k = 0; k < depth; k += unit, out += rows * (unit + MW_ROW_EXTRA))
    for (int r = 0; r < rows; r++) {
      const float *from = x + r * depth + k;
      float scale, last[32] = {0};
      if (depth - k < unit) from = memcpy(last, from, (size_t)(depth - k) * sizeof *x);
      uint8_t *q = out + r * unit;
      int sum = unit == 32 ? quantise_unit(q, from, 32, &scale) : quantise_unit(q, from, 16, &scale);
      mw_store_extra(out + rows * unit, rows, r, MW_START - zero * sum, scale);
    }
}

INLINE void unpack(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit) {
  const __m256i mask = _mm256_set1_epi8(15);
  for (int64_t u = 0; u < units; u++)
    for (int lanes = 0; lanes < 128; lanes += 32) { // 8 columns
      __m256i offset = _mm256_setzero_si256();
      if (zero_points) { // four times each column's, minus 15
        __m128i eight = _mm_loadl_epi64((const __m128i_u *)(const void *)(zero_points + u * MW_PANEL + lanes / 4));
        offset = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(eight), _mm256_set1_epi32(0x01010101));
        offset = _mm256_sub_epi8(offset, mask);
      }
      for (int group = 0; group < unit / 8; group++) {
        int64_t at = (u * unit / 8 + group) * 128;
        __m256i both = _mm256_loadu_si256((const __m256i_u *)(const void *)(nibbles + at + lanes));
        __m256i low = _mm256_and_si256(both, mask), high = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
        uint8_t *to = out + at * 2 + lanes;
        _mm256_storeu_si256((__m256i_u *)(void *)to, _mm256_sub_epi8(low, offset));
        _mm256_storeu_si256((__m256i_u *)(void *)(to + 128), _mm256_sub_epi8(high, offset));
      }
    }
}

void mw_unpack_avx2(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit) {
  if (zero_points) unpack(out, nibbles, zero_points, units, unit);
  else unpack(out, nibbles, 0, units, unit);
}

void mw_widen_scales_avx2(float *to, const uint8_t *from, int64_t count, int scale_type) {
  if (scale_type == MW_SCALE_F32) {
    memcpy(to, from, (size_t)count * 4);
    return;
  }
  for (int64_t i = 0; i < count; i += 8) {
    __m128i halves = _mm_loadu_si128((const __m128i_u *)(const void *)(from + i * 2));
    __m256 widened = scale_type == MW_SCALE_F16
                         ? _mm256_cvtph_ps(halves)
                         : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    _mm256_storeu_ps(to + i, widened);
  }
}

/** Four int8 of a row in every lane. */
INLINE __m256i four(const uint8_t *from) { return _mm256_set1_epi32(mw_load_int(from)); }

/**
 * Of one row and 8 columns: 16-bit sums of two products, of 4 values of K. Weights up to 127 are the unsigned operand;
 * others are less 128, and give their sign to the activations.
 */
INLINE __m256i pairs(__m256i weights, __m256i a, MwForm form) {
  if (form != MW_BYTES_255) return _mm256_maddubs_epi16(weights, a);
  return _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(a, weights));
}

/** How many of these sums 16 bits hold: 2 * 127 * the largest weight each. */
INLINE int most_pairs(MwForm form) { return form == MW_BYTES_255 ? 1 : form == MW_BYTES_30 ? 4 : 8; }

/** 4 values of K of 8 columns. */
INLINE __m256i weights_at(const uint8_t *unit, int group, int lanes, MwForm form) {
  if (form == MW_NIBBLES) {
    __m256i both = _mm256_loadu_si256((const __m256i_u *)(const void *)(unit + group / 2 * 128 + lanes));
    return _mm256_and_si256(group % 2 ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
  }
  __m256i bytes = _mm256_loadu_si256((const __m256i_u *)(const void *)(unit + group * 128 + lanes));
  return form == MW_BYTES_255 ? _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)) : bytes;
}

/** One unit of `rows` rows by 16 columns. */
INLINE void unit_of(const uint8_t *weights, const uint8_t *activations, const float *scales, float *sums, int rows,
                    int unit, MwForm form) {
  const uint8_t *extra = activations + rows * unit;
  const __m256i ones = _mm256_set1_epi16(1);
  int most = most_pairs(form) < unit / 4 ? most_pairs(form) : unit / 4;
  __m256i dot[ROWS][2];
  for (int r = 0; r < rows; r++) dot[r][0] = dot[r][1] = four(extra + r * 4);
  for (int first = 0; first < unit / 4; first += most) {
    __m256i words[ROWS][2];
    for (int r = 0; r < rows; r++) words[r][0] = words[r][1] = _mm256_setzero_si256();
    for (int group = first; group < first + most; group++)
      for (int g = 0; g < 2; g++) {
        __m256i w = weights_at(weights, group, g * 32, form);
        for (int r = 0; r < rows; r++) {
          __m256i a = four(activations + r * unit + group * 4);
          words[r][g] = _mm256_add_epi16(words[r][g], pairs(w, a, form));
        }
      }
    for (int r = 0; r < rows; r++)
      for (int g = 0; g < 2; g++) dot[r][g] = _mm256_add_epi32(dot[r][g], _mm256_madd_epi16(words[r][g], ones));
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
  int whole = t->unit == 32;
  switch (t->form) {
    case MW_NIBBLES: tile_with(t, 32, MW_NIBBLES); break;
    case MW_BYTES_15: whole ? tile_with(t, 32, MW_BYTES_15) : tile_with(t, 16, MW_BYTES_15); break;
    case MW_BYTES_30: whole ? tile_with(t, 32, MW_BYTES_30) : tile_with(t, 16, MW_BYTES_30); break;
    case MW_BYTES_255: whole ? tile_with(t, 32, MW_BYTES_255) : tile_with(t, 16, MW_BYTES_255); break;
  }
}

const MwMatMulKernels mw_matmul_avx2 = {ROWS, 1, mw_quantise_avx2, mw_unpack_avx2, mw_widen_scales_avx2, tile};
