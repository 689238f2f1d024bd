// Pieces of row arithmetic shared by the float32 operations, compiled once per Highway target.
// Every reduction runs in an order that depends on the length alone.
#if defined(KERNELS_CPU_ROW_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_CPU_ROW_VECTORS_INL_H_
#undef KERNELS_CPU_ROW_VECTORS_INL_H_
#else
#define KERNELS_CPU_ROW_VECTORS_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
inline constexpr size_t kMaxFloatLanes = HWY_MAX_BYTES / sizeof(float);

// The first `count` lanes from memory, the others zero. Reads nothing beyond them (a masked load
// may, on targets without masks).
HWY_INLINE FloatVec LoadTail(const float* from, size_t count) {
  HWY_ALIGN float lanes[kMaxFloatLanes] = {};
  std::memcpy(lanes, from, count * sizeof(float));
  return hn::Load(FloatTag(), lanes);
}

HWY_INLINE void StoreTail(FloatVec vec, float* to, size_t count) {
  HWY_ALIGN float lanes[kMaxFloatLanes];
  hn::Store(vec, FloatTag(), lanes);
  std::memcpy(to, lanes, count * sizeof(float));
}

HWY_INLINE FloatVec LoadUpTo(const float* from, size_t count) {
  return count >= hn::Lanes(FloatTag()) ? hn::LoadU(FloatTag(), from) : LoadTail(from, count);
}

HWY_INLINE void StoreUpTo(FloatVec vec, float* to, size_t count) {
  if (count >= hn::Lanes(FloatTag())) {
    hn::StoreU(vec, FloatTag(), to);
  } else {
    StoreTail(vec, to, count);
  }
}

HWY_INLINE float Sum(FloatVec vec) { return hn::GetLane(hn::SumOfLanes(FloatTag(), vec)); }

// Four accumulators hide the latency of the multiply-add.
HWY_INLINE float SumOfSquares(const float* x, size_t n) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  FloatVec a0 = hn::Zero(d);
  FloatVec a1 = a0;
  FloatVec a2 = a0;
  FloatVec a3 = a0;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const FloatVec x0 = hn::LoadU(d, x + i);
    const FloatVec x1 = hn::LoadU(d, x + i + lanes);
    const FloatVec x2 = hn::LoadU(d, x + i + 2 * lanes);
    const FloatVec x3 = hn::LoadU(d, x + i + 3 * lanes);
    a0 = hn::MulAdd(x0, x0, a0);
    a1 = hn::MulAdd(x1, x1, a1);
    a2 = hn::MulAdd(x2, x2, a2);
    a3 = hn::MulAdd(x3, x3, a3);
  }
  for (; i < n; i += lanes) {
    const FloatVec v = LoadUpTo(x + i, n - i);
    a0 = hn::MulAdd(v, v, a0);
  }
  return Sum(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)));
}

// 1 / sqrt(mean(x^2) + eps).
HWY_INLINE float InverseRms(const float* x, size_t n, float eps) {
  return 1.0f / std::sqrt(SumOfSquares(x, n) / static_cast<float>(n) + eps);
}

// out[i] = x[i] * factor * weight[i]; out may be x.
HWY_INLINE void ScaleByWeight(const float* x, float factor, const float* weight, float* out,
                              size_t n) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const FloatVec factors = hn::Set(d, factor);
  for (size_t i = 0; i < n; i += lanes) {
    const FloatVec scaled = hn::Mul(LoadUpTo(x + i, n - i), factors);
    StoreUpTo(hn::Mul(scaled, LoadUpTo(weight + i, n - i)), out + i, n - i);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
