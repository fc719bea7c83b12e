// Tiles of up to four rows from what a family does with one unit of them. The file that includes this defines before:
//   INLINE, COLUMNS (of a unit_of, a divisor of MW_PANEL)
//   INLINE void unit_of(const uint8_t *weights, const uint8_t *activations, const float *scales, float *sums, int rows,
//                       int unit, MwForm form)
// `rows`, `unit` and `form` are constants wherever these are inlined.
#ifndef MODELWIRE_MATMUL_TILE_H
#define MODELWIRE_MATMUL_TILE_H
#include "matmul_unit.h"

INLINE void tile_of(const MwTile *t, int rows, int unit, MwForm form) {
  const uint8_t *weights = t->weights, *activations = t->quantised;
  for (int64_t u = 0; u < t->units; u++) {
#pragma GCC unroll 1 // half the code, and as fast
    for (int c = 0; c < MW_PANEL; c += COLUMNS)
      unit_of(weights + c * 4, activations, t->scales + u * MW_PANEL + c, t->sums + c, rows, unit, form);
    if (t->ahead)
      for (int line = 0; line < 512; line += 64) __builtin_prefetch(t->ahead + u * 512 + line);
    weights += MW_PANEL * unit / (form == MW_NIBBLES ? 2 : 1);
    activations += rows * (unit + MW_ROW_EXTRA);
  }
}

/** One function for each height. */
INLINE void tile_with(const MwTile *t, int unit, MwForm form) {
  switch (t->rows) {
    case 1: tile_of(t, 1, unit, form); break;
    case 2: tile_of(t, 2, unit, form); break;
    case 3: tile_of(t, 3, unit, form); break;
    default: tile_of(t, 4, unit, form);
  }
}

#endif
