// The product of float activations with 4-bit or 8-bit block-quantised weights, in integers: the arithmetic of ONNX
// Runtime's MatMulNBits at accuracy level 4. Knows numbers only: nothing of ONNX Runtime, files or threads.
//
// Along K, weights and activations are cut into units of 32 values (16 where a weight scale covers only 16). A row of
// activations is quantised by itself, unit by unit, to int8 with one scale. For each element, unit after unit:
//
//   sum = fma(float(dot(qa, qw - zero)) * sa, sw, sum)        and at the end, where there is one, + bias
//
// The dot is an exact integer and the order never changes, so equal inputs give equal bits whatever the tile, the
// processor or the number of rows. matmul_scalar.c is the definition; the other variants are held against it.
#ifndef MODELWIRE_MATMUL_H
#define MODELWIRE_MATMUL_H
#include "export.h"
#include <stddef.h>
#include <stdint.h>

/** Raised when the packed bytes of the same weights change; part of the name of packed files. */
enum { MW_LAYOUT_VERSION = 1 };

/** How the scales lie in packed weights: in the smallest of these that holds every one of them exactly. */
enum { MW_SCALE_F32 = 0, MW_SCALE_F16 = 1, MW_SCALE_BF16 = 2 };

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

/**
 * Where things lie in packed weights. Columns are packed by panels of 32; the last is filled up with zeros. A panel is
 *   scales       [blocks][32] of the scale type
 *   zero points  [blocks][32] uint8, if there are any, filled up to 64 bytes
 *   weights      4 bits: for each 8 values of K, 32 columns x 4 bytes; byte i of a column holds value i in its low half
 *                and value 4 + i in its high half
 *                8 bits: for each 4 values of K, 32 columns x 4 bytes
 */
enum { MW_PANEL = 32 };
typedef struct MwLayout {
  int unit;                  // values of K per unit: 16 or 32
  int64_t units;             // of the padded K
  int64_t blocks;            // scales of a column
  int64_t scale_bytes;       // of the 32 scales of a block
  int64_t zero_points_at;    // byte within a panel
  int64_t weights_at;        // byte within a panel
  int64_t unit_bytes;        // weights of a unit, 32 columns
  int64_t panel_bytes;       // a multiple of 64
  int64_t panels;
} MwLayout;

/** Fills `layout`. @return 0, or -1 for a form that is not supported */
int mw_layout(MwLayout *layout, const MwWeights *weights);

// ---- what a processor family has of its own -----------------------------------------------------------------------

/** What a tile's weights are. Bytes lie as 8-bit weights do in a panel. */
typedef enum MwForm {
  MW_NIBBLES,  // 4 bits as packed, zero point 8
  MW_BYTES_15, // 0…15, zero point 8
  MW_BYTES_30, // weight minus its zero point plus 15: 0…30, zero point 15
  MW_BYTES_255 // 0…255, zero point 128
} MwForm;

/**
 * Quantised rows of a tile, unit by unit; each unit is
 *   int8  [rows][unit]
 *   int32 [rows]  MW_START - zero * sum of the row's int8: where the integer sum of products begins
 *   float [rows]  scale, 22 significant bits
 *   float [rows]  -MW_MAGIC * scale
 * An integer sum s that began at MW_START has, for |s| < 2^22, the bits of the float MW_MAGIC + s. So
 * fma(that, scale, -MW_MAGIC * scale) is float(s) * scale, rounded once: the product with -MW_MAGIC = -3 * 2^22 is
 * exact because the scale has two bits to spare. It saves the conversion of every sum.
 */
enum { MW_START = 0x4b400000, MW_ROW_EXTRA = 12 };
#define MW_MAGIC 12582912.0f

/** Bytes of a quantised row: rows of a tile lie interleaved, but as many bytes further on begins the next tile's. */
static inline int64_t mw_row_bytes(const MwLayout *layout) { return layout->units * (layout->unit + MW_ROW_EXTRA); }

/** One step of a product: some units of some rows with one panel. */
typedef struct MwTile {
  MwForm form;
  int rows;               // 1 to tile_rows
  int unit;               // 16 or 32
  int64_t units;
  const uint8_t *weights; // of the first unit
  const float *scales;    // [units][32]
  const uint8_t *quantised;
  float *sums;            // [rows][32], added to
  const uint8_t *ahead;   // null, or what will be read next: 512 bytes for each unit
} MwTile;

typedef struct MwMatMulKernels {
  int tile_rows;   // of the highest tile
  int signed_255;  // MW_BYTES_255 tiles take 128 off the weights themselves: their zero point counts as 0
  /** Quantises `rows` rows of `depth` floats into units of a tile, the last one filled up with zeros. */
  void (*quantise)(uint8_t *out, const float *x, int rows, int64_t depth, int unit, int zero);
  /** Nibbles of `units` units to bytes; with zero points [units][32], to MW_BYTES_30. */
  void (*unpack)(uint8_t *out, const uint8_t *nibbles, const uint8_t *zero_points, int64_t units, int unit);
  /** Makes floats of `count` scales, a multiple of 32. */
  void (*widen_scales)(float *to, const uint8_t *from, int64_t count, int scale_type);
  void (*tile)(const MwTile *tile);
} MwMatMulKernels;

// ---- the whole product --------------------------------------------------------------------------------------------

typedef struct MwProduct {
  const MwWeights *weights;
  const float *bias; // [N] or null
  const float *x;    // [rows][K]
  float *y;          // [rows][N]
  int64_t rows;
} MwProduct;

/** Calls task(user, 0 … count - 1) in any order on any threads, until all are done. @return 0, or nothing was run */
typedef int (*MwParallel)(void *pool, void (*task)(void *user, size_t index), size_t count, void *user);

enum { MW_OK = 0, MW_UNSUPPORTED = -1, MW_NO_MEMORY = -2, MW_NOT_RUN = -3 };

/** @return MW_OK, or why `y` is not to be read */
int mw_matmul(const MwMatMulKernels *kernels, const MwProduct *product, MwParallel parallel, void *pool);

// ---- packing ------------------------------------------------------------------------------------------------------

/** @return bytes of packed weights, or -1 for a form that is not supported */
MW_EXPORT int64_t mw_packed_bytes(int64_t columns, int64_t depth, int bits, int block, int zero_points, int scale_type);

/** @return the smallest MW_SCALE_… that holds all of them exactly */
MW_EXPORT int mw_scale_type(const float *scales, int64_t count);

/**
 * Packs the columns first_column … last_column - 1, so that threads can share the work: both are multiples of 32, or
 * the last is `columns`. Sources as MatMulNBits has them: weights [N][blocks][block * bits / 8], scales [N][blocks],
 * zero points null or [N][ceil(blocks * bits / 8)].
 * @return 0, or -1: not supported, columns beyond the matrix, or a scale that the type does not hold exactly
 */
MW_EXPORT int mw_pack(uint8_t *out, const uint8_t *weights, const float *scales, const uint8_t *zero_points,
                      int64_t columns, int64_t depth, int bits, int block, int scale_type, int64_t first_column,
                      int64_t last_column);

#endif
