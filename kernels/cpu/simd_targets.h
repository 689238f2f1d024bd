// Which instruction sets the CPU kernels are compiled for. Include before any Highway header, in
// every file that dispatches and in every test that walks the targets.
#ifndef KERNELS_CPU_SIMD_TARGETS_H_
#define KERNELS_CPU_SIMD_TARGETS_H_

#include "hwy/detect_compiler_arch.h"

// Highway leaves AVX3_DL (Ice Lake and newer: VNNI) out unless asked.
#define HWY_WANT_AVX3_DL

// Debian's g++ is older than 12.3, for which Highway falls back to one-lane vectors (HWY_SCALAR)
// that lack the block shuffles used here. SSSE3 is on every x86-64 processor since 2006 and serves
// as the plain variant.
#if HWY_ARCH_X86
#define HWY_BASELINE_TARGETS HWY_SSSE3
#endif

#endif  // KERNELS_CPU_SIMD_TARGETS_H_
