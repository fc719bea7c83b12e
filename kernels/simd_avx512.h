// Sixteen floats at a time in one register of AVX-512. The meaning of each function is in simd_scalar.h.
#ifndef MODELWIRE_SIMD_AVX512_H
#define MODELWIRE_SIMD_AVX512_H
#include <immintrin.h>
#include <stdint.h>

typedef __m512 Lanes;

enum { TILE_ROWS = 12, TILE_GROUPS = 2 };

static inline void prefetch(const uint8_t *address) { _mm_prefetch((const char *)address, _MM_HINT_T1); }
static inline Lanes lanes_all(float x) { return _mm512_set1_ps(x); }
static inline Lanes lanes_load(const float *from) { return _mm512_loadu_ps(from); }
static inline void lanes_store(float *to, Lanes a) { _mm512_storeu_ps(to, a); }
static inline Lanes lanes_load_half(const uint8_t *from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}
static inline void lanes_store_half(uint16_t *to, Lanes a) {
  _mm256_storeu_si256((__m256i *)to, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline Lanes lanes_load_int8(const uint8_t *from) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from)));
}
static inline Lanes lanes_add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
static inline Lanes lanes_subtract(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
static inline Lanes lanes_multiply(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
static inline Lanes lanes_divide(Lanes a, Lanes b) { return _mm512_div_ps(a, b); }
static inline Lanes lanes_fused(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
static inline Lanes lanes_larger(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
static inline Lanes lanes_where_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
static inline Lanes lanes_power_of_two(Lanes a) {
  __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(a), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f800000)));
}

#endif
