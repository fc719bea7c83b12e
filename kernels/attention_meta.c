// Whether the `meta` input of PagedAttention may be believed: after this, every block that the kernels reach lies
// inside the pool and every token inside the batch. Runs once per layer and step: its time goes with runs and blocks.
#include "attention.h"
#include <stdarg.h>
#include <stdio.h>

typedef struct Reason {
  char *text;
  size_t bytes;
} Reason;

__attribute__((format(printf, 2, 3))) static int refuse(Reason why, const char *format, ...) {
  va_list numbers;
  va_start(numbers, format);
  vsnprintf(why.text, why.bytes, format, numbers);
  va_end(numbers);
  return 0;
}

int64_t mw_layer_bytes(int64_t kv_heads, int64_t head_size, int kv_type) {
  if (kv_heads < 1 || kv_heads > 65536) return -1;
  if (head_size < 8 || head_size > MW_MOST_HEAD_SIZE || head_size % 8 != 0) return -1;
  if (kv_type != MW_KV_F32 && kv_type != MW_KV_F16 && kv_type != MW_KV_INT8) return -1;
  return kv_heads * 2 * mw_kv_part_bytes(head_size, kv_type);
}

static int pool_ok(const MwAttention *call, const int64_t *meta, Reason why) {
  int64_t address = meta[MW_META_POOL], blocks = meta[MW_META_BLOCKS], block_bytes = meta[MW_META_BLOCK_BYTES];
  int64_t layer_bytes = meta[MW_META_LAYER_BYTES], type = meta[MW_META_TYPE];
  if (type < MW_KV_F32 || type > MW_KV_INT8) return refuse(why, "KV type %lld is not known", (long long)type);
  int64_t expected = mw_layer_bytes(call->kv_heads, call->head_size, (int)type);
  if (layer_bytes != expected)
    return refuse(why, "a layer of a block has %lld bytes, not %lld", (long long)expected, (long long)layer_bytes);
  if (block_bytes % 64 != 0 || block_bytes / layer_bytes <= call->layer)
    return refuse(why, "a block of %lld bytes has no layer %lld of %lld bytes", (long long)block_bytes,
                  (long long)call->layer, (long long)layer_bytes);
  if (address <= 0 || address % 64 != 0) return refuse(why, "the pool's address is not a multiple of 64");
  if (blocks < 1 || blocks > (INT64_MAX - address) / block_bytes)
    return refuse(why, "a pool of %lld blocks of %lld bytes cannot be", (long long)blocks, (long long)block_bytes);
  return 1;
}

static int table_ok(const int64_t *meta, int64_t length, int64_t index, int64_t entries, int64_t run, Reason why) {
  int64_t first = MW_META_HEADER + meta[MW_META_RUNS] * MW_META_RUN;
  if (index < first || index > length || entries > length - index)
    return refuse(why, "the table of run %lld, %lld blocks from %lld on, is not inside meta (%lld to %lld)",
                  (long long)run, (long long)entries, (long long)index, (long long)first, (long long)length);
  for (int64_t i = 0; i < entries; i++) {
    int64_t block = meta[index + i];
    if (block < 0 || block >= meta[MW_META_BLOCKS])
      return refuse(why, "block %lld of run %lld is %lld, of a pool of %lld", (long long)i, (long long)run,
                    (long long)block, (long long)meta[MW_META_BLOCKS]);
  }
  return 1;
}

int mw_attention_meta_ok(const MwAttention *call, const int64_t *meta, int64_t length, int64_t tokens, char *why_text,
                         size_t why_bytes) {
  Reason why = {why_text, why_bytes};
  if (length < MW_META_HEADER) return refuse(why, "meta has %lld numbers, fewer than a header", (long long)length);
  if (meta[0] != MW_META_VERSION) return refuse(why, "meta has version %lld, not 1", (long long)meta[0]);
  if (meta[7] != 0) return refuse(why, "meta[7] is %lld, not 0", (long long)meta[7]);
  if (!pool_ok(call, meta, why)) return 0;
  int64_t runs = meta[MW_META_RUNS];
  if (runs < 0 || runs > (length - MW_META_HEADER) / MW_META_RUN)
    return refuse(why, "meta of %lld numbers cannot hold %lld runs", (long long)length, (long long)runs);
  int64_t next = 0;                                              // the token that the next run begins with
  int64_t limit = call->rotary_half ? call->positions : INT32_MAX; // of positions
  for (int64_t r = 0; r < runs; r++) {
    const int64_t *run = meta + MW_META_HEADER + r * MW_META_RUN;
    int64_t first = run[0], count = run[1], position = run[2];
    if (first != next || count < 1 || count > tokens - next)
      return refuse(why, "run %lld has %lld tokens from %lld on; it must follow token %lld of %lld", (long long)r,
                    (long long)count, (long long)first, (long long)next, (long long)tokens);
    if (position < 0 || position > limit || count > limit - position)
      return refuse(why, "run %lld has %lld tokens at position %lld; there are %lld positions", (long long)r,
                    (long long)count, (long long)position, (long long)limit);
    int64_t entries = (position + count + MW_BLOCK_TOKENS - 1) / MW_BLOCK_TOKENS;
    if (!table_ok(meta, length, run[3], entries, r, why)) return 0;
    next += count;
  }
  if (next != tokens) return refuse(why, "the runs have %lld tokens of %lld", (long long)next, (long long)tokens);
  return 1;
}
