// Highway compiles this file once per target: simd_targets.h first, then foreach_target.h, which
// includes it again for every target but the last.
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/embed.cc"
#include "hwy/foreach_target.h"

#include <cstring>

#include "common/base/bfloat16.h"
#include "common/base/check.h"
#include "hwy/highway.h"
#include "kernels/cpu/embed.h"
#include "kernels/cpu/row_blocks.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void WidenRow(const BFloat16* row, float* out, size_t n) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> d32;
  const hn::Rebind<uint16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::LoadU(d16, &row[i].bits);
    const auto wide = hn::ShiftLeft<16>(hn::PromoteTo(d32, bits));
    hn::StoreU(hn::BitCast(d, wide), d, out + i);
  }
  for (; i < n; ++i) out[i] = ToFloat(row[i]);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {

HWY_EXPORT(WidenRow);

void EmbedCpu(const EmbedArgs& args, ThreadPool& pool) {
  const size_t cols = args.table.cols;
  ForEachRow(pool, args.num_rows, cols, [&](uint32_t row) {
    const auto id = static_cast<uint32_t>(args.ids[row]);
    SF_CHECK(id < args.table.rows);
    float* out = static_cast<float*>(args.out) + row * cols;
    if (args.table.dtype == DType::kBF16) {
      HWY_DYNAMIC_DISPATCH(WidenRow)
      (static_cast<const BFloat16*>(args.table.data) + id * cols, out, cols);
    } else {
      std::memcpy(out, static_cast<const float*>(args.table.data) + id * cols,
                  cols * sizeof(float));
    }
  });
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
