// Packs the weights of a MatMulNBits node for our product, once per model; the result is what a packed file holds.
// Must never depend on the processor: the same weights give the same bytes everywhere.
#include "matmul.h"
#include <string.h>

static int64_t up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

int mw_layout(MwLayout *layout, const MwWeights *w) {
  int64_t most = INT32_MAX; // of N and of K: no product of them overflows
  if (w->columns < 1 || w->columns > most || w->depth < 1 || w->depth > most) return MW_UNSUPPORTED;
  if (w->block != 16 && w->block != 32 && w->block != 64 && w->block != 128) return MW_UNSUPPORTED;
  // A weight of 8 bits minus its zero point has 9: there is no integer product for that.
  if (w->bits != 4 && !(w->bits == 8 && !w->zero_points)) return MW_UNSUPPORTED;
  if (w->scale_type < MW_SCALE_F32 || w->scale_type > MW_SCALE_BF16) return MW_UNSUPPORTED;
  layout->unit = w->block == 16 ? 16 : 32;
  layout->units = up(w->depth, layout->unit) / layout->unit;
  layout->blocks = up(w->depth, w->block) / w->block;
  layout->scale_bytes = MW_PANEL * (w->scale_type == MW_SCALE_F32 ? 4 : 2);
  layout->zero_points_at = layout->blocks * layout->scale_bytes;
  layout->weights_at = layout->zero_points_at + (w->zero_points ? up(layout->blocks * MW_PANEL, 64) : 0);
  layout->unit_bytes = (int64_t)MW_PANEL * layout->unit * w->bits / 8;
  layout->panel_bytes = layout->weights_at + layout->units * layout->unit_bytes;
  layout->panels = up(w->columns, MW_PANEL) / MW_PANEL;
  return MW_OK;
}

int64_t mw_packed_bytes(int64_t columns, int64_t depth, int bits, int block, int zero_points, int scale_type) {
  MwWeights weights = {0, columns, depth, bits, block, zero_points, scale_type};
  MwLayout layout;
  return mw_layout(&layout, &weights) ? -1 : layout.panels * layout.panel_bytes;
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

/** The half-precision number that equals `value`. @return whether there is one */
static int to_f16(float value, uint16_t *out) {
  uint32_t bits = bits_of(value);
  uint32_t sign = bits >> 16 & 0x8000, fraction = bits & 0x7fffff;
  int exponent = (int)(bits >> 23 & 255) - 127;
  *out = (uint16_t)sign;
  if ((bits & 0x7fffffff) == 0) return 1;
  if (exponent > 15 || exponent < -24) return 0;
  // Below 2^-14 numbers are multiples of 2^-24: the leading one moves into the fraction.
  int lost = exponent >= -14 ? 13 : -1 - exponent;
  uint32_t kept = exponent >= -14 ? (uint32_t)(exponent + 15) << 10 | fraction >> 13 : (fraction | 0x800000) >> lost;
  *out = (uint16_t)(sign | kept);
  return (fraction & ((1u << lost) - 1)) == 0;
}

static int to_bf16(float value, uint16_t *out) {
  uint32_t bits = bits_of(value);
  *out = (uint16_t)(bits >> 16);
  return (bits & 0xffff) == 0 && (bits & 0x7f800000) != 0x7f800000;
}

int mw_scale_type(const float *scales, int64_t count) {
  int f16 = 1, bf16 = 1;
  uint16_t ignored;
  for (int64_t i = 0; i < count && (f16 || bf16); i++) {
    f16 = f16 && to_f16(scales[i], &ignored);
    bf16 = bf16 && to_bf16(scales[i], &ignored);
  }
  return f16 ? MW_SCALE_F16 : bf16 ? MW_SCALE_BF16 : MW_SCALE_F32;
}

/** Where a column of the source begins. */
typedef struct Column {
  const uint8_t *weights, *zero_points;
  const float *scales;
} Column;

static int pack_scale(uint8_t *out, float scale, int type) {
  uint16_t half;
  if (type == MW_SCALE_F32) {
    memcpy(out, &scale, 4);
    return 0;
  }
  int exact = type == MW_SCALE_F16 ? to_f16(scale, &half) : to_bf16(scale, &half);
  memcpy(out, &half, 2);
  return exact ? 0 : -1;
}

static int pack_scales(uint8_t *panel, const MwLayout *l, const MwWeights *w, const Column *column, int lane) {
  int64_t bytes = l->scale_bytes / MW_PANEL;
  for (int64_t b = 0; b < l->blocks; b++) {
    if (pack_scale(panel + b * l->scale_bytes + lane * bytes, column->scales[b], w->scale_type)) return -1;
    if (column->zero_points)
      panel[l->zero_points_at + b * MW_PANEL + lane] = column->zero_points[b / 2] >> (b % 2 * 4) & 15;
  }
  return 0;
}

/** 16 bits are 4 numbers: each gets a byte. */
static uint32_t spread(uint32_t x) {
  x = (x | x << 8) & 0x00ff00ff;
  return (x | x << 4) & 0x0f0f0f0f;
}

/** The values first … first + count - 1 of K of one column, `first` a multiple of 8. Values from `depth` on are 0. */
static void pack_weights(uint8_t *panel, const MwLayout *l, const MwWeights *w, const uint8_t *column, int lane,
                         int64_t first, int64_t count) {
  int group = 32 / w->bits; // values in 4 bytes
  for (int64_t k = first; k < first + count; k += group) {
    uint32_t v;
    memcpy(&v, column + k * w->bits / 8, 4);
    if (k + group > w->depth) v &= k < w->depth ? ~0u >> ((k + group - w->depth) * w->bits) : 0;
    if (w->bits == 4) v = spread(v & 0xffff) | spread(v >> 16) << 4;
    memcpy(panel + l->weights_at + (k / group * MW_PANEL + lane) * 4, &v, 4);
  }
}

enum { STRETCH = 128 }; // values of K at a time: a cache line of each of the 32 columns

int mw_pack(uint8_t *out, const uint8_t *weights, const float *scales, const uint8_t *zero_points, int64_t columns,
            int64_t depth, int bits, int block, int scale_type, int64_t first_column, int64_t last_column) {
  MwWeights w = {out, columns, depth, bits, block, zero_points != 0, scale_type};
  MwLayout l;
  if (mw_layout(&l, &w)) return -1;
  if (first_column < 0 || first_column % MW_PANEL || first_column > last_column || last_column > columns) return -1;
  if (last_column % MW_PANEL && last_column != columns) return -1;
  int64_t column_bytes = l.blocks * block * bits / 8, zero_bytes = (l.blocks * bits + 7) / 8;
  for (int64_t c0 = first_column; c0 < last_column; c0 += MW_PANEL) {
    uint8_t *panel = out + c0 / MW_PANEL * l.panel_bytes;
    int lanes = (int)(last_column - c0 < MW_PANEL ? last_column - c0 : MW_PANEL);
    if (lanes < MW_PANEL) memset(panel, 0, (size_t)l.panel_bytes);
    else memset(panel + l.zero_points_at, 0, (size_t)(l.weights_at - l.zero_points_at));
    for (int lane = 0; lane < lanes; lane++) {
      int64_t c = c0 + lane;
      Column column = {weights, zero_points ? zero_points + c * zero_bytes : 0, scales + c * l.blocks};
      if (pack_scales(panel, &l, &w, &column, lane)) return -1;
    }
    int64_t padded = l.units * l.unit;
    for (int64_t k = 0; k < padded; k += STRETCH)
      for (int lane = 0; lane < lanes; lane++)
        pack_weights(panel, &l, &w, weights + (c0 + lane) * column_bytes, lane, k,
                     padded - k < STRETCH ? padded - k : STRETCH);
  }
  return 0;
}
