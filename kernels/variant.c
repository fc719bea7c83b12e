// Looks at the processor and picks the code for it.
#include "variant.h"
#include "matmul.h"
#include "ort.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

extern const struct MwMatMulKernels mw_matmul_scalar;
extern const struct MwAttentionKernels mw_attention_scalar;

#if defined(__x86_64__)
#include <cpuid.h>
extern const struct MwMatMulKernels mw_matmul_avx512, mw_matmul_avxvnni, mw_matmul_avx2;
extern const struct MwAttentionKernels mw_attention_avx512, mw_attention_avx2;

typedef struct Cpu {
  int avx2, avx_vnni, avx512_vnni;
} Cpu;

static int bit(unsigned value, int index) { return value >> index & 1; }

static Cpu look(void) {
  unsigned a, b, c, d;
  Cpu cpu = {0, 0, 0};
  if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
  int fma = bit(c, 12), xsave = bit(c, 27), avx = bit(c, 28), f16c = bit(c, 29);
  if (!fma || !xsave || !avx || !f16c) return cpu;
  unsigned saved, high; // which registers the operating system keeps over a task switch
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  int ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6;
  unsigned leaves, b7, c7, d7;
  if (!ymm || !__get_cpuid_count(7, 0, &leaves, &b7, &c7, &d7)) return cpu;
  cpu.avx2 = bit(b7, 5);
  // F, DQ, BW, VL, and VNNI
  cpu.avx512_vnni = cpu.avx2 && zmm && bit(b7, 16) && bit(b7, 17) && bit(b7, 30) && bit(b7, 31) && bit(c7, 11);
  if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) cpu.avx_vnni = cpu.avx2 && bit(a, 4);
  return cpu;
}
#elif defined(__aarch64__)
extern const struct MwMatMulKernels mw_matmul_neon, mw_matmul_i8mm;
extern const struct MwAttentionKernels mw_attention_neon;
#if defined(__linux__)
#include <sys/auxv.h>
static int has_dot_product(void) { return getauxval(AT_HWCAP) >> 20 & 1; }     // HWCAP_ASIMDDP
static int has_matrix_product(void) { return getauxval(AT_HWCAP2) >> 13 & 1; } // HWCAP2_I8MM
#else
#include <sys/sysctl.h>
static int has_dot_product(void) { return 1; } // every Apple processor has it
static int has_matrix_product(void) {
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_I8MM", &has, &size, 0, 0) == 0 && has;
}
#endif
#endif

enum { MOST_VARIANTS = 4 };
static MwVariant variants[MOST_VARIANTS + 1];
static char names[128];
static _Atomic(const MwVariant *) in_use;

static void add(const char *name, const struct MwMatMulKernels *matmul, const struct MwAttentionKernels *attention) {
  size_t i = 0;
  while (variants[i].name) i++;
  variants[i] = (MwVariant){name, matmul, attention};
  if (i) strcat(names, " ");
  strcat(names, name);
}

static const MwVariant *named(const char *name) {
  for (const MwVariant *v = variants; v->name; v++)
    if (strcmp(v->name, name) == 0) return v;
  return 0;
}

/** Before anything else of the library runs. */
__attribute__((constructor)) static void begin(void) {
#if defined(__x86_64__)
  Cpu cpu = look();
  if (cpu.avx512_vnni) add("avx512-vnni", &mw_matmul_avx512, &mw_attention_avx512);
  if (cpu.avx_vnni) add("avx-vnni", &mw_matmul_avxvnni, &mw_attention_avx2);
  if (cpu.avx2) add("avx2", &mw_matmul_avx2, &mw_attention_avx2);
#elif defined(__aarch64__)
  if (has_dot_product() && has_matrix_product()) add("neon-i8mm", &mw_matmul_i8mm, &mw_attention_neon);
  if (has_dot_product()) add("neon-dotprod", &mw_matmul_neon, &mw_attention_neon);
#endif
  add("scalar", &mw_matmul_scalar, &mw_attention_scalar);
  const char *wanted = getenv("MODELWIRE_KERNELS");
  const MwVariant *chosen = wanted ? named(wanted) : 0;
  atomic_store(&in_use, chosen ? chosen : &variants[0]);
}

const MwVariant *mw_variant_at(size_t index) {
  return index < MOST_VARIANTS && variants[index].name ? &variants[index] : 0;
}

const MwVariant *mw_variant_in_use(void) { return atomic_load(&in_use); }

/** Names of those that this processor runs, best first, with a space between. */
MW_EXPORT const char *mw_variants(void) { return names; }

/** Name of the one in use. */
MW_EXPORT const char *mw_variant(void) { return mw_variant_in_use()->name; }

/** Takes another one from the next call of an operator on. @return 0, or -1 when this processor does not run it */
MW_EXPORT int mw_choose_variant(const char *name) {
  const MwVariant *variant = named(name);
  if (!variant) return -1;
  atomic_store(&in_use, variant);
  return 0;
}

MW_EXPORT int mw_layout_version(void) { return MW_LAYOUT_VERSION; }
