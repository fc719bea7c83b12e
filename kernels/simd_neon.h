// Sixteen floats at a time in four registers of NEON. The meaning of each function is in simd_scalar.h.
#ifndef MODELWIRE_SIMD_NEON_H
#define MODELWIRE_SIMD_NEON_H
#include <arm_neon.h>
#include <stdint.h>

typedef struct Lanes {
  float32x4_t q[4];
} Lanes;

enum { TILE_ROWS = 6, TILE_GROUPS = 1 };

static inline void prefetch(const uint8_t *address) { __builtin_prefetch(address, 0, 2); }

static inline Lanes lanes_all(float x) {
  float32x4_t q = vdupq_n_f32(x);
  return (Lanes){{q, q, q, q}};
}

static inline Lanes lanes_load(const float *from) {
  return (Lanes){{vld1q_f32(from), vld1q_f32(from + 4), vld1q_f32(from + 8), vld1q_f32(from + 12)}};
}

static inline void lanes_store(float *to, Lanes a) {
  for (int i = 0; i < 4; i++) vst1q_f32(to + 4 * i, a.q[i]);
}

static inline Lanes lanes_load_half(const uint8_t *from) {
  Lanes out;
  for (int i = 0; i < 4; i++) out.q[i] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from + 8 * i)));
  return out;
}

static inline void lanes_store_half(uint16_t *to, Lanes a) {
  for (int i = 0; i < 4; i++) vst1_u16(to + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.q[i])));
}

static inline Lanes lanes_load_int8(const uint8_t *from) {
  int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(from));
  int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
  return (Lanes){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                  vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}

static inline Lanes lanes_add(Lanes a, Lanes b) {
  for (int i = 0; i < 4; i++) a.q[i] = vaddq_f32(a.q[i], b.q[i]);
  return a;
}

static inline Lanes lanes_subtract(Lanes a, Lanes b) {
  for (int i = 0; i < 4; i++) a.q[i] = vsubq_f32(a.q[i], b.q[i]);
  return a;
}

static inline Lanes lanes_multiply(Lanes a, Lanes b) {
  for (int i = 0; i < 4; i++) a.q[i] = vmulq_f32(a.q[i], b.q[i]);
  return a;
}

static inline Lanes lanes_divide(Lanes a, Lanes b) {
  for (int i = 0; i < 4; i++) a.q[i] = vdivq_f32(a.q[i], b.q[i]);
  return a;
}

static inline Lanes lanes_fused(Lanes a, Lanes b, Lanes c) {
  for (int i = 0; i < 4; i++) c.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]);
  return c;
}

static inline Lanes lanes_larger(Lanes a, Lanes b) {
  for (int i = 0; i < 4; i++) b.q[i] = vbslq_f32(vcgtq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]);
  return b;
}

static inline Lanes lanes_where_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  for (int i = 0; i < 4; i++) y.q[i] = vbslq_f32(vcltq_f32(a.q[i], b.q[i]), x.q[i], y.q[i]);
  return y;
}

static inline Lanes lanes_power_of_two(Lanes a) {
  for (int i = 0; i < 4; i++) {
    uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(a.q[i]), 23);
    a.q[i] = vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(0x3f800000)));
  }
  return a;
}

#endif
