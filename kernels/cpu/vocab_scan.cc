// Highway compiles this file once per target: simd_targets.h first, then foreach_target.h, which
// includes it again for every target but the last.
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/vocab_scan.cc"
#include "hwy/foreach_target.h"

#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/cpu/row_vectors-inl.h"
#include "kernels/cpu/vocab_scan.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

HWY_INLINE FloatVec FiniteOrLowest(FloatVec v) {
  const FloatTag d;
  return hn::IfThenElse(hn::IsFinite(v), v, hn::Set(d, -std::numeric_limits<float>::infinity()));
}

float LargestFiniteOf(const float* x, size_t n) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  FloatVec maxima = hn::Set(d, -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    maxima = hn::Max(maxima, FiniteOrLowest(hn::LoadU(d, x + i)));
  }
  float max = hn::GetLane(hn::MaxOfLanes(d, maxima));
  for (; i < n; ++i) {
    if (std::isfinite(x[i]) && x[i] > max) max = x[i];
  }
  return max;
}

void CopyFiniteOf(const float* x, float* out, size_t n) {
  for (size_t i = 0; i < n; i += hn::Lanes(FloatTag())) {
    StoreUpTo(FiniteOrLowest(LoadUpTo(x + i, n - i)), out + i, n - i);
  }
}

size_t FindEqualIn(const float* x, size_t n, float value) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto hits = hn::Eq(hn::LoadU(d, x + i), hn::Set(d, value));
    const intptr_t first = hn::FindFirstTrue(d, hits);
    if (first >= 0) return i + static_cast<size_t>(first);
  }
  while (i < n && x[i] != value) ++i;
  return i;
}

size_t FindAboveIn(const float* x, size_t begin, size_t n, float bound) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = begin;
  for (; i + lanes <= n; i += lanes) {
    const auto hits = hn::Gt(hn::LoadU(d, x + i), hn::Set(d, bound));
    const intptr_t first = hn::FindFirstTrue(d, hits);
    if (first >= 0) return i + static_cast<size_t>(first);
  }
  while (i < n && !(x[i] > bound)) ++i;
  return i;
}

size_t CountAboveIn(const float* x, size_t n, float bound) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t count = 0;
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    count += hn::CountTrue(d, hn::Gt(hn::LoadU(d, x + i), hn::Set(d, bound)));
  }
  for (; i < n; ++i) count += x[i] > bound ? 1 : 0;
  return count;
}

double SumExpOf(const float* x, size_t n, float shift, float temperature) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const size_t lanes = hn::Lanes(d);
  const auto shifts = hn::Set(d, static_cast<double>(shift));
  const auto temperatures = hn::Set(d, static_cast<double>(temperature));
  auto sums = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto wide = hn::PromoteTo(d, hn::LoadU(df, x + i));
    const auto exp = hn::Exp(d, hn::Div(hn::Sub(wide, shifts), temperatures));
    sums = hn::Add(sums, hn::IfThenElseZero(hn::IsFinite(wide), exp));
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < n; ++i) {
    if (std::isfinite(x[i])) sum += std::exp((static_cast<double>(x[i]) - shift) / temperature);
  }
  return sum;
}

size_t CollectAtLeastIn(const float* x, size_t n, float bound, uint32_t* ids) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t count = 0;
  for (size_t i = 0; i < n; i += lanes) {
    // Almost every vector of a vocabulary has no candidate.
    if (i + lanes <= n && hn::AllFalse(d, hn::Ge(hn::LoadU(d, x + i), hn::Set(d, bound)))) {
      continue;
    }
    for (size_t j = i; j < i + lanes && j < n; ++j) {
      if (x[j] >= bound) ids[count++] = static_cast<uint32_t>(j);
    }
  }
  return count;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {
namespace {

HWY_EXPORT(LargestFiniteOf);
HWY_EXPORT(CopyFiniteOf);
HWY_EXPORT(FindEqualIn);
HWY_EXPORT(FindAboveIn);
HWY_EXPORT(CountAboveIn);
HWY_EXPORT(SumExpOf);
HWY_EXPORT(CollectAtLeastIn);

}  // namespace

float LargestFinite(std::span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(LargestFiniteOf)(x.data(), x.size());
}

void CopyFinite(std::span<const float> x, std::span<float> out) {
  SF_CHECK(x.size() == out.size());
  HWY_DYNAMIC_DISPATCH(CopyFiniteOf)(x.data(), out.data(), x.size());
}

size_t FindEqual(std::span<const float> x, float value) {
  return HWY_DYNAMIC_DISPATCH(FindEqualIn)(x.data(), x.size(), value);
}

size_t FindAbove(std::span<const float> x, size_t begin, float bound) {
  return HWY_DYNAMIC_DISPATCH(FindAboveIn)(x.data(), begin, x.size(), bound);
}

size_t CountAbove(std::span<const float> x, float bound) {
  return HWY_DYNAMIC_DISPATCH(CountAboveIn)(x.data(), x.size(), bound);
}

double SumExp(std::span<const float> x, float shift, float temperature) {
  return HWY_DYNAMIC_DISPATCH(SumExpOf)(x.data(), x.size(), shift, temperature);
}

size_t CollectAtLeast(std::span<const float> x, float bound, uint32_t* ids) {
  return HWY_DYNAMIC_DISPATCH(CollectAtLeastIn)(x.data(), x.size(), bound, ids);
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
