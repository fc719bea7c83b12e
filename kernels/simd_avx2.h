// Sixteen floats at a time in two registers of AVX2. The meaning of each function is in simd_scalar.h.
#ifndef MODELWIRE_SIMD_AVX2_H
#define MODELWIRE_SIMD_AVX2_H
#include <immintrin.h>
#include <stdint.h>

typedef struct Lanes {
  __m256 low, high;
} Lanes;

enum { TILE_ROWS = 6, TILE_GROUPS = 1 };

static inline void prefetch(const uint8_t *address) { _mm_prefetch((const char *)address, _MM_HINT_T1); }
static inline Lanes lanes_all(float x) { return (Lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static inline Lanes lanes_load(const float *from) {
  return (Lanes){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
static inline void lanes_store(float *to, Lanes a) {
  _mm256_storeu_ps(to, a.low);
  _mm256_storeu_ps(to + 8, a.high);
}
static inline Lanes lanes_load_half(const uint8_t *from) {
  return (Lanes){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + 16)))};
}
static inline void lanes_store_half(uint16_t *to, Lanes a) {
  _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i *)(to + 8), _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT));
}
static inline Lanes lanes_load_int8(const uint8_t *from) {
  return (Lanes){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)from))),
                 _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(from + 8))))};
}
static inline Lanes lanes_add(Lanes a, Lanes b) {
  return (Lanes){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
static inline Lanes lanes_subtract(Lanes a, Lanes b) {
  return (Lanes){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
static inline Lanes lanes_multiply(Lanes a, Lanes b) {
  return (Lanes){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
static inline Lanes lanes_divide(Lanes a, Lanes b) {
  return (Lanes){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
static inline Lanes lanes_fused(Lanes a, Lanes b, Lanes c) {
  return (Lanes){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
static inline Lanes lanes_larger(Lanes a, Lanes b) {
  return (Lanes){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
static inline Lanes lanes_where_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  return (Lanes){_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
                 _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
static inline __m256 power_of_two(__m256 a) {
  __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(a), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3f800000)));
}
static inline Lanes lanes_power_of_two(Lanes a) { return (Lanes){power_of_two(a.low), power_of_two(a.high)}; }

#endif
