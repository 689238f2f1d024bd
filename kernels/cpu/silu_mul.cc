// Highway compiles this file once per target: simd_targets.h first, then foreach_target.h, which
// includes it again for every target but the last.
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/silu_mul.cc"
#include "hwy/foreach_target.h"

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/row_vectors-inl.h"
#include "kernels/cpu/silu_mul.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

void SiluMulRow(const float* gate, const float* up, float* out, size_t n) {
  const FloatTag d;
  const FloatVec one = hn::Set(d, 1.0f);
  // Highway's Exp ends at 104 and float32 at 88.7; beyond, silu is below 1e-36 anyway.
  const FloatVec largest = hn::Set(d, 88.0f);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const FloatVec x = LoadUpTo(gate + i, n - i);
    const FloatVec exp = hn::Exp(d, hn::Min(hn::Neg(x), largest));
    const FloatVec silu = hn::Div(x, hn::Add(one, exp));
    StoreUpTo(hn::Mul(silu, LoadUpTo(up + i, n - i)), out + i, n - i);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {

HWY_EXPORT(SiluMulRow);

void SiluMulCpu(const SiluMulArgs& args, ThreadPool& pool) {
  const size_t dim = args.dim;
  ForEachRow(pool, args.num_rows, 4 * dim, [&](uint32_t row) {
    const float* gate = static_cast<const float*>(args.gate_up) + row * 2 * dim;
    HWY_DYNAMIC_DISPATCH(SiluMulRow)
    (gate, gate + dim, static_cast<float*>(args.out) + row * dim, dim);
  });
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
