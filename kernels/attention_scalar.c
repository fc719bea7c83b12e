// Attention for any processor: plain C, which defines the bits of the others.
#include "simd_scalar.h"
#include "attention_kernel.h"

const MwAttentionKernels mw_attention_scalar = {write_run, attend_run};
