#include "common/metrics/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <thread>
#include <vector>

#include "common/metrics/latency_bounds.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;

constexpr std::array<double, 3> kBounds = {1, 2, 4};

TEST(Histogram, BoundsBelongToTheBucketBelow) {
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 2.0, 4.0, 4.5, 100.0}) histogram.Observe(value);
  const HistogramValue value = histogram.value();
  EXPECT_THAT(value.bounds, ElementsAre(1, 2, 4));
  EXPECT_THAT(value.counts, ElementsAre(2, 2, 1, 2));
  EXPECT_EQ(value.count(), 7u);
  EXPECT_EQ(value.sum, 113.5);
}

TEST(Histogram, CountsSeveralAtOnceAndDurations) {
  Histogram histogram(kBounds);
  histogram.Observe(absl::Milliseconds(1500), 3);
  EXPECT_THAT(histogram.value().counts, ElementsAre(0, 3, 0, 0));
  EXPECT_EQ(histogram.value().sum, 4.5);
}

TEST(Histogram, NegativeValuesCountAsZero) {
  Histogram histogram(kBounds);
  histogram.Observe(absl::Seconds(-5));
  EXPECT_THAT(histogram.value().counts, ElementsAre(1, 0, 0, 0));
  EXPECT_EQ(histogram.value().sum, 0);
}

TEST(Histogram, LosesNothingBetweenThreads) {
  constexpr int kThreads = 4;
  constexpr int kEach = 20000;
  Histogram histogram(kBounds);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&histogram, i] {
      for (int j = 0; j < kEach; ++j) histogram.Observe(i + 1.0);
    });
  }
  uint64_t seen = 0;
  do {  // scrapes beside it never go back
    const uint64_t now = histogram.value().count();
    EXPECT_GE(now, seen);
    seen = now;
  } while (seen < uint64_t{kThreads} * kEach);
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(histogram.value().counts, ElementsAre(kEach, kEach, 2 * kEach, 0));
  EXPECT_EQ(histogram.value().sum, (1.0 + 2 + 3 + 4) * kEach);
}

TEST(HistogramValue, CoarsenedKeepsCountAndSum) {
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.5, 3.0, 3.5, 9.0}) histogram.Observe(value);
  constexpr std::array<double, 1> kWider = {2};
  const HistogramValue wider = histogram.value().Coarsened(kWider);
  EXPECT_THAT(wider.bounds, ElementsAre(2));
  EXPECT_THAT(wider.counts, ElementsAre(2, 3));
  EXPECT_EQ(wider.sum, histogram.value().sum);
  EXPECT_THAT(histogram.value().Coarsened(kBounds).counts, ElementsAre(1, 1, 2, 1));
}

TEST(HistogramValueDeathTest, CoarsenedRefusesAForeignBound) {
  const HistogramValue value = Histogram(kBounds).value();
  constexpr std::array<double, 1> kForeign = {3};
  EXPECT_DEATH(static_cast<void>(value.Coarsened(kForeign)), "wider");
}

TEST(LatencyBounds, Ascend) {
  const auto ascends = [](const auto& bounds) {
    return std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>()) == bounds.end();
  };
  EXPECT_TRUE(ascends(kFirstTokenBounds));
  EXPECT_TRUE(ascends(kInterTokenBounds));
  EXPECT_TRUE(ascends(kRequestBounds));
  EXPECT_TRUE(ascends(kStepBounds));
}

}  // namespace
}  // namespace spearfish
