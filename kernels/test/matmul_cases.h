// What a variant of the product must do, for the programs that hold the variants against it.
#ifndef MODELWIRE_MATMUL_CASES_H
#define MODELWIRE_MATMUL_CASES_H
#include "matmul.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct MwMatMulKernels mw_matmul_scalar;

static int failures, checks;

static void expect(int holds, const char *claim, const char *variant, const char *detail) {
  checks++;
  if (holds) return;
  failures++;
  printf("NOT: %s (%s, %s)\n", claim, variant, detail);
}

static uint32_t random_state = 1;
static uint32_t random_bits(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}
static float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; }

/** A product with its sources as MatMulNBits has them. */
typedef struct Case {
  MwWeights packed;
  int64_t blocks;
  uint8_t *weights, *zero_points, *data;
  float *scales, *bias, *x, *expected;
  int64_t rows;
  char name[120];
} Case;

static void *zeros(int64_t count, size_t size) {
  void *got = calloc((size_t)count, size);
  if (!got) abort();
  return got;
}

static float random_scale(int type) {
  float value = (random_float() + 1.5f) * (random_bits() & 8 ? 0.01f : -0.003f);
  uint32_t bits;
  memcpy(&bits, &value, 4);
  bits &= type == MW_SCALE_F32 ? ~0u : type == MW_SCALE_F16 ? ~0x1fffu : ~0xffffu;
  memcpy(&value, &bits, 4);
  if (type == MW_SCALE_F16 && random_bits() % 8 == 0) value = (float)(random_bits() % 1024) * 0x1p-24f;
  return value;
}

static int serial(void *pool, void (*task)(void *user, size_t index), size_t count, void *user) {
  (void)pool;
  for (size_t i = count; i-- > 0;) task(user, i);
  return 0;
}

static void multiply(const MwMatMulKernels *kernels, const Case *c, const float *x, float *y, int64_t rows) {
  MwProduct product = {&c->packed, c->bias, x, y, rows};
  if (mw_matmul(kernels, &product, serial, 0) != MW_OK) abort();
}

static int pack_columns(const Case *c, uint8_t *out, int64_t first, int64_t last) {
  const MwWeights *w = &c->packed;
  return mw_pack(out, c->weights, c->scales, c->zero_points, w->columns, w->depth, w->bits, w->block, w->scale_type,
                 first, last);
}

static Case make_case(int64_t columns, int64_t depth, MwWeights form, int with_bias, int64_t rows) {
  Case c = {.packed = form, .rows = rows};
  c.packed.columns = columns;
  c.packed.depth = depth;
  c.blocks = (depth + form.block - 1) / form.block;
  int64_t bytes = columns * c.blocks * form.block * form.bits / 8, zero_bytes = columns * ((c.blocks + 1) / 2);
  c.weights = zeros(bytes, 1);
  for (int64_t i = 0; i < bytes; i++) c.weights[i] = (uint8_t)(random_bits() >> 7);
  c.scales = zeros(columns * c.blocks, 4);
  for (int64_t i = 0; i < columns * c.blocks; i++) c.scales[i] = random_scale(form.scale_type);
  if (form.zero_points) {
    c.zero_points = zeros(zero_bytes, 1);
    for (int64_t i = 0; i < zero_bytes; i++) c.zero_points[i] = (uint8_t)(random_bits() >> 7);
  }
  if (with_bias) c.bias = zeros(columns, 4);
  for (int64_t i = 0; c.bias && i < columns; i++) c.bias[i] = random_float();
  int64_t size = mw_packed_bytes(columns, depth, form.bits, form.block, form.zero_points, form.scale_type);
  if (size % 64) abort();
  c.data = aligned_alloc(64, (size_t)size);
  if (!c.data) abort();
  memset(c.data, 0xa5, (size_t)size);
  c.packed.data = c.data;
  if (pack_columns(&c, c.data, 0, columns)) abort();
  c.x = zeros(rows * depth, 4);
  for (int64_t i = 0; i < rows * depth; i++) c.x[i] = random_float() * (i % 7 ? 1.0f : 40.0f);
  c.expected = zeros(rows * columns, 4);
  multiply(&mw_matmul_scalar, &c, c.x, c.expected, rows);
  snprintf(c.name, sizeof c.name, "N %d, K %d, %d bits, block %d, zero points %d, scale type %d, bias %d", (int)columns,
           (int)depth, form.bits, form.block, form.zero_points, form.scale_type, with_bias);
  return c;
}

static void free_case(Case *c) {
  free(c->weights), free(c->zero_points), free(c->data), free(c->scales);
  free(c->bias), free(c->x), free(c->expected);
}

/** Every form there is, each with another shape: `index` from 0, as long as the result is 1. */
static int next_case(Case *c, int index) {
  static const int64_t shapes[][3] = {{32, 32, 17}, {33, 31, 17},  {70, 100, 17}, {1, 544, 9},    {64, 512, 64},
                                      {31, 16, 17}, {97, 520, 17}, {40, 1, 17},   {64, 1100, 130}};
  static const int blocks[] = {16, 32, 64, 128};
  enum { SHAPES = 9, FORMS = 3 * 4 * 3, SHAPES_EACH = 3 };
  if (index >= FORMS * SHAPES_EACH) return 0;
  int form = index / SHAPES_EACH, kind = form % 3; // 4 bits, 4 bits with zero points, 8 bits
  const int64_t *shape = shapes[index * 5 % SHAPES];
  MwWeights weights = {0, 0, 0, kind == 2 ? 8 : 4, blocks[form / 3 % 4], kind == 1, form / 12};
  *c = make_case(shape[0], shape[1], weights, index % 2, shape[2]);
  return 1;
}

static int same(const float *a, const float *b, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (memcmp(&a[i], &b[i], 4) && !(isnan(a[i]) && isnan(b[i]))) return 0;
  return 1;
}

/** Any number of rows gives the reference's bits: a row knows nothing of the others. */
static void check_heights(const char *variant, const MwMatMulKernels *kernels, const Case *c) {
  float *y = zeros(c->rows * c->packed.columns, 4);
  for (int64_t rows = 1; rows <= c->rows; rows = rows < 17 || rows == c->rows ? rows + 1 : c->rows) {
    memset(y, 0x7f, (size_t)(rows * c->packed.columns * 4));
    multiply(kernels, c, c->x, y, rows);
    char detail[160];
    snprintf(detail, sizeof detail, "%s, rows %d", c->name, (int)rows);
    expect(same(y, c->expected, rows * c->packed.columns), "gives the bits of the plain C", variant, detail);
  }
  for (int64_t row = 0; row < c->rows && row < 17; row++) {
    multiply(kernels, c, c->x + row * c->packed.depth, y, 1);
    expect(same(y, c->expected + row * c->packed.columns, c->packed.columns), "a row alone is that row of the batch",
           variant, c->name);
  }
  free(y);
}

static const float far_values[] = {NAN,       -NAN,      INFINITY,  -INFINITY, 3.4e38f, 0x1p110f, -0x1p111f, 0x1.fp109f,
                                   0x1p-149f, 0x1p-130f, 0x1p-126f, 0x1p-120f, -1e-36f, 2e-36f,   1e-30f};
enum { FAR_VALUES = sizeof far_values / sizeof *far_values };

/** NaN, infinities and extreme numbers: what reaches the row of each, and that nothing reaches any other. */
static void check_far_values(const char *variant, const MwMatMulKernels *kernels, Case *c) {
  int64_t depth = c->packed.depth, columns = c->packed.columns, rows = c->rows;
  float *x = zeros(rows * depth, 4), *y = zeros(rows * columns, 4), *expected = zeros(rows * columns, 4);
  for (int place = 0; place < 3; place++)
    for (int i = 0; i < FAR_VALUES; i++) {
      memcpy(x, c->x, (size_t)(rows * depth) * 4);
      int64_t row = (i + place) % rows, at = place == 0 ? 0 : place == 1 ? depth - 1 : depth / 2;
      if (place == 2) memset(x + row * depth, 0, (size_t)depth * 4);
      x[row * depth + at] = far_values[i];
      multiply(kernels, c, x, y, rows);
      multiply(&mw_matmul_scalar, c, x, expected, rows);
      expect(same(y, expected, rows * columns), "far values give what the plain C gives", variant, c->name);
      int counts_as_zero = place == 2 && fabsf(far_values[i]) < 127 * 0x1p-126f, zeros_got = 0;
      for (int64_t n = 0; n < columns; n++) zeros_got += y[row * columns + n] == (c->bias ? c->bias[n] : 0.0f);
      expect(!counts_as_zero || zeros_got == columns, "what has no normal scale counts as zero", variant, c->name);
      int must_be_nan = !(fabsf(far_values[i]) < 0x1p110f), nan = 0;
      for (int64_t n = 0; n < columns; n++) nan += isnan(y[row * columns + n]) != 0;
      const char *claim = "NaN, infinities and 2^110 reach all of their row as NaN";
      expect(nan == (must_be_nan ? columns : 0), claim, variant, c->name);
      for (int64_t r = 0; r < rows; r++)
        if (r != row)
          expect(same(y + r * columns, c->expected + r * columns, columns), "other rows are untouched", variant,
                 c->name);
    }
  memset(x, 0, (size_t)(rows * depth) * 4);
  multiply(kernels, c, x, y, rows);
  int zero = 1;
  for (int64_t i = 0; i < rows * columns; i++) zero = zero && y[i] == (c->bias ? c->bias[i % columns] : 0.0f);
  expect(zero, "rows of zeros give zeros, or the bias", variant, c->name);
  free(x), free(y), free(expected);
}

/** The largest sums there are, of both signs: all weights at one end, all activations too. */
static void check_largest_sums(const char *variant, const MwMatMulKernels *kernels) {
  for (int form = 0; form < 12; form++) {
    MwWeights weights = {0, 0, 0, form % 3 == 2 ? 8 : 4, form % 2 ? 16 : 32, form % 3 == 1, MW_SCALE_F32};
    Case c = make_case(33, 96, weights, 0, 20);
    memset(c.weights, form / 6 ? 0xff : 0, (size_t)(33 * 96 * weights.bits / 8));
    for (int64_t i = 0; c.zero_points && i < 33 * ((c.blocks + 1) / 2); i++) c.zero_points[i] = form / 6 ? 0 : 0xff;
    for (int64_t i = 0; i < 20 * 96; i++) c.x[i] = i / 96 % 2 ? 1.0f : -1.0f;
    if (pack_columns(&c, c.data, 0, 33)) abort();
    multiply(&mw_matmul_scalar, &c, c.x, c.expected, 20);
    check_heights(variant, kernels, &c);
    free_case(&c);
  }
}

static void check_variant(const char *variant, const MwMatMulKernels *kernels) {
  Case c;
  int before = checks;
  for (int i = 0; next_case(&c, i); i++) {
    check_heights(variant, kernels, &c);
    if (c.rows <= 17 && i % 3 == 1) check_far_values(variant, kernels, &c);
    free_case(&c);
  }
  check_largest_sums(variant, kernels);
  printf("%s: %d checks\n", variant, checks - before);
}

static int report(void) {
  if (failures) printf("%d of %d checks failed\n", failures, checks);
  else printf("all %d checks hold\n", checks);
  return failures != 0;
}

#endif
