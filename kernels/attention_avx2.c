// Attention for processors with AVX2 with F16C.
#include "simd_avx2.h"
#include "attention_kernel.h"

const MwAttentionKernels mw_attention_avx2 = {write_run, attend_run};
