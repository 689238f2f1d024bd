// What the CPU kernels need beside Highway's own operations, per target.
#if defined(KERNELS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_CPU_SIMD_INL_H_
#undef KERNELS_CPU_SIMD_INL_H_
#else
#define KERNELS_CPU_SIMD_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// acc[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1], exact modulo 2^32.
template <class D32, class V32 = hn::Vec<D32>, class V16 = hn::Vec<hn::Repartition<int16_t, D32>>>
HWY_INLINE V32 MulAddPairs(D32 d, V16 a, V16 b, V32 acc) {
#if HWY_TARGET == HWY_AVX3_DL
  // In assembler because Highway 1.0.3, which picks AVX3_DL only where AVX512-VNNI is, compiles it
  // without; and because g++ 12 copies the accumulator around the intrinsic.
  if constexpr (hn::MaxLanes(D32()) == 16) {
    asm("vpdpwssd %[b], %[a], %[acc]" : [acc] "+v"(acc.raw) : [a] "v"(a.raw), [b] "v"(b.raw));
    return acc;
  }
#endif
  V32 odd = hn::Zero(d);
  const V32 even = hn::ReorderWidenMulAccumulate(d, a, b, hn::Zero(d), odd);
  return hn::Add(acc, hn::RearrangeToOddPlusEven(even, odd));
}

}  // namespace spearfish::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_CPU_SIMD_INL_H_
