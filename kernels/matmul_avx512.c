// The product with AVX512-VNNI: a tile is up to 8 rows by the 32 columns of a panel, in 16 integer registers.
#include "matmul_unit.h"
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
enum { ROWS = 8 };

/** Four int8 of a row in every lane. */
INLINE __m512i four(const uint8_t *from) { return _mm512_set1_epi32(mw_load_int(from)); }

/** The bytes of columns 0…15 and 16…31 for 8 values of K: `low` for the first four, `high` for the others. */
INLINE void weights_of(__m512i low[2], __m512i high[2], const uint8_t *unit, int group, int nibbles) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int g = 0; g < 2; g++)
    if (nibbles) {
      __m512i both = _mm512_loadu_si512(unit + group * 128 + g * 64);
      low[g] = _mm512_and_si512(both, mask);
      high[g] = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
    } else {
      low[g] = _mm512_loadu_si512(unit + group * 256 + g * 64);
      high[g] = _mm512_loadu_si512(unit + group * 256 + 128 + g * 64);
    }
}

/** `rows`, `unit` and `nibbles` are constants where this is inlined. */
INLINE void tile_of(const MwTile *t, int rows, int unit, int nibbles) {
  const uint8_t *weights = t->weights, *activations = t->quantised, *ahead = t->ahead;
  for (int64_t u = 0; u < t->units; u++) {
    const uint8_t *extra = activations + rows * unit;
    __m512i dot[ROWS][2];
    for (int r = 0; r < rows; r++) dot[r][0] = dot[r][1] = four(extra + r * 4);
    for (int group = 0; group < unit / 8; group++) {
      __m512i low[2], high[2];
      weights_of(low, high, weights, group, nibbles);
      for (int r = 0; r < rows; r++) {
        __m512i a = four(activations + r * unit + group * 8);
        dot[r][0] = _mm512_dpbusd_epi32(dot[r][0], low[0], a);
        dot[r][1] = _mm512_dpbusd_epi32(dot[r][1], low[1], a);
      }
      for (int r = 0; r < rows; r++) {
        __m512i a = four(activations + r * unit + group * 8 + 4);
        dot[r][0] = _mm512_dpbusd_epi32(dot[r][0], high[0], a);
        dot[r][1] = _mm512_dpbusd_epi32(dot[r][1], high[1], a);
      }
    }
    const float *scales = t->scales + u * MW_PANEL;
    for (int r = 0; r < rows; r++) {
      __m512 scale = _mm512_set1_ps(mw_load_float(extra + (rows + r) * 4));
      __m512 magic = _mm512_set1_ps(mw_load_float(extra + (2 * rows + r) * 4));
      for (int g = 0; g < 2; g++) {
        float *sums = t->sums + r * MW_PANEL + g * 16;
        __m512 scaled = _mm512_fmadd_ps(_mm512_castsi512_ps(dot[r][g]), scale, magic);
        _mm512_storeu_ps(sums, _mm512_fmadd_ps(scaled, _mm512_loadu_ps(scales + g * 16), _mm512_loadu_ps(sums)));
      }
    }
    if (ahead)
      for (int line = 0; line < 512; line += 64) _mm_prefetch((const char *)ahead + u * 512 + line, _MM_HINT_T0);
    weights += MW_PANEL * unit / (nibbles ? 2 : 1);
    activations += rows * (unit + MW_ROW_EXTRA);
  }
}

/** One function for each height. */
INLINE void tile_with(const MwTile *t, int unit, int nibbles) {
  switch (t->rows) {
    case 1: tile_of(t, 1, unit, nibbles); break;
    case 2: tile_of(t, 2, unit, nibbles); break;
    case 3: tile_of(t, 3, unit, nibbles); break;
    case 4: tile_of(t, 4, unit, nibbles); break;
    case 5: tile_of(t, 5, unit, nibbles); break;
    case 6: tile_of(t, 6, unit, nibbles); break;
    case 7: tile_of(t, 7, unit, nibbles); break;
    default: tile_of(t, 8, unit, nibbles);
  }
}

static void tile(const MwTile *t) {
  if (t->form == MW_NIBBLES) tile_with(t, 32, 1);
  else if (t->unit == 32) tile_with(t, 32, 0);
  else tile_with(t, 16, 0);
}

INLINE void unpack_with(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int64_t u = 0; u < units; u++)
    for (int g = 0; g < 2; g++) {
      __m512i offset = _mm512_setzero_si512();
      if (zero_points) { // four times each column's, minus 15
        __m128i columns = _mm_loadu_si128((const __m128i_u *)(const void *)(zero_points + u * MW_PANEL + g * 16));
        offset = _mm512_mullo_epi32(_mm512_cvtepu8_epi32(columns), _mm512_set1_epi32(0x01010101));
        offset = _mm512_sub_epi8(offset, mask);
      }
      for (int group = 0; group < unit / 8; group++) {
        int64_t at = (u * unit / 8 + group) * 128;
        __m512i both = _mm512_loadu_si512(nibbles + at + g * 64);
        __m512i low = _mm512_and_si512(both, mask), high = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
        _mm512_storeu_si512(out + at * 2 + g * 64, _mm512_sub_epi8(low, offset));
        _mm512_storeu_si512(out + at * 2 + 128 + g * 64, _mm512_sub_epi8(high, offset));
      }
    }
}

static void unpack(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit) {
  if (zero_points) unpack_with(out, nibbles, zero_points, units, unit);
  else unpack_with(out, nibbles, 0, units, unit);
}

const MwMatMulKernels mw_matmul_avx512 = {ROWS, 0, mw_quantise_avx2, unpack, mw_widen_scales_avx2, tile};
