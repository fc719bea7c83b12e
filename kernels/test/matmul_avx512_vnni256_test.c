// Holds the 256-bit VNNI product against the plain C on processors that have its instructions in AVX512's encoding.
// Of other processors it asks nothing: `main` itself must not need AVX512.
#define MW_VNNI_OF_AVX512
#define mw_matmul_avxvnni matmul_vnni256
#include "../matmul_avxvnni.c"
#undef INLINE
#include "matmul_cases.h"
#include "variant.h"

static __attribute__((noinline)) int check(void) {
  check_variant("256-bit VNNI of AVX512", &matmul_vnni256);
  return report();
}

int main(void) {
  if (strcmp(mw_variant_at(0)->name, "avx512-vnni") == 0) return check();
  printf("not on this processor: it has no AVX512-VNNI\n");
  return 0;
}
