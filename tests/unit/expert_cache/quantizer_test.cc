#include "common/expert_cache/quantizer.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace spearfish {
namespace {

constexpr uint32_t kGroup = 128;

struct Quantized {
  std::vector<uint8_t> codes;
  std::vector<BFloat16> scales;
  std::optional<size_t> bad;
};

Quantized Quantize(const std::vector<float>& weights, uint32_t bits, ScaleMode mode,
                   uint32_t group = kGroup) {
  Quantized out;
  out.codes.resize(weights.size());
  out.scales.resize(weights.size() / group);
  out.bad = QuantizeGroups(weights, group, {.bits = bits, .scale = mode}, out.codes, out.scales);
  return out;
}

double GroupError(const std::vector<float>& weights, const Quantized& quantized, uint32_t bits,
                  size_t group_index, uint32_t group = kGroup) {
  double sum = 0;
  for (size_t i = group_index * group; i < (group_index + 1) * group; ++i) {
    const double error = double{weights[i]} - double{Dequantize(quantized.codes[i], bits,
                                                                quantized.scales[group_index])};
    sum += error * error;
  }
  return sum;
}

// Groups of very different shapes: normal, heavy-tailed, one-sided, one outlier.
std::vector<float> RandomGroups(size_t num_groups, uint32_t group = kGroup) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(num_groups * group);
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t g = i / group;
    float w = normal(random);
    if (g % 4 == 1) w = w * w * w * 4000;
    if (g % 4 == 2) w = -std::fabs(w);
    if (g % 4 == 3 && i % group == g % group) w *= 30;
    weights[i] = ToFloat(ToBFloat16(w));
  }
  return weights;
}

class QuantizerTest : public testing::TestWithParam<uint32_t> {};

TEST_P(QuantizerTest, AbsmaxFollowsTheFormula) {
  const uint32_t bits = GetParam();
  const int zero = ZeroPoint(bits);
  const std::vector<float> weights = RandomGroups(64);
  const Quantized got = Quantize(weights, bits, ScaleMode::kAbsmax);
  ASSERT_FALSE(got.bad);
  for (size_t g = 0; g < got.scales.size(); ++g) {
    float largest = 0;
    for (size_t i = 0; i < kGroup; ++i) {
      largest = std::max(largest, std::fabs(weights[g * kGroup + i]));
    }
    const BFloat16 scale = ToBFloat16(largest / static_cast<float>(zero - 1));
    ASSERT_EQ(got.scales[g].bits, scale.bits);
    for (size_t i = g * kGroup; i < (g + 1) * kGroup; ++i) {
      const double q = std::clamp(std::nearbyint(double{weights[i]} / double{ToFloat(scale)}),
                                  double(-zero), double(zero - 1));
      ASSERT_EQ(got.codes[i], static_cast<int>(q) + zero) << "weight " << i;
    }
  }
}

TEST_P(QuantizerTest, RoundsHalfToEven) {
  const uint32_t bits = GetParam();
  const int zero = ZeroPoint(bits);
  std::vector<float> weights(kGroup, 0.0f);
  weights[0] = static_cast<float>(zero - 1);  // s = 1
  weights[1] = 0.5f;
  weights[2] = 1.5f;
  weights[3] = 2.5f;
  weights[4] = -0.5f;
  weights[5] = -1.5f;
  weights[6] = -2.5f;
  const Quantized got = Quantize(weights, bits, ScaleMode::kAbsmax);
  EXPECT_EQ(ToFloat(got.scales[0]), 1.0f);
  const int expected[] = {zero - 1, 0, 2, 2, 0, -2, -2, 0};
  for (size_t i = 0; i < std::size(expected); ++i) {
    EXPECT_EQ(got.codes[i] - zero, expected[i]) << i;
  }
}

TEST_P(QuantizerTest, MseIsNeverWorseThanAbsmax) {
  const uint32_t bits = GetParam();
  for (const uint32_t group : {32u, 64u, 128u}) {
    const std::vector<float> weights = RandomGroups(400, group);
    const Quantized absmax = Quantize(weights, bits, ScaleMode::kAbsmax, group);
    const Quantized mse = Quantize(weights, bits, ScaleMode::kMse, group);
    double sum_absmax = 0;
    double sum_mse = 0;
    for (size_t g = 0; g < mse.scales.size(); ++g) {
      const double error_absmax = GroupError(weights, absmax, bits, g, group);
      const double error_mse = GroupError(weights, mse, bits, g, group);
      ASSERT_LE(error_mse, error_absmax * (1 + 1e-5)) << "group " << g << " of " << group;
      sum_absmax += error_absmax;
      sum_mse += error_mse;
    }
    EXPECT_LT(sum_mse, sum_absmax * (bits == 4 ? 0.85 : 0.995));
  }
}

TEST_P(QuantizerTest, MseFindsTheBestOfBothSigns) {
  const uint32_t bits = GetParam();
  const int zero = ZeroPoint(bits);
  for (const float sign : {1.0f, -1.0f}) {
    std::vector<float> weights(kGroup);
    for (size_t i = 0; i < kGroup; ++i) {
      weights[i] = sign * 0.25f * static_cast<float>(static_cast<int>(i) % (2 * zero) - zero);
    }
    if (bits == 8) weights[0] = sign * -32.0f;
    const Quantized got = Quantize(weights, bits, ScaleMode::kMse);
    if (bits == 4) {  // only a scale of that sign reaches the extra code exactly
      EXPECT_EQ(ToFloat(got.scales[0]), sign * 0.25f);
      EXPECT_EQ(GroupError(weights, got, bits, 0), 0.0);
    } else {
      EXPECT_EQ(ToFloat(got.scales[0]) > 0, sign > 0);
    }
  }
}

TEST_P(QuantizerTest, ZerosStayZero) {
  for (const ScaleMode mode : {ScaleMode::kAbsmax, ScaleMode::kMse}) {
    std::vector<float> weights(2 * kGroup, 0.0f);
    weights[5] = -0.0f;
    const Quantized got = Quantize(weights, GetParam(), mode);
    ASSERT_FALSE(got.bad);
    for (const BFloat16 scale : got.scales) EXPECT_EQ(ToFloat(scale), 1.0f);
    for (const uint8_t code : got.codes) EXPECT_EQ(code, ZeroPoint(GetParam()));
  }
}

TEST_P(QuantizerTest, KeepsScalesNormalAndProductsFiniteAtTheEndsOfTheRange) {
  const float extremes[] = {
      std::numeric_limits<float>::denorm_min(), 1e-40f, 0x1p-126f, 1e-37f, 1e38f,
      std::numeric_limits<float>::max()};
  for (const ScaleMode mode : {ScaleMode::kAbsmax, ScaleMode::kMse}) {
    for (const float extreme : extremes) {
      std::vector<float> weights(kGroup, extreme / 3);
      weights[17] = -extreme;
      const Quantized got = Quantize(weights, GetParam(), mode);
      ASSERT_FALSE(got.bad);
      const float scale = ToFloat(got.scales[0]);
      EXPECT_TRUE(std::isnormal(scale)) << extreme;
      for (size_t i = 0; i < kGroup; ++i) {
        const float value = Dequantize(got.codes[i], GetParam(), got.scales[0]);
        ASSERT_TRUE(std::isfinite(value));
        EXPECT_NEAR(value / extreme, weights[i] / extreme,
                    extreme < 1e-36f ? 0x1p-126 / extreme : 0.15)
            << extreme << " at " << i;
      }
    }
  }
}

TEST_P(QuantizerTest, FindsNanAndInfinity) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (const size_t index : {size_t{0}, size_t{127}, size_t{128}, size_t{3 * 128 + 77}}) {
      std::vector<float> weights = RandomGroups(4);
      weights[index] = bad;
      EXPECT_EQ(Quantize(weights, GetParam(), ScaleMode::kMse).bad, index);
    }
  }
}

// Caches packed on different CPUs must be equal byte for byte.
TEST_P(QuantizerTest, EverySimdTargetGivesTheSameBits) {
  const std::vector<float> weights = RandomGroups(100);
  const Quantized best = Quantize(weights, GetParam(), ScaleMode::kMse);
  const int64_t supported = hwy::SupportedTargets();
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t target = supported & (int64_t{1} << bit);
    if (target == 0) continue;
    hwy::SetSupportedTargetsForTest(target);
    const Quantized other = Quantize(weights, GetParam(), ScaleMode::kMse);
    EXPECT_EQ(best.codes, other.codes) << hwy::TargetName(target);
    for (size_t g = 0; g < best.scales.size(); ++g) {
      ASSERT_EQ(best.scales[g].bits, other.scales[g].bits) << hwy::TargetName(target);
    }
  }
  hwy::SetSupportedTargetsForTest(0);
}

INSTANTIATE_TEST_SUITE_P(Bits, QuantizerTest, testing::Values(4u, 8u));

}  // namespace
}  // namespace spearfish
