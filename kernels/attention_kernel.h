// The kernels of attention, written once over sixteen floats at a time: each attention_*.c includes a simd_*.h, then
// this.
//
// The order of the operations is fixed, whatever the tile and the batch, so that equal rows give equal bits:
//   score of (row, token)   one fma after another over the head, from the first number to the last
//   softmax                 online, in chunks of 256 tokens that begin at multiples of 256 positions; sums in 16 lanes
//                           (token modulo 16), then the lanes in one tree
//   output of (row, number) one fma after another over the tokens that the row sees, in their order
// Tokens that a row does not see take no part in its numbers at all: they may be NaN, or never written.
#include "attention.h"
#include <math.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { CHUNK = 256, CHUNK_BLOCKS = CHUNK / MW_BLOCK_TOKENS };
/** Rows that share one pass over a chunk while it is in the cache, and how many numbers they may have. */
enum { MOST_ROWS = 96, MOST_NUMBERS = 8192 };
/** How many tokens, or rows, before they are needed inputs are asked for. */
enum { AHEAD = 8 };

/** sum[r][c] += left[r][k] * right[k][c] for k = 0 … steps - 1: both products of attention. */
typedef struct Product {
  float *sum;
  const float *left;
  const uint8_t *right, *ahead; // as much of `ahead` is fetched into the cache as is read of `right`
  int64_t sum_stride, left_stride, right_stride; // from row to row, `right`'s in bytes
  int64_t steps;
} Product;

/** One run and one head of keys and values. */
typedef struct Run {
  const MwAttention *call;
  const int64_t *table;
  int64_t first, count, position; // as in meta
  int64_t kv_head, sharing;       // heads that share it
  int64_t type, padded, part;     // head size as stored; bytes of its keys in a block
} Run;

/** The rows that go over a chunk together. Row r is token r / sharing and head r % sharing, counted from `first`. */
typedef struct Rows {
  int64_t first, count;
  float *queries, *sums; // [count][head size], [count][padded]
  float highest[MOST_ROWS], totals[MOST_ROWS];
} Rows;

/** The part of a chunk that a tile of rows sees: row r sees the tokens from[r] up to to[r]. Both never fall with r. */
typedef struct Tile {
  const uint8_t *keys[CHUNK_BLOCKS], *values[CHUNK_BLOCKS], *ahead;
  float *scores, *sums; // [rows][CHUNK], [rows][padded]
  int from[TILE_ROWS], to[TILE_ROWS];
  int rows, fetch; // fetch: whether this tile is the first to read the chunk
} Tile;

ALWAYS_INLINE int64_t number_bytes(int64_t type) { return type == MW_KV_F32 ? 4 : type == MW_KV_F16 ? 2 : 1; }

ALWAYS_INLINE Lanes load_numbers(const uint8_t *from, int type) {
  if (type == MW_KV_F16) return lanes_load_half(from);
  if (type == MW_KV_INT8) return lanes_load_int8(from);
  float numbers[16];
  memcpy(numbers, from, sizeof numbers);
  return lanes_load(numbers);
}

ALWAYS_INLINE void multiply_tile(const Product *p, int type, int rows, int groups) {
  Lanes sum[TILE_ROWS][TILE_GROUPS];
  const int64_t bytes = 16 * number_bytes(type);
  const float *left = p->left;
  const uint8_t *right = p->right, *ahead = p->ahead;
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++) sum[r][g] = lanes_load(p->sum + r * p->sum_stride + 16 * g);
  for (int64_t k = 0; k < p->steps; k++) {
    Lanes numbers[TILE_GROUPS];
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++) numbers[g] = load_numbers(right + g * bytes, type);
    for (int64_t line = 0; line < groups * bytes; line += 64) prefetch(ahead + line);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
      Lanes factor = lanes_all(left[r * p->left_stride + k]);
#pragma GCC unroll 2
      for (int g = 0; g < groups; g++) sum[r][g] = lanes_fused(factor, numbers[g], sum[r][g]);
    }
    right += p->right_stride;
    ahead += groups * bytes;
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++) lanes_store(p->sum + r * p->sum_stride + 16 * g, sum[r][g]);
}

/** The compiler must know how many accumulators a tile has: any number of rows is a few tiles of these heights. */
ALWAYS_INLINE void multiply_rows(Product p, int type, int rows, int groups) {
  for (int height; rows > 0; rows -= height) {
    if (TILE_ROWS >= 12 && rows >= 12) multiply_tile(&p, type, height = 12, groups);
    else if (TILE_ROWS >= 8 && rows >= 8) multiply_tile(&p, type, height = 8, groups);
    else if (TILE_ROWS >= 6 && rows >= 6) multiply_tile(&p, type, height = 6, groups);
    else if (TILE_ROWS >= 4 && rows >= 4) multiply_tile(&p, type, height = 4, groups);
    else if (TILE_ROWS >= 3 && rows >= 3) multiply_tile(&p, type, height = 3, groups);
    else if (TILE_ROWS >= 2 && rows >= 2) multiply_tile(&p, type, height = 2, groups);
    else multiply_tile(&p, type, height = 1, groups);
    p.sum += height * p.sum_stride;
    p.left += height * p.left_stride;
  }
}

ALWAYS_INLINE void multiply_type(const Product *p, int type, int rows, int groups) {
  if (groups == 1) multiply_rows(*p, type, rows, 1);
  else multiply_rows(*p, type, rows, TILE_GROUPS);
}

__attribute__((noinline)) static void multiply_f32(const Product *p, int rows, int groups) {
  multiply_type(p, MW_KV_F32, rows, groups);
}
__attribute__((noinline)) static void multiply_f16(const Product *p, int rows, int groups) {
  multiply_type(p, MW_KV_F16, rows, groups);
}
__attribute__((noinline)) static void multiply_int8(const Product *p, int rows, int groups) {
  multiply_type(p, MW_KV_INT8, rows, groups);
}

/** A product with any number of columns, a multiple of 16, that lie side by side. */
static void multiply(Product p, int64_t type, int rows, int64_t columns) {
  int64_t bytes = number_bytes(type), steps = p.steps;
  for (int64_t c = 0; c < columns; c += 16 * TILE_GROUPS) {
    int groups = columns - c < 16 * TILE_GROUPS ? 1 : TILE_GROUPS;
    if (type == MW_KV_F32) multiply_f32(&p, rows, groups);
    else if (type == MW_KV_F16) multiply_f16(&p, rows, groups);
    else multiply_int8(&p, rows, groups);
    p.sum += 16 * groups;
    p.right += 16 * groups * bytes;
    p.ahead += 16 * groups * bytes * steps;
  }
}

/** e to the power of x for x <= 0, within 1e-7 of itself; 1 at 0, 0 below -87, NaN for NaN. */
static inline Lanes exponential(Lanes x) {
  // Adding 1.5 * 2^23 rounds x / ln 2 to an integer, which is then in the low bits.
  Lanes large = lanes_all(0x1.8p23f), marked = lanes_fused(x, lanes_all(0x1.715476p0f), large);
  Lanes whole = lanes_subtract(marked, large);
  Lanes rest = lanes_fused(whole, lanes_all(-0x1.62e43p-1f), x); // less whole * ln 2, in two parts
  rest = lanes_fused(whole, lanes_all(0x1.05c61p-29f), rest);
  Lanes sum = lanes_all(0x1.6a234ep-10f); // minimax on half of ln 2 to either side
  sum = lanes_fused(sum, rest, lanes_all(0x1.123a6cp-7f));
  sum = lanes_fused(sum, rest, lanes_all(0x1.5558f4p-5f));
  sum = lanes_fused(sum, rest, lanes_all(0x1.55549p-3f));
  sum = lanes_fused(sum, rest, lanes_all(0x1.fffffcp-2f));
  sum = lanes_fused(sum, rest, lanes_all(1.0f));
  sum = lanes_fused(sum, rest, lanes_all(1.0f));
  Lanes power = lanes_multiply(sum, lanes_power_of_two(marked));
  return lanes_where_less(x, lanes_all(-87.0f), lanes_all(0.0f), power);
}

/** Within 3e-7 of itself. Apart: few models need it. */
__attribute__((noinline)) static Lanes hyperbolic_tangent(Lanes x) {
  Lanes zero = lanes_all(0.0f), one = lanes_all(1.0f), size = lanes_larger(x, lanes_subtract(zero, x));
  Lanes square = lanes_multiply(x, x), sum = lanes_all(-0.0057049906f); // tanh(x) / x - 1 up to 0.625, minimax in x * x
  sum = lanes_fused(sum, square, lanes_all(0.02063909f));
  sum = lanes_fused(sum, square, lanes_all(-0.053739715f));
  sum = lanes_fused(sum, square, lanes_all(0.13331442f));
  sum = lanes_fused(sum, square, lanes_all(-0.3333328f));
  Lanes near = lanes_fused(lanes_multiply(sum, square), x, x);
  Lanes power = exponential(lanes_multiply(size, lanes_all(-2.0f)));
  Lanes far = lanes_divide(lanes_subtract(one, power), lanes_add(one, power));
  far = lanes_where_less(x, zero, lanes_subtract(zero, far), far);
  return lanes_where_less(size, lanes_all(0.625f), near, far);
}

static float sum_of(Lanes a) {
  float at[16];
  lanes_store(at, a);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) at[i] += at[i + half];
  return at[0];
}

/** The largest of the lanes and `least`; NaN does not count. */
static float largest_of(Lanes a, float least) {
  float at[16];
  lanes_store(at, a);
  for (int i = 0; i < 16; i++) least = at[i] > least ? at[i] : least;
  return least;
}

/** Asks for a head of a token that is not needed yet: tokens lie far apart, and no processor foresees the next one. */
static inline void fetch_head(const float *from, int64_t size) {
  for (int64_t i = 0; i < size; i += 16) prefetch((const uint8_t *)(from + i));
}

/** Rotates the pairs of a head as its position says; what is not rotated is copied. */
static void rotate(float *restrict to, const float *restrict from, const MwAttention *call, int64_t position) {
  int64_t half = call->rotary_half;
  const float *restrict cosines = half ? call->cosines + position * half : 0;
  const float *restrict sines = half ? call->sines + position * half : 0;
  if (call->interleaved) {
    for (int64_t i = 0; i < half; i++) {
      float a = from[2 * i], b = from[2 * i + 1];
      to[2 * i] = a * cosines[i] - b * sines[i];
      to[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
  } else {
    for (int64_t i = 0; i < half; i++) {
      float a = from[i], b = from[half + i];
      to[i] = a * cosines[i] - b * sines[i];
      to[half + i] = b * cosines[i] + a * sines[i];
    }
  }
  for (int64_t i = 2 * half; i < call->head_size; i++) to[i] = from[i];
}

/**
 * Numbers of one token as int8, [MW_MOST_HEAD_SIZE].
 * @return their scale; NaN when one of them is not finite, so that this is not lost
 */
static float quantise(int8_t *restrict to, const float *restrict from, int64_t count) {
  uint32_t top = 0; // bits of the largest size: they are ordered as sizes are, infinities and NaN above all
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, from + i, 4);
    bits &= 0x7fffffff;
    top = bits > top ? bits : top;
  }
  float size;
  memcpy(&size, &top, 4);
  if (!(size >= 1e-30f && size < INFINITY)) { // too small to divide by, or not finite
    memset(to, 0, MW_MOST_HEAD_SIZE);
    return size < INFINITY ? 0.0f : NAN;
  }
  float inverse = 127.0f / size;
  for (int64_t i = 0; i < count; i++) to[i] = (int8_t)((from[i] * inverse + 0x1.8p23f) - 0x1.8p23f);
  return size / 127.0f;
}

/** Numbers of one token and head as they are stored, one after another. @return their scale, for int8 */
static float convert(uint8_t *to, const float *from, const Run *run) {
  if (run->type == MW_KV_INT8) {
    int8_t numbers[MW_MOST_HEAD_SIZE];
    float scale = quantise(numbers, from, run->padded);
    memcpy(to, numbers, (size_t)run->padded);
    return scale;
  }
  for (int64_t i = 0; i < run->padded; i += 16) {
    uint16_t halves[16];
    if (run->type == MW_KV_F32) {
      memcpy(to + 4 * i, from + i, 64);
    } else {
      lanes_store_half(halves, lanes_load(from + i));
      memcpy(to + 2 * i, halves, sizeof halves);
    }
  }
  return 1.0f;
}

/** A column of the transposed keys. */
static void scatter(uint8_t *to, const uint8_t *from, int64_t count, int64_t type) {
  int64_t bytes = number_bytes(type), stride = MW_BLOCK_TOKENS * bytes;
  if (type == MW_KV_F32)
    for (int64_t i = 0; i < count; i++) memcpy(to + i * stride, from + 4 * i, 4);
  else if (type == MW_KV_F16)
    for (int64_t i = 0; i < count; i++) memcpy(to + i * stride, from + 2 * i, 2);
  else
    for (int64_t i = 0; i < count; i++) to[i * stride] = from[i];
}

static Run run_of(const MwAttention *call, int64_t index, int64_t kv_head) {
  const int64_t *numbers = call->meta + MW_META_HEADER + index * MW_META_RUN;
  int64_t type = call->meta[MW_META_TYPE];
  return (Run){
      .call = call,
      .table = call->meta + numbers[3],
      .first = numbers[0],
      .count = numbers[1],
      .position = numbers[2],
      .kv_head = kv_head,
      .sharing = call->heads / call->kv_heads,
      .type = type,
      .padded = mw_padded(call->head_size),
      .part = mw_kv_part_bytes(call->head_size, type),
  };
}

/** The run's keys within its block of that index; its values follow after `part` bytes. */
static uint8_t *keys_of(const Run *run, int64_t block) {
  const int64_t *meta = run->call->meta;
  int64_t offset = run->table[block] * meta[MW_META_BLOCK_BYTES] + run->call->layer * meta[MW_META_LAYER_BYTES];
  return (uint8_t *)(intptr_t)meta[MW_META_POOL] + offset + run->kv_head * 2 * run->part;
}

static void write_run(const MwAttention *call, int64_t index, int64_t kv_head) {
  Run run = run_of(call, index, kv_head);
  float numbers[MW_MOST_HEAD_SIZE];
  uint8_t stored[MW_MOST_HEAD_SIZE * 4];
  const int64_t scales = run.padded * MW_BLOCK_TOKENS; // where they are in a part of int8
  memset(numbers, 0, sizeof numbers);                  // the padding
  for (int64_t t = 0; t < run.count; t++) {
    int64_t position = run.position + t, slot = position % MW_BLOCK_TOKENS;
    int64_t offset = (run.first + t) * call->kv_stride + kv_head * call->head_size;
    uint8_t *keys = keys_of(&run, position / MW_BLOCK_TOKENS), *values = keys + run.part;
    if (t + AHEAD < run.count) {
      fetch_head(call->key + offset + AHEAD * call->kv_stride, call->head_size);
      fetch_head(call->value + offset + AHEAD * call->kv_stride, call->head_size);
    }
    rotate(numbers, call->key + offset, call, position);
    float key_scale = convert(stored, numbers, &run);
    scatter(keys + slot * number_bytes(run.type), stored, run.padded, run.type);

    memcpy(numbers, call->value + offset, (size_t)call->head_size * sizeof(float));
    float value_scale = convert(values + slot * run.padded * number_bytes(run.type), numbers, &run);
    if (run.type == MW_KV_INT8) {
      memcpy(keys + scales + 4 * slot, &key_scale, 4);
      memcpy(values + scales + 4 * slot, &value_scale, 4);
    }
  }
}

/** Sixteen scales of int8 keys or values, beginning with that of token t of the chunk. */
static inline Lanes scales_at(const uint8_t *const *parts, int t, const Run *run) {
  float scales[16];
  const uint8_t *from = parts[t / MW_BLOCK_TOKENS] + run->padded * MW_BLOCK_TOKENS;
  memcpy(scales, from + t % MW_BLOCK_TOKENS * 4, sizeof scales);
  return lanes_load(scales);
}

/** Lane i is token t + i: those of from … to - 1 stay, the others become -infinity. */
static inline Lanes keep_seen(Lanes scores, int t, int from, int to) {
  static const float counted[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Lanes lane = lanes_load(counted), least = lanes_all(-INFINITY);
  scores = lanes_where_less(lane, lanes_all((float)(from - t)), least, scores);
  return lanes_where_less(lane, lanes_all((float)(to - t)), scores, least);
}

/**
 * The scores of one row in a chunk become e to the power of how far they are below the highest so far.
 * @return what the row's sums of earlier chunks must be multiplied by, now that the highest may have risen
 */
static float soften(const Run *run, const Tile *tile, int row, float *highest, float *total) {
  float *scores = tile->scores + row * CHUNK, softcap = run->call->softcap;
  int from = tile->from[row], to = tile->to[row], start = from / 16 * 16;
  Lanes top = lanes_all(-INFINITY), sum = lanes_all(0.0f);
  for (int t = start; t < to; t += 16) {
    Lanes score = lanes_load(scores + t);
    if (run->type == MW_KV_INT8) score = lanes_multiply(score, scales_at(tile->keys, t, run));
    if (softcap > 0) {
      Lanes cap = lanes_all(softcap);
      score = lanes_multiply(cap, hyperbolic_tangent(lanes_divide(score, cap)));
    }
    if (t < from || t + 16 > to) score = keep_seen(score, t, from, to);
    lanes_store(scores + t, score);
    top = lanes_larger(score, top);
  }
  float before = *highest, now = largest_of(top, before);
  for (int t = start; t < to; t += 16) {
    Lanes weight = exponential(lanes_subtract(lanes_load(scores + t), lanes_all(now)));
    sum = lanes_add(sum, weight);
    if (run->type == MW_KV_INT8) weight = lanes_multiply(weight, scales_at(tile->values, t, run));
    lanes_store(scores + t, weight);
  }
  float shrink = 1.0f, lanes[16];
  if (before != now) {
    lanes_store(lanes, exponential(lanes_all(before - now)));
    shrink = lanes[0];
  }
  *highest = now;
  *total = *total * shrink + sum_of(sum);
  return shrink;
}

/** The scores of a tile, a block at a time. */
static void score_tile(const Run *run, const Tile *tile, const float *queries) {
  int first = tile->from[0] / MW_BLOCK_TOKENS, last = (tile->to[tile->rows - 1] - 1) / MW_BLOCK_TOKENS;
  for (int block = first; block <= last; block++) {
    float *scores = tile->scores + block * MW_BLOCK_TOKENS;
    const uint8_t *keys = tile->keys[block], *next = block < last ? tile->keys[block + 1] : tile->values[first];
    for (int r = 0; r < tile->rows; r++) memset(scores + r * CHUNK, 0, MW_BLOCK_TOKENS * sizeof(float));
    Product product = {.sum = scores, .sum_stride = CHUNK, .left = queries, .left_stride = run->call->head_size,
                       .right = keys, .right_stride = MW_BLOCK_TOKENS * number_bytes(run->type),
                       .ahead = tile->fetch ? next : keys, .steps = run->call->head_size};
    multiply(product, run->type, tile->rows, MW_BLOCK_TOKENS);
  }
}

/** Adds the values of the tokens from … to - 1, all of which the tile's rows first … first + rows - 1 see. */
static void add_seen(const Run *run, const Tile *tile, int first, int rows, int from, int to) {
  for (int t = from, end; t < to; t = end) {
    int block = t / MW_BLOCK_TOKENS, slot = t % MW_BLOCK_TOKENS;
    end = (block + 1) * MW_BLOCK_TOKENS < to ? (block + 1) * MW_BLOCK_TOKENS : to;
    const uint8_t *values = tile->values[block], *next = end < to ? tile->values[block + 1] : tile->ahead;
    int64_t stride = run->padded * number_bytes(run->type);
    Product product = {.sum = tile->sums + first * run->padded, .sum_stride = run->padded,
                       .left = tile->scores + first * CHUNK + t, .left_stride = CHUNK,
                       .right = values + slot * stride, .right_stride = stride,
                       .ahead = tile->fetch && next ? next : values, .steps = end - t};
    multiply(product, run->type, rows, run->padded);
  }
}

/**
 * Adds the values of the tokens from … to - 1 to the rows that see them. What all rows see is one product; before and
 * after it, the rows are halved until it is so again.
 */
static void add_values(const Run *run, const Tile *tile, int first, int rows, int from, int to) {
  int last = first + rows - 1, half = rows / 2;
  int begin = tile->from[last] > from ? tile->from[last] : from, end = tile->to[first] < to ? tile->to[first] : to;
  if (from >= to) return;
  if (begin >= end) begin = end = to; // nothing that all see
  if (rows > 1 && from < begin) {
    add_values(run, tile, first, half, from, begin);
    add_values(run, tile, first + half, rows - half, from, begin);
  }
  if (begin < end) add_seen(run, tile, first, rows, begin, end);
  if (rows > 1 && end < to) {
    add_values(run, tile, first, half, end, to);
    add_values(run, tile, first + half, rows - half, end, to);
  }
}

static int64_t position_of(const Run *run, int64_t row) { return run->position + row / run->sharing; }

/** The first position that a row sees. */
static int64_t begin_of(const Run *run, int64_t row) {
  int64_t window = run->call->window, position = position_of(run, row);
  return window < 0 || position < window ? 0 : position - window + 1;
}

/** A position within the chunk that begins at `start`, or the nearest end of it. */
static int within(int64_t position, int64_t start) {
  return position <= start ? 0 : position - start >= CHUNK ? CHUNK : (int)(position - start);
}

/** Rows tile->rows from `row` of `rows` on, over one chunk. */
static void attend_tile(const Run *run, Rows *rows, int64_t row, Tile *tile, int64_t start) {
  for (int r = 0; r < tile->rows; r++) {
    tile->from[r] = within(begin_of(run, rows->first + row + r), start);
    tile->to[r] = within(position_of(run, rows->first + row + r) + 1, start);
  }
  if (tile->from[0] >= tile->to[tile->rows - 1]) return;
  tile->sums = rows->sums + row * run->padded;
  score_tile(run, tile, rows->queries + row * run->call->head_size);
  for (int r = 0; r < tile->rows; r++) {
    if (tile->from[r] >= tile->to[r]) continue;
    float shrink = soften(run, tile, r, &rows->highest[row + r], &rows->totals[row + r]);
    float *sums = tile->sums + r * run->padded;
    for (int64_t i = 0; i < run->padded; i++) sums[i] *= shrink;
  }
  add_values(run, tile, 0, tile->rows, tile->from[0], tile->to[tile->rows - 1]);
}

static void attend_chunk(const Run *run, Rows *rows, int64_t start, int64_t end) {
  _Alignas(64) float scores[TILE_ROWS * CHUNK];
  Tile tile = {.scores = scores};
  int64_t block = start / MW_BLOCK_TOKENS;
  for (int i = 0; i < CHUNK_BLOCKS && start + i * MW_BLOCK_TOKENS < end; i++) {
    tile.keys[i] = keys_of(run, block + i);
    tile.values[i] = tile.keys[i] + run->part;
  }
  if (start + CHUNK < end) tile.ahead = keys_of(run, block + CHUNK_BLOCKS);
  for (int64_t row = 0; row < rows->count; row += TILE_ROWS) {
    tile.rows = rows->count - row < TILE_ROWS ? (int)(rows->count - row) : TILE_ROWS;
    tile.fetch = row == 0;
    attend_tile(run, rows, row, &tile, start);
  }
}

/** The offset of a row's token and head in queries or outputs with that many numbers per token. */
static int64_t offset_of(const Run *run, int64_t row, int64_t stride) {
  int64_t head = run->kv_head * run->sharing + row % run->sharing;
  return (run->first + row / run->sharing) * stride + head * run->call->head_size;
}

static void attend_rows(const Run *run, Rows *rows) {
  const MwAttention *call = run->call;
  int64_t size = call->head_size, last = rows->first + rows->count - 1;
  for (int64_t r = 0; r < rows->count; r++) {
    float *query = rows->queries + r * size;
    if (r + AHEAD < rows->count)
      fetch_head(call->query + offset_of(run, rows->first + r + AHEAD, call->query_stride), size);
    rotate(query, call->query + offset_of(run, rows->first + r, call->query_stride), call,
           position_of(run, rows->first + r));
    for (int64_t i = 0; i < size; i++) query[i] *= call->scale;
    rows->highest[r] = -INFINITY;
    rows->totals[r] = 0;
  }
  memset(rows->sums, 0, (size_t)(rows->count * run->padded) * sizeof(float));
  int64_t end = position_of(run, last) + 1;
  for (int64_t start = begin_of(run, rows->first) / CHUNK * CHUNK; start < end; start += CHUNK)
    attend_chunk(run, rows, start, end);
  for (int64_t r = 0; r < rows->count; r++) {
    float *output = call->output + offset_of(run, rows->first + r, call->heads * size);
    float inverse = 1.0f / rows->totals[r];
    for (int64_t i = 0; i < size; i++) output[i] = rows->sums[r * run->padded + i] * inverse;
  }
}

static void attend_run(const MwAttention *call, int64_t index, int64_t kv_head) {
  Run run = run_of(call, index, kv_head);
  _Alignas(64) float queries[MOST_NUMBERS], sums[MOST_NUMBERS];
  Rows rows = {.queries = queries, .sums = sums};
  int64_t all = run.count * run.sharing, most = MOST_NUMBERS / run.padded;
  if (most > MOST_ROWS) most = MOST_ROWS;
  most -= most % TILE_ROWS;
  for (; rows.first < all; rows.first += most) {
    rows.count = all - rows.first < most ? all - rows.first : most;
    attend_rows(&run, &rows);
  }
}
