// The processor families that there is code for, and the one in use.
#ifndef MODELWIRE_VARIANT_H
#define MODELWIRE_VARIANT_H
#include <stddef.h>

struct MwMatMulKernels;
struct MwAttentionKernels;

typedef struct MwVariant {
  const char *name; // "avx512-vnni", "avx-vnni", "avx2", "neon-i8mm", "neon-dotprod", "scalar"
  const struct MwMatMulKernels *matmul;
  const struct MwAttentionKernels *attention;
} MwVariant;

/** Those that this processor runs, best first; "scalar" is the last. Null beyond the end. */
const MwVariant *mw_variant_at(size_t index);

/** The one in use: the best, or what MODELWIRE_KERNELS or mw_choose_variant() named. */
const MwVariant *mw_variant_in_use(void);

#endif
