// Compiled once for every SIMD target by Highway, the best one chosen at run time.
#include "common/expert_cache/quantizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/expert_cache/quantizer.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef SPEARFISH_QUANTIZER_ONCE
#define SPEARFISH_QUANTIZER_ONCE
namespace spearfish {

// Sums run over 16 lanes in a fixed order whatever the vector width, and this file is compiled
// without fused multiply-add: caches packed on different CPUs are equal byte for byte.
inline constexpr size_t kLanes = 16;
inline constexpr uint32_t kInfinityBits = 0x7f800000;

// The candidate divisors of kMse: z - 1 (absmax's), z (the largest weight on the extra code), and
// what lies around the best ones. On trained experts nearly all groups choose 7.25 to 10.25 at 4
// bits and 127 to 130 at 8; the rest serves heavy tails. Four times as many candidates between 7
// and 17 take 0.5 % off the squared error.
inline constexpr std::array<float, 18> kDivisors4 = {7.0f,  7.25f, 7.5f,  7.75f, 8.0f,  8.25f,
                                                     8.5f,  8.75f, 9.0f,  9.25f, 9.5f,  9.75f,
                                                     10.0f, 10.5f, 11.0f, 12.0f, 13.5f, 15.5f};
inline constexpr std::array<float, 10> kDivisors8 = {127.0f, 127.5f, 128.0f, 128.5f, 129.0f,
                                                     129.5f, 130.0f, 132.0f, 136.0f, 144.0f};

struct QuantRange {
  float zero_point;  // codes go from -zero_point to zero_point - 1
  std::span<const float> divisors;
  float max_scale;  // the largest bfloat16 whose product with zero_point is finite
};

constexpr QuantRange RangeOf(uint32_t bits) {
  return bits == 4 ? QuantRange{8.0f, kDivisors4, 0x1.fep124f}
                   : QuantRange{128.0f, kDivisors8, 0x1.fep120f};
}

inline float CandidateScale(float max_abs, float divisor, float max_scale) {
  return std::clamp(ToFloat(ToBFloat16(max_abs / divisor)), 0x1p-126f, max_scale);
}

// Squared errors in units of the scale, for the positive and the negative scale.
struct ErrorPair {
  float positive;
  float negative;
};

}  // namespace spearfish
#endif  // SPEARFISH_QUANTIZER_ONCE

HWY_BEFORE_NAMESPACE();
namespace spearfish {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::CappedTag<float, kLanes>;
using BitsTag = hn::RebindToUnsigned<FloatTag>;

// The bits of max|w|. Without the sign, floats order like integers, and NaN and infinity come last.
uint32_t MaxAbsBits(const float* weights, size_t group) {
  const FloatTag df;
  const BitsTag du;
  const auto magnitude = hn::Set(du, 0x7fffffffu);
  auto largest = hn::Zero(du);
  for (size_t i = 0; i < group; i += hn::Lanes(df)) {
    largest = hn::Max(largest, hn::And(hn::BitCast(du, hn::LoadU(df, weights + i)), magnitude));
  }
  return hn::GetLane(hn::MaxOfLanes(du, largest));
}

// By halves: a chain of additions would wait for each of them.
float SumLanes(float* lanes) {
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

ErrorPair ErrorsOf(const float* weights, size_t group, float scale, float zero_point) {
  const FloatTag d;
  const auto inverse = hn::Set(d, 1.0f / scale);
  const auto low = hn::Set(d, -zero_point);
  const auto high = hn::Set(d, zero_point - 1);
  const auto mirrored_low = hn::Set(d, 1 - zero_point);
  const auto mirrored_high = hn::Set(d, zero_point);
  HWY_ALIGN float positive[kLanes];
  HWY_ALIGN float negative[kLanes];
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    auto sum_positive = hn::Zero(d);
    auto sum_negative = hn::Zero(d);
    for (size_t i = lane; i < group; i += kLanes) {
      const auto x = hn::Mul(hn::LoadU(d, weights + i), inverse);
      const auto rounded = hn::Round(x);
      const auto error = hn::Sub(x, hn::Min(hn::Max(rounded, low), high));
      const auto mirrored = hn::Sub(x, hn::Min(hn::Max(rounded, mirrored_low), mirrored_high));
      sum_positive = hn::Add(sum_positive, hn::Mul(error, error));
      sum_negative = hn::Add(sum_negative, hn::Mul(mirrored, mirrored));
    }
    hn::Store(sum_positive, d, positive + lane);
    hn::Store(sum_negative, d, negative + lane);
  }
  return {SumLanes(positive), SumLanes(negative)};
}

// `max_abs` > 0.
float LeastErrorScale(const float* weights, size_t group, float max_abs, const QuantRange& range) {
  double least = HUGE_VAL;
  float best = 0;
  float previous = 0;
  for (const float divisor : range.divisors) {
    const float scale = CandidateScale(max_abs, divisor, range.max_scale);
    if (scale == previous) continue;  // neighbours round to one bfloat16
    previous = scale;
    const ErrorPair errors = ErrorsOf(weights, group, scale, range.zero_point);
    const double unit = static_cast<double>(scale) * scale;
    if (errors.positive * unit < least) {
      least = errors.positive * unit;
      best = scale;
    }
    if (errors.negative * unit < least) {
      least = errors.negative * unit;
      best = -scale;
    }
  }
  return best;
}

void StoreCodes(const float* weights, size_t group, float scale, float zero_point, uint8_t* codes) {
  const FloatTag d;
  const hn::Rebind<int32_t, FloatTag> di;
  const hn::Rebind<uint8_t, FloatTag> du8;
  const auto divisor = hn::Set(d, scale);
  const auto low = hn::Set(d, -zero_point);
  const auto high = hn::Set(d, zero_point - 1);
  const auto offset = hn::Set(di, static_cast<int32_t>(zero_point));
  for (size_t i = 0; i < group; i += hn::Lanes(d)) {
    const auto x = hn::Div(hn::LoadU(d, weights + i), divisor);
    const auto q = hn::Round(hn::Min(hn::Max(x, low), high));
    hn::StoreU(hn::DemoteTo(du8, hn::Add(hn::ConvertTo(di, q), offset)), du8, codes + i);
  }
}

// Returns the index of the first group that holds a NaN or an infinity, or num_groups.
size_t QuantizeAll(const float* weights, size_t num_groups, size_t group,
                   const QuantOptions& options, uint8_t* codes, BFloat16* scales) {
  const QuantRange range = RangeOf(options.bits);
  for (size_t g = 0; g < num_groups; ++g) {
    const float* w = weights + g * group;
    const uint32_t max_bits = MaxAbsBits(w, group);
    if (max_bits >= kInfinityBits) return g;
    float max_abs;
    std::memcpy(&max_abs, &max_bits, sizeof(max_abs));
    float scale = 1;
    if (max_bits != 0) {
      scale = options.scale == ScaleMode::kMse
                  ? LeastErrorScale(w, group, max_abs, range)
                  : CandidateScale(max_abs, range.zero_point - 1, range.max_scale);
    }
    scales[g] = ToBFloat16(scale);
    StoreCodes(w, group, scale, range.zero_point, codes + g * group);
  }
  return num_groups;
}

}  // namespace HWY_NAMESPACE
}  // namespace spearfish
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish {

HWY_EXPORT(QuantizeAll);

std::optional<size_t> QuantizeGroups(std::span<const float> weights, uint32_t group,
                                     const QuantOptions& options, std::span<uint8_t> codes,
                                     std::span<BFloat16> scales) {
  SF_CHECK(group > 0 && group % kLanes == 0 && weights.size() % group == 0);
  SF_CHECK(codes.size() == weights.size() && scales.size() == weights.size() / group);
  const size_t bad_group = HWY_DYNAMIC_DISPATCH(QuantizeAll)(weights.data(), scales.size(), group,
                                                             options, codes.data(), scales.data());
  if (bad_group == scales.size()) return std::nullopt;
  const auto first = weights.begin() + static_cast<ptrdiff_t>(bad_group * group);
  const auto bad = std::find_if(first, weights.end(), [](float w) { return !std::isfinite(w); });
  return static_cast<size_t>(bad - weights.begin());
}

}  // namespace spearfish
#endif  // HWY_ONCE
