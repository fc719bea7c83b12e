// Attention for processors with ARM's NEON.
#include "simd_neon.h"
#include "attention_kernel.h"

const MwAttentionKernels mw_attention_neon = {write_run, attend_run};
