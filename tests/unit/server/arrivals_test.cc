#include "server/cli/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace spearfish::server::cli {
namespace {

TEST(PoissonArrivals, HaveTheRateAndItsSpread) {
  constexpr uint32_t kCount = 20000;
  const std::vector<absl::Duration> arrivals = PoissonArrivals(50, kCount, 1);
  ASSERT_EQ(arrivals.size(), kCount);
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end()));
  EXPECT_NEAR(absl::ToDoubleSeconds(arrivals.back()), kCount / 50.0, kCount / 50.0 * 0.03);
  // Of an exponential distribution, 1 - 1/e of the gaps are below the mean.
  uint32_t below = 0;
  for (uint32_t i = 1; i < kCount; ++i) {
    below += arrivals[i] - arrivals[i - 1] < absl::Milliseconds(20) ? 1 : 0;
  }
  EXPECT_NEAR(below / double{kCount}, 0.632, 0.015);
}

TEST(PoissonArrivals, FollowTheSeed) {
  EXPECT_EQ(PoissonArrivals(5, 10, 3), PoissonArrivals(5, 10, 3));
  EXPECT_NE(PoissonArrivals(5, 10, 3), PoissonArrivals(5, 10, 4));
}

}  // namespace
}  // namespace spearfish::server::cli
