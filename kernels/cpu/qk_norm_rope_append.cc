// Highway compiles this file once per target: simd_targets.h first, then foreach_target.h, which
// includes it again for every target but the last.
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/qk_norm_rope_append.cc"
#include "hwy/foreach_target.h"

#include <cmath>
#include <cstring>

#include "common/base/check.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/api/validate.h"
#include "kernels/cpu/qk_norm_rope_append.h"
#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/row_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

// Cosine and sine of one position's angles; padded so that whole vectors may be loaded.
struct Rotation {
  HWY_ALIGN float cos[kMaxHeadDim / 2 + kMaxFloatLanes];
  HWY_ALIGN float sin[kMaxHeadDim / 2 + kMaxFloatLanes];
};

// The angle is reduced to [-pi, pi] in float64: position * inv_freq in float32 would lose 2e-3
// radians at position 32768.
HWY_INLINE void FillRotation(int32_t position, const float* inv_freq, size_t half,
                             Rotation& rotation) {
  constexpr double kTwoPi = 6.283185307179586476925286766559;
  HWY_ALIGN float reduced[kMaxHeadDim / 2 + kMaxFloatLanes] = {};
  for (size_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * static_cast<double>(inv_freq[i]);
    reduced[i] = static_cast<float>(angle - kTwoPi * std::nearbyint(angle / kTwoPi));
  }
  const FloatTag d;
  for (size_t i = 0; i < half; i += hn::Lanes(d)) {
    const FloatVec angles = hn::LoadU(d, reduced + i);
    hn::StoreU(hn::Cos(d, angles), d, rotation.cos + i);
    hn::StoreU(hn::Sin(d, angles), d, rotation.sin + i);
  }
}

HWY_INLINE void Rotate(const float* in, const Rotation& rotation, size_t half, float* out) {
  const FloatTag d;
  for (size_t i = 0; i < half; i += hn::Lanes(d)) {
    const size_t count = half - i;
    const FloatVec low = LoadUpTo(in + i, count);
    const FloatVec high = LoadUpTo(in + half + i, count);
    const FloatVec cos = hn::LoadU(d, rotation.cos + i);
    const FloatVec sin = hn::LoadU(d, rotation.sin + i);
    StoreUpTo(hn::NegMulAdd(high, sin, hn::Mul(low, cos)), out + i, count);
    StoreUpTo(hn::MulAdd(high, cos, hn::Mul(low, sin)), out + half + i, count);
  }
}

HWY_INLINE void NormRotate(const float* in, const float* norm, float eps, const Rotation& rotation,
                           size_t head_dim, float* out) {
  HWY_ALIGN float normed[kMaxHeadDim];
  if (norm != nullptr) {
    ScaleByWeight(in, InverseRms(in, head_dim, eps), norm, normed, head_dim);
    in = normed;
  }
  Rotate(in, rotation, head_dim / 2, out);
}

void QkNormRopeAppendRow(const QkNormRopeAppendArgs& args, uint32_t row) {
  const KvLayer& kv = args.kv;
  const size_t head_dim = kv.head_dim;
  const float* q = static_cast<const float*>(args.qkv) +
                   size_t{row} * (args.num_heads + 2 * kv.num_kv_heads) * head_dim;
  const float* k = q + args.num_heads * head_dim;
  const float* v = k + kv.num_kv_heads * head_dim;
  Rotation rotation;
  FillRotation(args.positions[row], args.inv_freq, head_dim / 2, rotation);

  float* q_out = static_cast<float*>(args.q_out) + size_t{row} * args.num_heads * head_dim;
  for (size_t h = 0; h < args.num_heads; ++h) {
    NormRotate(q + h * head_dim, args.q_norm, args.eps, rotation, head_dim, q_out + h * head_dim);
  }
  const int64_t slot = args.slots[row];
  if (slot < 0) return;
  const size_t block = static_cast<size_t>(slot) / kv.block_tokens;
  const size_t offset = static_cast<size_t>(slot) % kv.block_tokens;
  SF_CHECK(block < kv.num_blocks);
  for (size_t h = 0; h < kv.num_kv_heads; ++h) {
    const size_t at =
        block * (kv.block_stride / sizeof(float)) + (h * kv.block_tokens + offset) * head_dim;
    NormRotate(k + h * head_dim, args.k_norm, args.eps, rotation, head_dim,
               static_cast<float*>(kv.k) + at);
    std::memcpy(static_cast<float*>(kv.v) + at, v + h * head_dim, head_dim * sizeof(float));
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {

HWY_EXPORT(QkNormRopeAppendRow);

void QkNormRopeAppendCpu(const QkNormRopeAppendArgs& args, ThreadPool& pool) {
  const uint64_t elements =
      uint64_t{2} * (args.num_heads + args.kv.num_kv_heads) * args.kv.head_dim;
  ForEachRow(pool, args.num_rows, elements, [&](uint32_t row) {
    HWY_DYNAMIC_DISPATCH(QkNormRopeAppendRow)(args, row);
  });
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
