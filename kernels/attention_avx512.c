// Attention for processors with AVX-512.
#include "simd_avx512.h"
#include "attention_kernel.h"

const MwAttentionKernels mw_attention_avx512 = {write_run, attend_run};
