#include "worker/engine/token_rate.h"

#include <gtest/gtest.h>

namespace spearfish::worker {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

TEST(TokenRateTest, IsZeroAtFirst) { EXPECT_EQ(TokenRate().TokensPerSecond(kStart), 0); }

TEST(TokenRateTest, IsTheMeanOverTheWindow) {
  TokenRate rate;
  for (int i = 0; i <= 200; ++i) rate.Add(kStart + i * absl::Milliseconds(100), 3);
  EXPECT_NEAR(rate.TokensPerSecond(kStart + absl::Seconds(20)), 30, 0.7);
}

TEST(TokenRateTest, StartsWithTheSecondsThereWere) {
  TokenRate rate;
  for (int i = 0; i <= 10; ++i) rate.Add(kStart + i * absl::Milliseconds(100), 10);
  EXPECT_NEAR(rate.TokensPerSecond(kStart + absl::Seconds(1)), 110, 1);
}

TEST(TokenRateTest, FallsToZeroWhenNothingComes) {
  TokenRate rate;
  rate.Add(kStart, 1000);
  EXPECT_GT(rate.TokensPerSecond(kStart + absl::Seconds(4)), 0);
  EXPECT_EQ(rate.TokensPerSecond(kStart + absl::Seconds(6)), 0);
  EXPECT_EQ(rate.TokensPerSecond(kStart + absl::Hours(60)), 0);
}

TEST(TokenRateTest, SurvivesAClockThatStepsBack) {
  TokenRate rate;
  rate.Add(kStart, 10);
  rate.Add(kStart - absl::Hours(1), 10);
  EXPECT_GT(rate.TokensPerSecond(kStart), 0);
  EXPECT_EQ(rate.TokensPerSecond(kStart + absl::Seconds(6)), 0);
}

}  // namespace
}  // namespace spearfish::worker
