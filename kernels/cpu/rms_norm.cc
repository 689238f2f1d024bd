// Highway compiles this file once per target: simd_targets.h first, then foreach_target.h, which
// includes it again for every target but the last.
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "kernels/cpu/rms_norm.h"
#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/row_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

void AddInto(float* sum, const float* x, size_t n) {
  const size_t lanes = hn::Lanes(FloatTag());
  for (size_t i = 0; i < n; i += lanes) {
    StoreUpTo(hn::Add(LoadUpTo(sum + i, n - i), LoadUpTo(x + i, n - i)), sum + i, n - i);
  }
}

void RmsNormRow(const RmsNormArgs& args, uint32_t row) {
  const size_t begin = size_t{row} * args.dim;
  const float* values = static_cast<const float*>(args.x) + begin;
  if (args.residual != nullptr) {
    float* residual = static_cast<float*>(args.residual) + begin;
    AddInto(residual, values, args.dim);
    values = residual;
  }
  const float factor = InverseRms(values, args.dim, args.eps);
  ScaleByWeight(values, factor, args.weight, static_cast<float*>(args.out) + begin, args.dim);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {

HWY_EXPORT(RmsNormRow);

void RmsNormCpu(const RmsNormArgs& args, ThreadPool& pool) {
  ForEachRow(pool, args.num_rows, args.dim, [&](uint32_t row) {
    HWY_DYNAMIC_DISPATCH(RmsNormRow)(args, row);
  });
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
