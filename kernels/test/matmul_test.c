// Holds every variant of the product that this processor runs against the plain C, bit for bit, and the plain C and the
// packing against the definition.
#include "matmul_cases.h"
#include "variant.h"
#include <pthread.h>

static int source_weight(const Case *c, int64_t column, int64_t k) {
  const MwWeights *w = &c->packed;
  int64_t at = column * c->blocks * w->block + k;
  if (w->bits == 8) return c->weights[at] - 128;
  int64_t b = k / w->block;
  int zero = c->zero_points ? c->zero_points[column * ((c->blocks + 1) / 2) + b / 2] >> (b % 2 * 4) & 15 : 8;
  return (c->weights[at / 2] >> (at % 2 * 4) & 15) - zero;
}

/** The integer that stands for x[k], and its scale. */
static int quantised(const Case *c, const float *x, int64_t k, float *scale) {
  int unit = c->packed.block == 16 ? 16 : 32;
  float most = 0;
  int64_t first = k / unit * unit, end = first + unit < c->packed.depth ? first + unit : c->packed.depth;
  for (int64_t i = first; i < end; i++) most = fmaxf(most, fabsf(x[i]));
  *scale = most / 127.0f;
  uint32_t bits;
  memcpy(&bits, scale, 4);
  bits &= ~3u;
  memcpy(scale, &bits, 4);
  return *scale > 0 ? (int)rintf(x[k] * (1.0f / *scale)) : 0;
}

static void check_definition(const Case *c) {
  int good = 1;
  for (int64_t r = 0; r < c->rows; r += 5)
    for (int64_t n = 0; n < c->packed.columns; n++) {
      double sum = c->bias ? c->bias[n] : 0, size = fabs(sum);
      for (int64_t k = 0; k < c->packed.depth; k++) {
        float scale;
        int a = quantised(c, c->x + r * c->packed.depth, k, &scale);
        double term = (double)a * scale * source_weight(c, n, k) * c->scales[n * c->blocks + k / c->packed.block];
        sum += term, size += fabs(term);
      }
      good = good && fabs(sum - c->expected[r * c->packed.columns + n]) <= 1e-6 * size;
    }
  expect(good, "the plain C is the sum of the quantised products", "scalar", c->name);
}

static void check_pieces(const Case *c) {
  const MwWeights *w = &c->packed;
  int64_t bytes = mw_packed_bytes(w->columns, w->depth, w->bits, w->block, w->zero_points, w->scale_type);
  uint8_t *out = zeros(bytes, 1);
  for (int64_t last = w->columns; last > 0; last = (last - 1) / 32 * 32)
    expect(pack_columns(c, out, (last - 1) / 32 * 32, last) == 0, "packs a panel", "packing", c->name);
  expect(memcmp(out, c->data, (size_t)bytes) == 0, "packed in pieces as at once", "packing", c->name);
  for (int64_t n = 0; n < w->columns; n++) // what the sources hold beyond K
    for (int64_t k = w->depth; k < c->blocks * w->block; k++) {
      int64_t at = n * c->blocks * w->block + k;
      c->weights[at * w->bits / 8] ^= (uint8_t)(w->bits == 8 ? 0x5a : at % 2 ? 0x50 : 0x05);
    }
  expect(pack_columns(c, out, 0, w->columns) == 0, "packs", "packing", c->name);
  expect(memcmp(out, c->data, (size_t)bytes) == 0, "values beyond K do not reach the packed bytes", "packing", c->name);
  expect(pack_columns(c, out, 1, w->columns) == -1, "a first column within a panel is refused", "packing", c->name);
  expect(pack_columns(c, out, 0, w->columns + 1) == -1, "columns beyond the matrix are refused", "packing", c->name);
  int refused = w->columns < 33 || pack_columns(c, out, 0, 31) == -1;
  expect(refused, "a last column within a panel is refused", "packing", c->name);
  free(out);
}

static void check_scale_types(void) {
  const struct { float value; int type; } known[] = {
      {0, MW_SCALE_F16}, {-0.0f, MW_SCALE_F16}, {1, MW_SCALE_F16}, {65504, MW_SCALE_F16}, {0x1p-24f, MW_SCALE_F16},
      {0x1.004p0f, MW_SCALE_F16}, {0x3p-24f, MW_SCALE_F16}, {0x1.ff8p-15f, MW_SCALE_F16},
      {65536, MW_SCALE_BF16}, {0x1p-25f, MW_SCALE_BF16}, {-0x1.fep-20f, MW_SCALE_BF16}, {3e38f, MW_SCALE_F32},
      {0x1.01p20f, MW_SCALE_F32}, {0x1.02p20f, MW_SCALE_BF16},
      {0x1.002p0f, MW_SCALE_F32}, {0x1.ffcp-15f, MW_SCALE_F32}, {65520, MW_SCALE_F32}, {0.1f, MW_SCALE_F32},
      {NAN, MW_SCALE_F32}, {INFINITY, MW_SCALE_F32}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    char detail[40];
    snprintf(detail, sizeof detail, "%a", (double)known[i].value);
    expect(mw_scale_type(&known[i].value, 1) == known[i].type, "the smallest exact type of a scale", "packing", detail);
    uint8_t weights[16] = {0}, *out = zeros(mw_packed_bytes(1, 32, 4, 32, 0, MW_SCALE_F16), 1);
    int packed = mw_pack(out, weights, &known[i].value, 0, 1, 32, 4, 32, MW_SCALE_F16, 0, 1);
    int fits = known[i].type == MW_SCALE_F16;
    expect((packed == 0) == fits, "a scale that f16 does not hold is refused", "packing", detail);
    free(out);
  }
  float mixed[] = {0x1.004p0f, 0x1p-30f};
  expect(mw_scale_type(mixed, 2) == MW_SCALE_F32, "one type must hold all scales", "packing", "1.004p0 and 1p-30");
}

/** Every finite f16 and bf16. */
static void check_widening(const char *variant, const MwMatMulKernels *kernels) {
  for (int type = MW_SCALE_F16; type <= MW_SCALE_BF16; type++) {
    uint16_t halves[32];
    float got[32], expected[32];
    int good = 1;
    for (uint32_t first = 0; first < 65536; first += 32) {
      for (uint32_t i = 0; i < 32; i++) halves[i] = (uint16_t)(first + i);
      uint32_t exponent = type == MW_SCALE_F16 ? 0x7c00 : 0x7f80;
      if ((first & exponent) == exponent) continue;
      kernels->widen_scales(got, (const uint8_t *)halves, 32, type);
      for (uint32_t i = 0; i < 32; i++) {
        int e = (int)(halves[i] >> 10 & 31), fraction = halves[i] & 1023;
        float value = e ? ldexpf((float)(1024 + fraction), e - 25) : ldexpf((float)fraction, -24);
        uint32_t bits = (uint32_t)halves[i] << 16;
        if (type == MW_SCALE_F16) expected[i] = halves[i] & 0x8000 ? -value : value;
        else memcpy(&expected[i], &bits, 4);
      }
      good = good && memcmp(got, expected, sizeof got) == 0;
    }
    expect(good, "16-bit scales become the floats that they are", variant, type == MW_SCALE_F16 ? "f16" : "bf16");
  }
}

static void check_unsupported(void) {
  // columns, depth, bits, block, zero points, scale type
  const int64_t forms[][6] = {{0, 32, 4, 32, 0, 0},   {-1, 32, 4, 32, 0, 0},        {32, 0, 4, 32, 0, 0},
                              {32, 32, 2, 32, 0, 0},  {32, 32, 4, 8, 0, 0},         {32, 32, 4, 48, 0, 0},
                              {32, 32, 4, 256, 0, 0}, {32, 32, 8, 32, 1, 0},        {32, 32, 4, 32, 0, 3},
                              {32, 32, 4, 32, 0, -1}, {32, 32, 16, 32, 0, 0},       {1LL << 40, 32, 4, 32, 0, 0},
                              {32, 1LL << 40, 4, 32, 0, 0}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const int64_t *f = forms[i];
    char detail[80];
    snprintf(detail, sizeof detail, "form %d", (int)i);
    int64_t bytes = mw_packed_bytes(f[0], f[1], (int)f[2], (int)f[3], (int)f[4], (int)f[5]);
    expect(bytes == -1, "unsupported forms are refused", "packing", detail);
  }
}

static int refusing(void *pool, void (*task)(void *user, size_t index), size_t count, void *user) {
  (void)pool, (void)task, (void)count, (void)user;
  return 1;
}

static void check_refusals(const Case *c) {
  float y[4] = {5, 5, 5, 5};
  const MwMatMulKernels *kernels = mw_variant_in_use()->matmul;
  MwProduct none = {&c->packed, 0, c->x, y, 0}, some = {&c->packed, 0, c->x, y, 1};
  expect(mw_matmul(kernels, &none, refusing, 0) == MW_OK && y[0] == 5, "no rows: nothing is done", "product", c->name);
  expect(mw_matmul(kernels, &some, refusing, 0) == MW_NOT_RUN, "threads that do not run are told", "product", c->name);
  MwWeights odd = c->packed;
  odd.bits = 5;
  some.weights = &odd;
  expect(mw_matmul(kernels, &some, serial, 0) == MW_UNSUPPORTED, "an unsupported form is told", "product", c->name);
}

/** Products that run at the same time share the room for quantised rows, or take others. */
static void *multiply_often(void *user) {
  const Case *c = user;
  const MwMatMulKernels *kernels = mw_variant_in_use()->matmul;
  float *y = zeros(c->rows * c->packed.columns, 4);
  intptr_t wrong = 0;
  for (int64_t i = 0; i < 200; i++) {
    int64_t rows = 1 + i * 7 % c->rows;
    multiply(kernels, c, c->x, y, rows);
    wrong += !same(y, c->expected, rows * c->packed.columns);
  }
  free(y);
  return (void *)wrong;
}

static void check_threads(Case *c) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  void *wrong;
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], 0, multiply_often, c)) abort();
  for (int i = 0; i < THREADS; i++) {
    if (pthread_join(threads[i], &wrong)) abort();
    expect(wrong == 0, "products at the same time do not disturb each other", "product", c->name);
  }
}

int main(void) {
  Case c;
  for (int i = 0; next_case(&c, i); i++) {
    check_definition(&c);
    if (i == 8) check_refusals(&c), check_threads(&c);
    check_pieces(&c);
    free_case(&c);
  }
  check_scale_types();
  check_unsupported();
  printf("definition and packing: %d checks\n", checks);
  const MwVariant *variant;
  for (size_t i = 0; (variant = mw_variant_at(i)); i++) {
    check_widening(variant->name, variant->matmul);
    check_variant(variant->name, variant->matmul);
  }
  return report();
}
