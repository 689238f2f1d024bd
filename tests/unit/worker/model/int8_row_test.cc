#include "worker/model/int8_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace spearfish::worker {
namespace {

struct Quantized {
  float scale;
  std::vector<int> q;
};

Quantized Quantize(const std::vector<float>& row) {
  std::vector<int8_t> q(row.size(), int8_t{99});
  const float scale = QuantizeInt8Row(row, q.data());
  return {scale, {q.begin(), q.end()}};
}

TEST(Int8RowTest, TheLargestWeightIsAtTheEnd) {
  const Quantized row = Quantize({0.5f, -254.0f, 1.9f, 0.0f});
  EXPECT_EQ(row.scale, 2.0f);
  EXPECT_THAT(row.q, testing::ElementsAre(0, -127, 1, 0));
}

TEST(Int8RowTest, RoundsHalfToEven) {
  const Quantized row = Quantize({127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, -126.5f});
  EXPECT_EQ(row.scale, 1.0f);
  EXPECT_THAT(row.q, testing::ElementsAre(127, 0, 2, 2, 0, -2, -2, 126, -126));
}

TEST(Int8RowTest, ZerosHaveNoScale) {
  const Quantized row = Quantize({0.0f, -0.0f, 0.0f});
  EXPECT_EQ(row.scale, 0.0f);
  EXPECT_THAT(row.q, testing::Each(0));
  EXPECT_EQ(Quantize({}).scale, 0.0f);
}

TEST(Int8RowTest, StaysInBoundsAtTheEndsOfTheRange) {
  const float most = std::numeric_limits<float>::max();
  const float least = std::numeric_limits<float>::denorm_min();
  EXPECT_THAT(Quantize({most, -most}).q, testing::ElementsAre(127, -127));
  for (const float largest : {least, 63 * least, 64 * least, 100 * least, 190 * least}) {
    const Quantized row = Quantize({largest, -largest, least});
    for (const int q : row.q) EXPECT_LE(std::abs(q), 127) << largest;
  }
}

TEST(Int8RowTest, IsTheRuleForRandomRows) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  for (const size_t length : {1u, 3u, 16u, 77u, 1000u}) {
    std::vector<float> row(length);
    for (float& w : row) w = normal(random);
    const Quantized actual = Quantize(row);
    float largest = 0;
    for (const float w : row) largest = std::max(largest, std::abs(w));
    ASSERT_EQ(actual.scale, largest / 127.0f);
    for (size_t i = 0; i < length; ++i) {
      EXPECT_EQ(actual.q[i], static_cast<int>(std::nearbyint(row[i] / actual.scale)));
      EXPECT_LE(std::abs(actual.q[i] * actual.scale - row[i]), 0.5001f * actual.scale);
    }
  }
}

}  // namespace
}  // namespace spearfish::worker
