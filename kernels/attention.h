// Causal attention of a ragged batch over keys and values that lie in blocks: any mix of single tokens and chunks of
// prompts of any sequences in one call. Knows numbers only: nothing of ONNX Runtime, files or threads.
#ifndef MODELWIRE_ATTENTION_H
#define MODELWIRE_ATTENTION_H
#include <stddef.h>
#include <stdint.h>

enum { MW_BLOCK_TOKENS = 32 };
enum { MW_KV_F32 = 0, MW_KV_F16 = 1, MW_KV_INT8 = 2 };

/**
 * The `meta` input of PagedAttention, int64 [8 + 4 * runs + tables]:
 *   [0] version, 1
 *   [1] address of the pool
 *   [2] blocks of the pool
 *   [3] bytes of a block, all layers together
 *   [4] bytes of one layer within a block: mw_kv_layer_bytes()
 *   [5] MW_KV_…
 *   [6] runs
 *   [7] 0
 * then for each run {its first token in the batch, how many tokens, position of the first in its sequence, index in
 * `meta` of its table}, in the order of the tokens and without a gap; then the tables: for every 32 positions of the
 * sequence, past and new, the number of the block that holds them.
 */
enum { MW_META_HEADER = 8, MW_META_RUN = 4, MW_META_VERSION = 1 };

#endif
