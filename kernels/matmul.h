// The product of float activations with 4-bit (or 8-bit) block-quantised weights, in integers: the arithmetic of ONNX
// Runtime's MatMulNBits at accuracy level 4. Knows numbers only: nothing of ONNX Runtime, files or threads.
//
//   y[m][n] = bias[n] + sum over blocks b of  fma(float(dot(qa[m][b], qw[n][b] - zero[n][b])), sw[n][b] * sa[m][b], …)
//
// A row of activations is quantised by itself, block by block: sa = max|a| / 127, qa = round to even(a / sa). A NaN or an
// infinity in a row makes that whole row NaN and touches no other. Blocks are added in ascending order with one fma
// each, whatever the tile, the processor or the number of rows: equal inputs give equal bits everywhere.
#ifndef MODELWIRE_MATMUL_H
#define MODELWIRE_MATMUL_H
#include <stddef.h>
#include <stdint.h>

/** Raised when the packed bytes of the same weights change; part of the name of packed files. */
enum { MW_LAYOUT_VERSION = 1 };

/** The weights of one product, as packed. */
typedef struct MwWeights {
  const uint8_t *data; // [mw_packed_bytes], 64-byte aligned
  int64_t columns;     // N
  int64_t depth;       // K
  int bits;            // 4 or 8
  int block;           // values of K that share a scale: 16, 32, 64 or 128
  int zero_points;     // whether each block has one; without, it is 8 (128 for 8 bits)
  int scale_type;      // MW_SCALE_…
} MwWeights;

/** How the scales lie in packed weights: in the smallest of these that holds every one of them exactly. */
enum { MW_SCALE_F32 = 0, MW_SCALE_F16 = 1, MW_SCALE_BF16 = 2 };

#endif
