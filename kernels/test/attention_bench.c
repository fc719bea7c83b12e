// How fast attention is on this machine, alone: time per layer, bytes of keys and values read and float operations per
// second, for the shapes of decoding and of prompts. Not a test: built and run by hand.
//   attention_bench [variant] [threads] [part of a shape's name]
#include "../attention.h"
#include "../variant.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 16, TURNS = 9 };

typedef struct Shape {
  const char *name;
  int heads, kv_heads, head_size, sequences, context, tokens; // tokens are the last of the context
} Shape;

static const Shape shapes[] = {
    {"decode 1 at 256", 32, 32, 96, 1, 256, 1},     {"decode 1 at 2048", 32, 32, 96, 1, 2048, 1},
    {"decode 8 at 256", 32, 32, 96, 8, 256, 1},     {"decode 8 at 2048", 32, 32, 96, 8, 2048, 1},
    {"grouped 8 at 2048", 32, 8, 128, 8, 2048, 1},  {"prompt 256", 32, 32, 96, 1, 256, 256},
    {"prompt 64 at 2048", 32, 32, 96, 1, 2048, 64}, {"grouped prompt 256", 32, 8, 128, 1, 256, 256},
    {"prompt 256 of 64", 32, 8, 64, 1, 256, 256},
};

/** Threads that wait for a call, then claim its tasks one by one. */
typedef struct Team {
  pthread_barrier_t start, end;
  const MwAttentionKernels *kernels;
  const MwAttention *call; // null: leave
  atomic_long next;
  long tasks;
} Team;

static void work(Team *team) {
  for (long task; (task = atomic_fetch_add(&team->next, 1)) < team->tasks;) {
    int64_t run = task / team->call->kv_heads, head = task % team->call->kv_heads;
    team->kernels->write(team->call, run, head);
    team->kernels->attend(team->call, run, head);
  }
}

static void *member(void *user) {
  Team *team = user;
  for (;;) {
    pthread_barrier_wait(&team->start);
    if (!team->call) return 0;
    work(team);
    pthread_barrier_wait(&team->end);
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double run_call(Team *team, const MwAttention *call) {
  team->call = call;
  team->tasks = (long)(call->meta[MW_META_RUNS] * call->kv_heads);
  atomic_store(&team->next, 0);
  double begin = now();
  pthread_barrier_wait(&team->start);
  work(team);
  pthread_barrier_wait(&team->end);
  return now() - begin;
}

static float *random_floats(size_t count) {
  float *numbers = malloc(count * sizeof(float));
  uint32_t state = 1;
  for (size_t i = 0; i < count; i++) {
    state = state * 1664525 + 1013904223;
    numbers[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
  }
  return numbers;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/** meta of a shape; each sequence's blocks lie scattered over the pool. */
static int64_t *make_meta(const Shape *s, uint8_t *pool, int64_t layer_bytes, int layers, int type) {
  int64_t each = (s->context + MW_BLOCK_TOKENS - 1) / MW_BLOCK_TOKENS, blocks = each * s->sequences;
  int64_t *meta = calloc((size_t)(MW_META_HEADER + s->sequences * MW_META_RUN + blocks), sizeof *meta);
  int64_t header[] = {1, (int64_t)(intptr_t)pool, blocks, layer_bytes * layers, layer_bytes, type, s->sequences, 0};
  memcpy(meta, header, sizeof header);
  for (int64_t i = 0; i < s->sequences; i++) {
    int64_t table = MW_META_HEADER + s->sequences * MW_META_RUN + i * each;
    int64_t run[] = {i * s->tokens, s->tokens, s->context - s->tokens, table};
    memcpy(meta + MW_META_HEADER + i * MW_META_RUN, run, sizeof run);
    for (int64_t b = 0; b < each; b++) meta[table + b] = (b * s->sequences + i) * 7 % blocks; // 7 divides no shape's
  }
  return meta;
}

static void bench(Team *team, const Shape *s, int type, int threads) {
  int64_t layer_bytes = mw_layer_bytes(s->kv_heads, s->head_size, type);
  int64_t blocks = (s->context + MW_BLOCK_TOKENS - 1) / MW_BLOCK_TOKENS * s->sequences;
  // Layers in turn, so that what is read is not in a cache.
  int layers = (int)(600000000 / (layer_bytes * blocks)) + 1;
  if (layers > TURNS) layers = TURNS;
  size_t bytes = (size_t)(layer_bytes * blocks * layers);
  uint8_t *pool = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  memset(pool, 0x11, bytes);
  int64_t stride = (s->heads + 2 * s->kv_heads) * s->head_size, tokens = (int64_t)s->sequences * s->tokens;
  float *input = random_floats((size_t)(tokens * stride)), *tables = random_floats((size_t)(s->context * s->head_size));
  float *output = malloc((size_t)(tokens * s->heads * s->head_size) * sizeof(float));
  int64_t *meta = make_meta(s, pool, layer_bytes, layers, type);
  MwAttention call = {.heads = s->heads, .kv_heads = s->kv_heads, .head_size = s->head_size, .window = -1,
                      .rotary_half = s->head_size / 2, .scale = 0.1f, .query = input, .query_stride = stride,
                      .key = input + s->heads * s->head_size, .kv_stride = stride,
                      .value = input + (s->heads + s->kv_heads) * s->head_size, .cosines = tables,
                      .sines = tables + s->context * s->head_size / 2, .positions = s->context, .meta = meta,
                      .output = output};
  double times[TURNS];
  for (int turn = -layers; turn < TURNS; turn++) { // the first of each layer is not counted
    call.layer = (turn + layers) % layers;
    double time = run_call(team, &call);
    if (turn >= 0) times[turn] = time;
  }
  qsort(times, TURNS, sizeof times[0], by_size);
  double time = times[TURNS / 2], seen = (double)s->context - (s->tokens - 1) / 2.0;
  double operations = 4.0 * s->heads * s->head_size * (double)tokens * seen;
  static const char *const names[] = {"f32", "f16", "int8"};
  printf("%-20s %-5s %d threads %8.3f ms (best %.3f) %6.1f GB/s %6.1f GFLOP/s\n", s->name, names[type], threads,
         time * 1e3, times[0] * 1e3, (double)(layer_bytes * blocks) / time * 1e-9, operations / time * 1e-9);
  free(pool), free(input), free(tables), free(output), free(meta);
}

int main(int count, char **arguments) {
  const MwVariant *variant = mw_variant_at(0);
  int threads = count > 2 ? atoi(arguments[2]) : 2;
  for (size_t i = 0; count > 1 && mw_variant_at(i); i++)
    if (strcmp(mw_variant_at(i)->name, arguments[1]) == 0) variant = mw_variant_at(i);
  if (threads < 1 || threads > MOST_THREADS) return 2;
  Team team = {.kernels = variant->attention};
  pthread_t members[MOST_THREADS];
  pthread_barrier_init(&team.start, 0, (unsigned)threads);
  pthread_barrier_init(&team.end, 0, (unsigned)threads);
  for (int i = 1; i < threads; i++) pthread_create(&members[i], 0, member, &team);
  printf("%s\n", variant->name);
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    for (int type = MW_KV_F32; type <= MW_KV_INT8; type++)
      if (count <= 3 || strstr(shapes[i].name, arguments[3])) bench(&team, &shapes[i], type, threads);
  team.call = 0;
  pthread_barrier_wait(&team.start);
  for (int i = 1; i < threads; i++) pthread_join(members[i], 0);
  return 0;
}
