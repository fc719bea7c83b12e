// Causal attention of a ragged batch over keys and values that lie in blocks: any mix of single tokens and chunks of
// prompts of any sequences in one call. Knows numbers only: nothing of ONNX Runtime, files or threads.
//
// A block holds 32 tokens: for each layer and each head of keys and values { K [head size][32], V [32][head size] }, in
// float32, float16 or int8. K lies transposed, so that both products read it along a row. The head size is padded to a
// multiple of 16; int8 parts are followed by 32 float scales, one per token.
//
// A row's result depends on its own sequence and position alone, bit for bit: whatever else is in the batch, however
// its prompt was cut, and on every processor. See attention_kernel.h for the order of the operations.
#ifndef MODELWIRE_ATTENTION_H
#define MODELWIRE_ATTENTION_H
#include <stddef.h>
#include <stdint.h>

enum { MW_BLOCK_TOKENS = 32 };
enum { MW_KV_F32 = 0, MW_KV_F16 = 1, MW_KV_INT8 = 2 };

/**
 * The `meta` input of PagedAttention, int64 [8 + 4 * runs + tables]:
 *   [0] version, 1
 *   [1] address of the pool, a multiple of 64
 *   [2] blocks of the pool
 *   [3] bytes of a block, all layers together, a multiple of 64
 *   [4] bytes of one layer within a block: mw_layer_bytes()
 *   [5] MW_KV_…
 *   [6] runs
 *   [7] 0
 * then for each run {its first token in the batch, how many tokens, position of the first in its sequence, index in
 * `meta` of its table}, in the order of the tokens and without a gap; then the tables: for every 32 positions of the
 * sequence, past and new, the number of the block that holds them. No two runs may write into one block: nothing can
 * check that here.
 */
enum { MW_META_HEADER = 8, MW_META_RUN = 4, MW_META_VERSION = 1 };
enum { MW_META_POOL = 1, MW_META_BLOCKS, MW_META_BLOCK_BYTES, MW_META_LAYER_BYTES, MW_META_TYPE, MW_META_RUNS };

enum { MW_MOST_HEAD_SIZE = 256 };

/** One call: what the node says, and its inputs. */
typedef struct MwAttention {
  int64_t heads, kv_heads; // heads is a multiple of kv_heads: neighbours share keys and values
  int64_t head_size;       // a multiple of 8, up to MW_MOST_HEAD_SIZE
  int64_t layer;
  int64_t window;      // how many tokens a row sees, itself included; -1: all before it
  int64_t rotary_half; // pairs of a head that are rotated; 0: none
  int interleaved;     // a pair is (2i, 2i + 1), not (i, i + rotary_half)
  float scale;         // of the scores
  float softcap;       // scores become softcap * tanh(score / softcap); 0: they do not

  const float *query, *key, *value;      // the first token's
  int64_t query_stride, kv_stride;       // floats from one token to the next
  const float *cosines, *sines;          // [positions][rotary_half]
  int64_t positions;                     // how many there are in the tables of rotary_half
  const int64_t *meta;                   // as above, checked
  float *output;                         // [tokens][heads * head_size]
} MwAttention;

/**
 * The work of one run and one head of keys and values, in two steps: `write` rotates the run's keys and puts them and
 * its values into their blocks, `attend` computes the run's rows of all heads that share them. Different runs and heads
 * touch nothing in common, so they may run at once. (A run is never split: with fewer runs times heads than threads,
 * some idle. Splitting needs only that all of `write` is done before `attend` begins on parts of a run's rows.)
 */
typedef struct MwAttentionKernels {
  void (*write)(const MwAttention *call, int64_t run, int64_t kv_head);
  void (*attend)(const MwAttention *call, int64_t run, int64_t kv_head);
} MwAttentionKernels;

/** Head size as it is stored. */
static inline int64_t mw_padded(int64_t head_size) { return (head_size + 15) / 16 * 16; }

/** Bytes of one head's keys, or values, in a block. */
static inline int64_t mw_kv_part_bytes(int64_t head_size, int64_t type) {
  int64_t values = MW_BLOCK_TOKENS * mw_padded(head_size);
  if (type == MW_KV_F32) return values * 4;
  if (type == MW_KV_F16) return values * 2;
  return values + MW_BLOCK_TOKENS * 4;
}

/** Bytes of one layer within a block. @return -1 for a geometry or a type that is not supported */
int64_t mw_layer_bytes(int64_t kv_heads, int64_t head_size, int kv_type);

/**
 * Holds meta against the node and the number of tokens in the batch, before anything is touched.
 * @param call all but meta and output is set
 * @param why gets what is wrong
 * @return whether meta is sound
 */
int mw_attention_meta_ok(const MwAttention *call, const int64_t *meta, int64_t length, int64_t tokens, char *why,
                         size_t why_bytes);

#endif
