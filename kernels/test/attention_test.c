// Attention over blocks: its meaning against a plain one in double precision, its bits against the scalar variant, and
// that nothing of a row's result depends on the batch, the cut of its prompt, or what others wrote.
#include "../simd_scalar.h"
#include "../attention_kernel.h"
#include "../variant.h"
#include <stdio.h>
#include <stdlib.h>

enum { SEQUENCES = 4, LAYERS = 2, LAYER = 1, MOST_STEPS = 8, POSITIONS = 700 };

/** A node, and the rounds in which sequences grow: how many tokens each gets in each. */
typedef struct Case {
  const char *name;
  int heads, kv_heads, head_size, rotary_half, interleaved, window, packed;
  float scale, softcap;
  int steps[MOST_STEPS][SEQUENCES];
} Case;

static const Case cases[] = {
    {"one head of 16", 1, 1, 16, 0, 0, -1, 1, 0, 0, {{3, 1, 40, 0}, {1, 1, 1, 1}}},
    {"head of 8, groups of 3", 6, 2, 8, 0, 0, -1, 0, 0, 0, {{5, 33, 1, 2}, {31, 1, 7, 1}}},
    {"head of 24", 2, 2, 24, 8, 0, -1, 1, 0, 0, {{17, 1, 32, 40}, {1, 33, 1, 1}}},
    {"head of 32, rotary, groups of 4", 8, 2, 32, 16, 0, -1, 1, 0, 0, {{70, 1, 90, 33}, {1, 64, 1, 1}, {9, 1, 1, 50}}},
    {"head of 48, interleaved", 3, 3, 48, 24, 1, -1, 0, 0, 0, {{20, 1, 64, 11}, {1, 1, 1, 33}}},
    {"head of 64, partial rotary", 4, 1, 64, 16, 0, -1, 1, 0, 0, {{40, 1, 31, 7}, {1, 1, 2, 1}}},
    {"head of 64, partial interleaved", 2, 1, 64, 8, 1, -1, 0, 0, 0, {{13, 65, 1, 2}, {1, 1, 30, 1}}},
    {"head of 80, softcap", 2, 2, 80, 40, 0, -1, 1, 0, 3.0f, {{19, 1, 50, 2}, {2, 1, 1, 31}}},
    {"head of 96, across chunks", 2, 2, 96, 48, 0, -1, 1, 0, 0, {{270, 1, 30, 255}, {1, 64, 1, 1}, {1, 1, 260, 1}}},
    {"head of 128, scale", 4, 2, 128, 64, 0, -1, 1, 0.03f, 0, {{30, 1, 66, 5}, {1, 1, 1, 1}}},
    {"head of 256", 2, 1, 256, 32, 0, -1, 1, 0, 0, {{34, 1, 5, 1}, {1, 1, 1, 1}}},
    {"window of 1", 2, 1, 16, 8, 0, 1, 1, 0, 0, {{40, 1, 3, 33}, {1, 1, 40, 1}}},
    {"window of 5", 3, 1, 32, 0, 0, 5, 1, 0, 0, {{70, 1, 3, 33}, {1, 40, 40, 1}}},
    {"window of 32", 1, 1, 16, 8, 0, 32, 1, 0, 0, {{100, 1, 3, 33}, {1, 40, 40, 1}}},
    {"window of 200 across chunks", 2, 2, 32, 16, 0, 200, 1, 0, 0, {{300, 1, 90, 256}, {1, 230, 1, 101}}},
    {"window with softcap", 2, 1, 32, 16, 0, 20, 0, 0.2f, 30.0f, {{60, 1, 33, 2}, {1, 20, 1, 21}}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static const char *const type_names[] = {"float32", "float16", "int8"};
static const int types[] = {MW_KV_F32, MW_KV_F16, MW_KV_INT8};
/** How far from the double reference, with numbers around 1. */
static const double tolerances[] = {1e-5, 2e-3, 6e-2};

static int failures;

static void expect(int holds, const char *claim, const char *about, const char *detail) {
  if (holds) return;
  failures++;
  printf("FAIL %s: %s, %s\n", claim, about, detail);
}

static uint64_t random_state = 0x9e3779b97f4a7c15u;
static uint64_t random_bits(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}
static float random_number(void) { return (float)(int64_t)(random_bits() >> 40) * 0x1p-23f - 1.0f; }

static void *allocate(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!memory) exit(2);
  return memory;
}

/** Blocks in disorder, all NaN at first. */
typedef struct Pool {
  uint8_t *memory;
  int64_t blocks, block_bytes, layer_bytes;
  int type, order[SEQUENCES * (POSITIONS / 32 + 1)];
} Pool;

static const int table_blocks = POSITIONS / 32 + 1;

static Pool open_pool(const Case *c, int type) {
  Pool pool = {.blocks = SEQUENCES * table_blocks, .type = type};
  pool.layer_bytes = mw_layer_bytes(c->kv_heads, c->head_size, type);
  pool.block_bytes = pool.layer_bytes * LAYERS;
  pool.memory = allocate((size_t)(pool.blocks * pool.block_bytes));
  memset(pool.memory, 0xff, (size_t)(pool.blocks * pool.block_bytes));
  for (int i = 0; i < pool.blocks; i++) pool.order[i] = i;
  for (int i = (int)pool.blocks - 1; i > 0; i--) {
    int other = (int)(random_bits() % (uint64_t)(i + 1)), kept = pool.order[i];
    pool.order[i] = pool.order[other];
    pool.order[other] = kept;
  }
  return pool;
}

/** What the node gets for whole sequences: [SEQUENCES][POSITIONS][heads + 2 * kv_heads][head_size]. */
typedef struct Data {
  int64_t stride; // of a token
  float *tokens, *cosines, *sines;
} Data;

static Data make_data(const Case *c) {
  Data data = {.stride = (int64_t)(c->heads + 2 * c->kv_heads) * c->head_size};
  size_t count = (size_t)(SEQUENCES * POSITIONS * data.stride);
  data.tokens = allocate(count * sizeof(float));
  for (size_t i = 0; i < count; i++) data.tokens[i] = random_number() * 2;
  size_t angles = (size_t)(POSITIONS * c->rotary_half);
  data.cosines = allocate(angles * sizeof(float) + 1);
  data.sines = allocate(angles * sizeof(float) + 1);
  for (int p = 0; p < POSITIONS; p++)
    for (int i = 0; i < c->rotary_half; i++) {
      double angle = p * pow(10000, -(double)i / c->rotary_half);
      data.cosines[p * c->rotary_half + i] = (float)cos(angle);
      data.sines[p * c->rotary_half + i] = (float)sin(angle);
    }
  return data;
}

static void free_data(Data *data) {
  free(data->tokens);
  free(data->cosines);
  free(data->sines);
}

static float *token_of(const Data *data, int sequence, int position) {
  return data->tokens + ((int64_t)sequence * POSITIONS + position) * data->stride;
}

static MwAttention node_of(const Case *c, const Data *data) {
  return (MwAttention){
      .heads = c->heads,
      .kv_heads = c->kv_heads,
      .head_size = c->head_size,
      .layer = LAYER,
      .window = c->window,
      .rotary_half = c->rotary_half,
      .interleaved = c->interleaved,
      .scale = c->scale != 0 ? c->scale : 1.0f / sqrtf((float)c->head_size),
      .softcap = c->softcap,
      .cosines = data->cosines,
      .sines = data->sines,
      .positions = POSITIONS,
  };
}

/** Part of a batch: tokens of one sequence. */
typedef struct Piece {
  int sequence, position, count;
} Piece;

/** meta for some pieces. @return how many numbers it has */
static int64_t make_meta(int64_t *meta, const Pool *pool, const Piece *pieces, int count) {
  int64_t header[MW_META_HEADER] = {1, (int64_t)(intptr_t)pool->memory, pool->blocks, pool->block_bytes,
                                    pool->layer_bytes, pool->type, count, 0};
  memcpy(meta, header, sizeof header);
  int64_t next = 0, end = MW_META_HEADER + count * MW_META_RUN;
  for (int i = 0; i < count; i++) {
    int64_t run[MW_META_RUN] = {next, pieces[i].count, pieces[i].position, end};
    memcpy(meta + MW_META_HEADER + i * MW_META_RUN, run, sizeof run);
    for (int b = 0; b * MW_BLOCK_TOKENS < pieces[i].position + pieces[i].count; b++)
      meta[end++] = pool->order[pieces[i].sequence * table_blocks + b];
    next += pieces[i].count;
  }
  return end;
}

/** Runs the pieces as one batch; outputs is [SEQUENCES][POSITIONS][heads * head_size]. */
static void run_batch(const MwAttentionKernels *kernels, const Case *c, const Data *data, const Pool *pool,
                      const Piece *pieces, int count, float *outputs) {
  static int64_t meta[MW_META_HEADER + SEQUENCES * (MW_META_RUN + POSITIONS / 32 + 1)];
  int64_t width = (int64_t)c->heads * c->head_size, kv_width = (int64_t)c->kv_heads * c->head_size, tokens = 0;
  for (int i = 0; i < count; i++) tokens += pieces[i].count;
  float *input = allocate((size_t)(tokens * data->stride) * sizeof(float));
  float *output = allocate((size_t)(tokens * width) * sizeof(float));
  MwAttention call = node_of(c, data);
  call.query = input;
  call.key = c->packed ? input + width : input + tokens * width;
  call.value = c->packed ? call.key + kv_width : call.key + tokens * kv_width;
  call.query_stride = c->packed ? data->stride : width;
  call.kv_stride = c->packed ? data->stride : kv_width;
  int64_t t = 0;
  for (int i = 0; i < count; i++)
    for (int k = 0; k < pieces[i].count; k++, t++) {
      const float *token = token_of(data, pieces[i].sequence, pieces[i].position + k);
      memcpy((float *)call.query + t * call.query_stride, token, (size_t)width * sizeof(float));
      memcpy((float *)call.key + t * call.kv_stride, token + width, (size_t)kv_width * sizeof(float));
      memcpy((float *)call.value + t * call.kv_stride, token + width + kv_width, (size_t)kv_width * sizeof(float));
    }
  char why[256];
  int64_t length = make_meta(meta, pool, pieces, count);
  expect(mw_attention_meta_ok(&call, meta, length, tokens, why, sizeof why), "meta is believed", c->name, why);
  call.meta = meta;
  call.output = output;
  for (int run = 0; run < count; run++)
    for (int head = 0; head < c->kv_heads; head++) {
      kernels->write(&call, run, head);
      kernels->attend(&call, run, head);
    }
  t = 0;
  for (int i = 0; i < count; i++) {
    float *to = outputs + ((int64_t)pieces[i].sequence * POSITIONS + pieces[i].position) * width;
    memcpy(to, output + t * width, (size_t)(pieces[i].count * width) * sizeof(float));
    t += pieces[i].count;
  }
  free(input);
  free(output);
}

/** How a case's tokens are dealt into batches. */
typedef enum Dealing { AS_WRITTEN, ONE_BY_ONE, IN_PIECES_OF_7 } Dealing;

/** All rounds of a case. @return outputs, zero where no token was */
static float *run_case(const MwAttentionKernels *kernels, const Case *c, const Data *data, int type, Dealing dealing) {
  size_t bytes = (size_t)SEQUENCES * POSITIONS * (size_t)(c->heads * c->head_size) * sizeof(float);
  float *outputs = allocate(bytes);
  memset(outputs, 0, bytes);
  Pool pool = open_pool(c, type);
  int lengths[SEQUENCES] = {0};
  for (int step = 0; step < MOST_STEPS; step++) {
    Piece pieces[SEQUENCES];
    int count = 0;
    for (int s = 0; s < SEQUENCES; s++) {
      int tokens = c->steps[step][s], most = dealing == ONE_BY_ONE ? 1 : 7;
      if (tokens == 0) continue;
      if (dealing == AS_WRITTEN) pieces[count++] = (Piece){s, lengths[s], tokens};
      else
        for (int done = 0; done < tokens; done += most) {
          Piece piece = {s, lengths[s] + done, tokens - done < most ? tokens - done : most};
          run_batch(kernels, c, data, &pool, &piece, 1, outputs);
        }
      lengths[s] += tokens;
    }
    if (count) run_batch(kernels, c, data, &pool, pieces, count, outputs);
  }
  free(pool.memory);
  return outputs;
}

static int length_of(const Case *c, int sequence) {
  int length = 0;
  for (int step = 0; step < MOST_STEPS; step++) length += c->steps[step][sequence];
  return length;
}

/** A head of a token after rotation, in double precision. */
static void rotated(double *to, const float *from, const Case *c, const Data *data, int position) {
  int half = c->rotary_half;
  for (int i = 0; i < c->head_size; i++) to[i] = from[i];
  for (int i = 0; i < half; i++) {
    int a = c->interleaved ? 2 * i : i, b = c->interleaved ? 2 * i + 1 : half + i;
    double cosine = data->cosines[position * half + i], sine = data->sines[position * half + i];
    to[a] = from[a] * cosine - from[b] * sine;
    to[b] = from[a] * sine + from[b] * cosine;
  }
}

/** One row as the definition says it. */
static void plain_row(double *output, const Case *c, const Data *data, int sequence, int position, int head) {
  double query[256], key[256], weights[POSITIONS], highest = -1e300, total = 0;
  int kv_head = head / (c->heads / c->kv_heads), size = c->head_size;
  int first = c->window > 0 && position >= c->window ? position - c->window + 1 : 0;
  double scale = c->scale != 0 ? c->scale : 1 / sqrt(size);
  rotated(query, token_of(data, sequence, position) + head * size, c, data, position);
  for (int t = first; t <= position; t++) {
    double score = 0;
    rotated(key, token_of(data, sequence, t) + (c->heads + kv_head) * size, c, data, t);
    for (int i = 0; i < size; i++) score += query[i] * key[i];
    score *= scale;
    if (c->softcap > 0) score = c->softcap * tanh(score / c->softcap);
    weights[t] = score;
    if (score > highest) highest = score;
  }
  for (int i = 0; i < size; i++) output[i] = 0;
  for (int t = first; t <= position; t++) total += weights[t] = exp(weights[t] - highest);
  for (int t = first; t <= position; t++) {
    const float *value = token_of(data, sequence, t) + (c->heads + c->kv_heads + kv_head) * size;
    for (int i = 0; i < size; i++) output[i] += weights[t] / total * value[i];
  }
}

/** The largest distance of a case's outputs from the definition, over some rows of each sequence. */
static double distance(const Case *c, const Data *data, const float *outputs) {
  double worst = 0, expected[256];
  for (int s = 0; s < SEQUENCES; s++)
    for (int p = 0, length = length_of(c, s); p < length; p += p < 40 || p > length - 4 ? 1 : 13)
      for (int h = 0; h < c->heads; h++) {
        const float *row = outputs + (((int64_t)s * POSITIONS + p) * c->heads + h) * c->head_size;
        plain_row(expected, c, data, s, p, h);
        for (int i = 0; i < c->head_size; i++) {
          double error = fabs(expected[i] - row[i]);
          if (!(error <= worst)) worst = error; // NaN too
        }
      }
  return worst;
}

static int64_t different(const Case *c, const float *a, const float *b) {
  int64_t count = (int64_t)SEQUENCES * POSITIONS * c->heads * c->head_size, found = 0;
  for (int64_t i = 0; i < count; i++) found += bits_of(a[i]) != bits_of(b[i]);
  return found;
}

/** The scalar variant, compiled with this file. */
static const MwAttentionKernels scalar = {write_run, attend_run};

static void test_cases(void) {
  double worst[3] = {0};
  char detail[128];
  for (int i = 0; i < CASES; i++) {
    const Case *c = &cases[i];
    Data data = make_data(c);
    for (int type = 0; type < 3; type++) {
      float *expected = run_case(&scalar, c, &data, types[type], AS_WRITTEN);
      double error = distance(c, &data, expected);
      if (!(error <= worst[type])) worst[type] = error;
      snprintf(detail, sizeof detail, "%s: off by %.2e", type_names[type], error);
      expect(error <= tolerances[type], "close to the definition", c->name, detail);
      for (size_t v = 0; mw_variant_at(v); v++)
        for (Dealing dealing = AS_WRITTEN; dealing <= IN_PIECES_OF_7; dealing++) {
          const MwVariant *variant = mw_variant_at(v);
          float *outputs = run_case(variant->attention, c, &data, types[type], dealing);
          int64_t count = different(c, expected, outputs);
          snprintf(detail, sizeof detail, "%s, %s, dealing %d: %lld differ", variant->name, type_names[type],
                   (int)dealing, (long long)count);
          expect(count == 0, "same bits in every variant, batch and cut", c->name, detail);
          free(outputs);
        }
      free(expected);
    }
    free_data(&data);
  }
  printf("%d cases, 3 types: off by %.1e, %.1e, %.1e from the definition; ", CASES, worst[0], worst[1], worst[2]);
  printf("variants");
  for (size_t v = 0; mw_variant_at(v); v++) printf(" %s", mw_variant_at(v)->name);
  printf(" give the same bits in any batch\n");
}

/** Whether a row and head of the outputs is equal in both. */
static int same_row(const Case *c, const float *a, const float *b, int sequence, int position) {
  int64_t width = (int64_t)c->heads * c->head_size, offset = ((int64_t)sequence * POSITIONS + position) * width;
  return memcmp(a + offset, b + offset, (size_t)width * sizeof(float)) == 0;
}

static int row_has_number(const Case *c, const float *a, int sequence, int position, int number) {
  for (int h = 0; h < c->heads; h++)
    if (isfinite(a[(((int64_t)sequence * POSITIONS + position) * c->heads + h) * c->head_size + number])) return 1;
  return 0;
}

/** One number of sequence 0's token `broken` is not finite: `part` 0 in its queries, 1 keys, 2 values. */
static void break_one(const MwVariant *variant, const Case *c, Data *data, int type, int broken, int part, float bad) {
  char detail[128];
  snprintf(detail, sizeof detail, "%s, %s, %g in part %d of token %d", variant->name, type_names[type], (double)bad,
           part, broken);
  float *sound = run_case(variant->attention, c, data, types[type], AS_WRITTEN);
  float *token = token_of(data, 0, broken), kept[8];
  int heads_before = part == 0 ? 0 : part == 1 ? c->heads : c->heads + c->kv_heads;
  int heads = part == 0 ? c->heads : c->kv_heads;
  float *first = token + heads_before * c->head_size;
  for (int h = 0; h < heads; h++) {
    kept[h] = first[h * c->head_size + 3];
    first[h * c->head_size + 3] = bad;
  }
  float *outputs = run_case(variant->attention, c, data, types[type], AS_WRITTEN);
  for (int h = 0; h < heads; h++) first[h * c->head_size + 3] = kept[h];
  int others = 1, unaware = 1, aware = 1;
  for (int s = 0; s < SEQUENCES; s++)
    for (int p = 0, length = length_of(c, s); p < length; p++) {
      int sees = s == 0 && p >= broken && (c->window < 0 || p < broken + c->window) && (part > 0 || p == broken);
      if (sees) aware &= !row_has_number(c, outputs, s, p, 3);
      else if (s == 0) unaware &= same_row(c, sound, outputs, s, p);
      else others &= same_row(c, sound, outputs, s, p);
    }
  expect(others, "what is not a number touches no other sequence", c->name, detail);
  expect(unaware, "what is not a number reaches no row that does not see its token", c->name, detail);
  expect(aware, "what is not a number is not lost", c->name, detail);
  free(sound);
  free(outputs);
}

static void test_broken_numbers(void) {
  static const Case broken[] = {
      {"broken, all seen", 4, 2, 32, 8, 0, -1, 1, 0, 0, {{40, 1, 31, 1}, {1, 30, 1, 1}, {30, 1, 1, 9}}},
      {"broken, window", 2, 2, 24, 0, 0, 6, 0, 0, 0, {{40, 1, 31, 1}, {1, 30, 1, 1}, {30, 1, 1, 9}}},
      {"broken, softcap", 1, 1, 16, 8, 0, 50, 1, 0, 5.0f, {{40, 1, 31, 1}, {1, 30, 1, 1}, {30, 1, 1, 9}}},
  };
  static const int tokens[] = {0, 13, 31, 40, 50};
  for (size_t v = 0; mw_variant_at(v); v++)
    for (int i = 0; i < 3; i++) {
      Data data = make_data(&broken[i]);
      for (int type = 0; type < 3; type++)
        for (int t = 0; t < 5; t++)
          for (int part = 0; part < 3; part++) {
            break_one(mw_variant_at(v), &broken[i], &data, type, tokens[t], part, NAN);
            if (part == 2) break_one(mw_variant_at(v), &broken[i], &data, type, tokens[t], part, INFINITY);
          }
      free_data(&data);
    }
  printf("NaN and infinity stay where they are seen\n");
}

/** One change of a sound meta. */
typedef struct Mutation {
  const char *what;
  int index;
  int64_t value;
} Mutation;

static void test_meta(void) {
  enum { LENGTH = 8 + 2 * 4 + 2 + 1, TOKENS = 4 };
  static uint8_t pool[64];
  const MwAttention node = {.heads = 4, .kv_heads = 2, .head_size = 24, .layer = 1, .window = -1, .rotary_half = 8,
                            .positions = 40};
  const int64_t layer = mw_layer_bytes(2, 24, MW_KV_F16), address = (int64_t)(intptr_t)pool / 64 * 64;
  const int64_t sound[LENGTH] = {1, address, 6, 2 * layer, layer, MW_KV_F16, 2, 0,
                                 /* runs */ 0, 3, 30, 16, 3, 1, 0, 18, /* tables */ 5, 0, 4};
  const Mutation mutations[] = {
      {"version", 0, 2},
      {"version", 0, 0},
      {"no address", 1, 0},
      {"crooked address", 1, address + 4},
      {"address at the end of the numbers", 1, INT64_MAX - 63},
      {"negative address", 1, -64},
      {"no blocks", 2, 0},
      {"negative blocks", 2, -1},
      {"more blocks than memory", 2, INT64_MAX / 2},
      {"a block without that layer", 3, layer},
      {"a block of no bytes", 3, 0},
      {"a block of negative bytes", 3, -2 * layer},
      {"a crooked block", 3, 2 * layer + 8},
      {"another layer size", 4, layer / 2},
      {"a layer of no bytes", 4, 0},
      {"another type's layer size", 5, MW_KV_F32},
      {"unknown type", 5, 3},
      {"unknown type", 5, -1},
      {"type beyond 32 bits", 5, ((int64_t)1 << 32) + 1},
      {"negative runs", 6, -1},
      {"more runs than numbers", 6, 3},
      {"far more runs than numbers", 6, INT64_MAX},
      {"fewer runs than tokens", 6, 1},
      {"spare number", 7, 1},
      {"first run does not begin at 0", 8, 1},
      {"negative token", 8, -1},
      {"empty run", 9, 0},
      {"negative run", 9, -3},
      {"run over the end", 9, 5},
      {"run far over the end", 9, INT64_MAX},
      {"negative position", 10, -1},
      {"last position beyond the rotary table", 10, 38},
      {"position beyond all numbers", 10, INT64_MAX - 1},
      {"table in the header", 11, 7},
      {"table in the runs", 11, 15},
      {"table over the end", 11, 18},
      {"table beyond the end", 11, INT64_MAX},
      {"negative table", 11, -16},
      {"gap between runs", 12, 4},
      {"runs that overlap", 12, 2},
      {"second run too long", 13, 2},
      {"block that is not", 16, 6},
      {"negative block", 17, -1},
      {"block beyond all numbers", 18, INT64_MAX},
  };
  char why[256] = "";
  expect(mw_attention_meta_ok(&node, sound, LENGTH, TOKENS, why, sizeof why), "a sound meta is believed", "", why);
  size_t count = sizeof mutations / sizeof mutations[0];
  for (size_t i = 0; i < count; i++) {
    int64_t meta[LENGTH];
    memcpy(meta, sound, sizeof meta);
    meta[mutations[i].index] = mutations[i].value;
    why[0] = 0;
    int ok = mw_attention_meta_ok(&node, meta, LENGTH, TOKENS, why, sizeof why);
    expect(!ok && why[0], "meta is refused with a reason", mutations[i].what, why);
  }
  for (int64_t length = 0; length < LENGTH; length++) { // in memory of just that size: ASan sees a read beyond it
    int64_t *meta = malloc((size_t)length * sizeof *meta + 1);
    if (!meta) exit(2);
    memcpy(meta, sound, (size_t)length * sizeof *meta);
    expect(!mw_attention_meta_ok(&node, meta, length, TOKENS, why, sizeof why), "cut meta is refused", "", why);
    free(meta);
  }
  for (int64_t tokens = 0; tokens < 8; tokens++) {
    int ok = mw_attention_meta_ok(&node, sound, LENGTH, tokens, why, sizeof why);
    expect(ok == (tokens == TOKENS), "runs cover the batch exactly", "", why);
  }
  MwAttention other = node;
  other.layer = 2;
  expect(!mw_attention_meta_ok(&other, sound, LENGTH, TOKENS, why, sizeof why), "no such layer", "", why);
  other = node, other.kv_heads = 4;
  expect(!mw_attention_meta_ok(&other, sound, LENGTH, TOKENS, why, sizeof why), "other heads", "", why);
  other = node, other.rotary_half = 0, other.positions = 0;
  expect(mw_attention_meta_ok(&other, sound, LENGTH, TOKENS, why, sizeof why), "no rotary, no limit", "", why);
  printf("meta: %zu changes and every shorter length refused\n", count);
}

static void test_layer_bytes(void) {
  expect(mw_layer_bytes(32, 96, MW_KV_F32) == 32 * 2 * 32 * 96 * 4, "bytes of a layer", "", "float32");
  expect(mw_layer_bytes(32, 96, MW_KV_F16) == 32 * 2 * 32 * 96 * 2, "bytes of a layer", "", "float16");
  expect(mw_layer_bytes(8, 128, MW_KV_INT8) == 8 * 2 * 32 * (128 + 4), "bytes of a layer", "", "int8");
  expect(mw_layer_bytes(1, 24, MW_KV_F16) == 2 * 32 * 32 * 2, "bytes of a layer", "", "padded head");
  static const int64_t bad[][3] = {{0, 64, 1}, {-1, 64, 1}, {65537, 64, 1}, {INT64_MAX, 64, 1},
                                   {1, 0, 1},  {1, -8, 1},  {1, 12, 1},     {1, 264, 1},
                                   {1, 64, 3}, {1, 64, -1}, {1, INT64_MAX - 7, 1}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    expect(mw_layer_bytes(bad[i][0], bad[i][1], (int)bad[i][2]) == -1, "not supported", "", "layer bytes");
}

/** Every float16 there is, and what lies between two of them. */
static void test_halves(void) {
  int ok = 1;
  for (unsigned bits = 0; bits < 0x7c00; bits++) {
    int exponent = (int)(bits >> 10), fraction = bits & 0x3ff;
    double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    double next = ldexp(exponent ? 1024 + fraction + 1 : fraction + 1, exponent ? exponent - 25 : -24);
    float middle = (float)((value + next) / 2); // exact
    unsigned even = bits % 2 ? bits + 1 : bits;
    ok &= float_of_half((uint16_t)bits) == (float)value && float_of_half((uint16_t)(bits | 0x8000)) == (float)-value;
    ok &= half_of_float((float)value) == bits && half_of_float((float)-value) == (bits | 0x8000);
    ok &= half_of_float(middle) == even && half_of_float(-middle) == (even | 0x8000);
    ok &= half_of_float(nextafterf(middle, 0)) == bits && half_of_float(nextafterf(middle, INFINITY)) == bits + 1;
  }
  ok &= half_of_float(INFINITY) == 0x7c00 && half_of_float(-INFINITY) == 0xfc00 && half_of_float(1e30f) == 0x7c00;
  ok &= half_of_float(1e-30f) == 0 && half_of_float(-1e-30f) == 0x8000;
  ok &= isnan(float_of_half(half_of_float(NAN))) && isinf(float_of_half(0x7c00)) && isnan(float_of_half(0x7c01));
  expect(ok, "float16 is to nearest even", "", "");
}

/** The product and sum that are rounded once, against the C library's: numbers of all sizes, and near half a bit. */
static void test_fused(void) {
  int64_t wrong = 0;
  for (int i = 0; i < 400000; i++) {
    float a = float_of((uint32_t)random_bits()), b = float_of((uint32_t)random_bits());
    float c = float_of((uint32_t)random_bits());
    if (i % 2) { // of like size, with few bits: sums fall halfway between floats
      a = (float)(random_bits() % 8192) * 0x1p-6f;
      b = (float)(random_bits() % 8192) * 0x1p-30f;
      c = (float)(random_bits() % 16777216) * (i % 4 == 1 ? 1.0f : -1.0f);
    }
    float got = fused(a, b, c), expected = fmaf(a, b, c);
    wrong += bits_of(got) != bits_of(expected) && !(isnan(got) && isnan(expected));
  }
  // The product is a half and 2^-36 more or less: too little for a double beside c, enough to decide the rounding.
  for (float c = 8388608; c < 8388624; c++) {
    wrong += fused(398739, 86171 * 0x1p-36f, c) != c + 1 || fused(279527, 122921 * 0x1p-36f, c) != c;
    wrong += fused(-398739, 86171 * 0x1p-36f, -c) != -c - 1 || fused(-279527, 122921 * 0x1p-36f, -c) != -c;
  }
  expect(wrong == 0, "a product and a sum are rounded once", "", "");
}

static void test_functions(void) {
  double worst_power = 0, worst_tangent = 0;
  for (int i = 0; i < 20000; i++) {
    float x = -(float)i * 0.00434f, y = (float)(i - 10000) * 0.001f;
    double power = exponential(lanes_all(x)).at[0], tangent = hyperbolic_tangent(lanes_all(y)).at[0];
    worst_power = fmax(worst_power, fabs(power / exp(x) - 1));
    if (y != 0) worst_tangent = fmax(worst_tangent, fabs(tangent / tanh(y) - 1));
  }
  char detail[128];
  snprintf(detail, sizeof detail, "exp off by %.1e of itself, tanh by %.1e", worst_power, worst_tangent);
  expect(worst_power < 2e-7 && worst_tangent < 4e-7, "close to exp and tanh", "", detail);
  expect(exponential(lanes_all(0)).at[0] == 1 && exponential(lanes_all(-0.0f)).at[0] == 1, "exp of 0 is 1", "", "");
  expect(bits_of(exponential(lanes_all(-87.1f)).at[0]) == 0, "exp is 0 below -87", "", "");
  expect(bits_of(exponential(lanes_all(-INFINITY)).at[0]) == 0, "exp of -infinity is 0", "", "");
  expect(isnan(exponential(lanes_all(NAN)).at[0]), "exp of NaN is NaN", "", "");
  expect(isnan(hyperbolic_tangent(lanes_all(NAN)).at[0]), "tanh of NaN is NaN", "", "");
  expect(hyperbolic_tangent(lanes_all(INFINITY)).at[0] == 1, "tanh of infinity is 1", "", "");
  expect(hyperbolic_tangent(lanes_all(-INFINITY)).at[0] == -1, "tanh of -infinity is -1", "", "");
  printf("%s\n", detail);
}

int main(void) {
  test_halves();
  test_fused();
  test_functions();
  test_layer_bytes();
  test_meta();
  test_broken_numbers();
  test_cases();
  printf(failures ? "%d failures\n" : "attention holds\n", failures);
  return failures != 0;
}
