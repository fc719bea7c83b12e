// Times the product alone, without ONNX Runtime, in a model's shapes: for looking at one variant while one works on it.
// The figures that documents show come from `npm run bench -- kernels`.
//   matmul_bench [variant] [threads] [rows, ...]
// Weights are read in turn from more memory than caches hold. Columns: rows, milliseconds (the fastest of some), GOP/s,
// GB/s of weights.
#include "matmul.h"
#include "variant.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS = 12, MOST_ROWS = 1024 };
static const int64_t memory = 600000000;

/** Threads that wait for work by looking for it. */
static struct Pool {
  int threads;
  void (*task)(void *user, size_t index);
  void *user;
  size_t count;
  atomic_size_t next;
  atomic_int round, done;
} pool;

static void work(void) {
  for (size_t i; (i = atomic_fetch_add(&pool.next, 1)) < pool.count;) pool.task(pool.user, i);
}

static void *helper(void *unused) {
  for (int round = 0;; round++) {
    while (atomic_load(&pool.round) == round) __builtin_ia32_pause();
    work();
    atomic_fetch_add(&pool.done, 1);
  }
  return unused;
}

static int share(void *unused, void (*task)(void *user, size_t index), size_t count, void *user) {
  (void)unused;
  pool.task = task, pool.user = user, pool.count = count;
  atomic_store(&pool.next, 0);
  atomic_store(&pool.done, 0);
  atomic_fetch_add(&pool.round, 1);
  work();
  while (atomic_load(&pool.done) < pool.threads - 1) __builtin_ia32_pause();
  return 0;
}

/** One thread is timed by its processor's time: what else runs on the machine then counts less. */
static double now(void) {
  struct timespec t;
  clock_gettime(pool.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/** Random weights; scales of about 0.01, for tiny ones would be timed as subnormal numbers. */
static void fill(uint8_t *data, const MwWeights *w, int64_t copies) {
  static const uint32_t scales[] = {0x3c23d70a, 0x211f211f, 0x3c233c23};
  MwLayout l;
  if (mw_layout(&l, w)) abort();
  uint32_t state = 1;
  for (int64_t panel = 0; panel < l.panels * copies; panel++, data += l.panel_bytes)
    for (int64_t i = 0; i < l.panel_bytes; i += 4) {
      state = state * 1664525 + 1013904223;
      memcpy(data + i, i < l.zero_points_at ? &scales[w->scale_type] : &state, 4);
    }
}

static void measure(const MwVariant *variant, MwWeights w, const int *rows, int row_counts) {
  int64_t bytes = mw_packed_bytes(w.columns, w.depth, w.bits, w.block, w.zero_points, w.scale_type);
  int64_t copies = memory / bytes;
  uint8_t *data = aligned_alloc(64, (size_t)(bytes * copies));
  float *x = malloc((size_t)(MOST_ROWS * w.depth) * 4), *y = malloc((size_t)(MOST_ROWS * w.columns) * 4);
  if (!data || !x || !y) abort();
  fill(data, &w, copies);
  for (int64_t i = 0; i < MOST_ROWS * w.depth; i++) x[i] = (float)(i % 251) - 125.0f;
  printf("N %ld K %ld bits %d block %d zero points %d scale type %d\n", (long)w.columns, (long)w.depth, w.bits, w.block,
         w.zero_points, w.scale_type);
  for (int i = 0; i < row_counts; i++) {
    MwProduct product = {&w, 0, x, y, rows[i]};
    double best = 1e9;
    for (int turn = 0; turn < (rows[i] < 64 ? 3 * TURNS : TURNS); turn++) {
      w.data = data + turn % copies * bytes;
      double start = now();
      mw_matmul(variant->matmul, &product, share, 0);
      double took = now() - start;
      if (took < best) best = took;
    }
    printf("  %4d %8.3f ms %7.0f GOP/s %6.1f GB/s\n", rows[i], best * 1e3,
           2e-9 * (double)(rows[i] * w.columns * w.depth) / best, (double)bytes / best * 1e-9);
  }
  free(data), free(x), free(y);
}

int main(int argc, char **argv) {
  int rows[32] = {1, 2, 4, 8, 16, 64, 256}, count = argc > 3 ? 0 : 7;
  for (int i = 3; i < argc && count < 32; i++) rows[count++] = atoi(argv[i]) < MOST_ROWS ? atoi(argv[i]) : MOST_ROWS;
  const MwVariant *variant = mw_variant_at(0);
  for (size_t i = 0; argc > 1 && mw_variant_at(i); i++)
    if (strcmp(mw_variant_at(i)->name, argv[1]) == 0) variant = mw_variant_at(i);
  pool.threads = argc > 2 ? atoi(argv[2]) : 2;
  for (int i = 1; i < pool.threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, 0, helper, 0)) abort();
  }
  printf("%s, %d threads\n", variant->name, pool.threads);
  static const MwWeights forms[] = {{0, 9216, 3072, 4, 32, 0, MW_SCALE_F32},  {0, 9216, 3072, 4, 32, 0, MW_SCALE_F16},
                                    {0, 3072, 8192, 4, 32, 0, MW_SCALE_BF16}, {0, 9216, 3072, 4, 128, 1, MW_SCALE_F16},
                                    {0, 9216, 3072, 4, 16, 0, MW_SCALE_F16},  {0, 9216, 3072, 8, 32, 0, MW_SCALE_F16}};
  int first = getenv("FORM") ? atoi(getenv("FORM")) : 0, last = getenv("FORM") ? first + 1 : 6;
  for (int i = first; i < last; i++) measure(variant, forms[i], rows, count);
  return 0;
}
