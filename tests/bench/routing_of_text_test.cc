#include "tests/bench/routing_of_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/bench/policy_baselines.h"
#include "tests/bench/policy_pool.h"
#include "tests/support/test_data.h"

namespace spearfish::bench {
namespace {

constexpr size_t kTokens = 1024;

class RoutingOfText : public testing::Test {
 protected:
  void SetUp() override {
    const auto text = tests::SharedPath("text/validation.txt");
    if (!text) GTEST_SKIP() << "no reference text beside the repository";
    auto trace = TraceText(tests::BundledCheckpoint(), *text, kTokens);
    ASSERT_TRUE(trace.ok()) << trace.status();
    trace_ = *std::move(trace);
  }

  RoutingTrace trace_;
};

TEST_F(RoutingOfText, HasEveryTokensDistinctExperts) {
  ASSERT_EQ(trace_.num_tokens(), kTokens);
  for (size_t t = 0; t < kTokens; ++t) {
    std::vector<uint32_t> counts(trace_.num_records(), 0);
    trace_.Count(t, counts);
    ASSERT_EQ(*std::max_element(counts.begin(), counts.end()), 1U);
  }
}

TEST_F(RoutingOfText, IsServedBetterByThePolicyThanByStaticAndLru) {
  const std::vector<uint32_t> counts = TotalCounts(Part(trace_, 0, kTokens / 2));
  for (const double fraction : {0.308, 0.402}) {
    const SimulationOptions at{.resident_fraction = fraction, .first_counted = kTokens / 2};
    const PolicyResult ours = SimulateOurs(trace_, at, {.promotions_per_layer_token = 1}, {});
    EXPECT_GT(ours.hit_rate(), SimulateLru(trace_, at).hit_rate());
    EXPECT_GE(ours.hit_rate(), SimulateStatic(trace_, at, counts).hit_rate());
    EXPECT_LE(ours.promotions_per_layer_token(), 0.2);  // routing that stays needs no swaps
  }
}

}  // namespace
}  // namespace spearfish::bench
