#include "worker/experts/residency_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

namespace spearfish::worker {
namespace {

constexpr uint32_t kLayers = 3;
constexpr uint32_t kExperts = 8;
constexpr uint32_t kRecords = kLayers * kExperts;

PolicyOptions Options(double promotions = 1.0) {
  return {
      .num_moe_layers = kLayers, .num_experts = kExperts, .promotions_per_layer_token = promotions};
}

std::vector<Residency> AllCold() { return std::vector<Residency>(kRecords, Residency::kCold); }

// The first `count` experts of every layer are resident.
std::vector<Residency> FirstExpertsResident(uint32_t count) {
  std::vector<Residency> residency = AllCold();
  for (uint32_t i = 0; i < kRecords; ++i) {
    if (i % kExperts < count) residency[i] = Residency::kResident;
  }
  return residency;
}

// Every layer routes each of `tokens` tokens to the same experts.
void Route(ResidencyPolicy& policy, const std::vector<uint32_t>& experts, int tokens) {
  std::vector<uint32_t> activations(kRecords, 0);
  for (uint32_t layer = 0; layer < kLayers; ++layer) {
    for (const uint32_t expert : experts) activations[layer * kExperts + expert] = 1;
  }
  for (int i = 0; i < tokens; ++i) policy.Observe(activations, 1);
}

std::vector<Promotion> Promotions(ResidencyPolicy& policy,
                                  const std::vector<Residency>& residency) {
  std::vector<Promotion> out;
  policy.ChoosePromotions(residency, out);
  return out;
}

std::vector<RecordIndex> Loads(const ResidencyPolicy& policy,
                               const std::vector<Residency>& residency, uint32_t count) {
  std::vector<RecordIndex> out;
  policy.ChooseLoads(residency, count, out);
  return out;
}

TEST(ResidencyPolicy, LoadsSpreadOverTheLayersWhenNothingIsKnown) {
  const ResidencyPolicy policy(Options());
  EXPECT_EQ(Loads(policy, AllCold(), 4), (std::vector<RecordIndex>{0, 8, 16, 1}));
}

TEST(ResidencyPolicy, LoadsTheHottestColdRecordsFirst) {
  ResidencyPolicy policy(Options());
  Route(policy, {3, 5}, 2);
  Route(policy, {5}, 1);
  std::vector<Residency> residency = AllCold();
  residency[5] = Residency::kResident;
  residency[8 + 5] = Residency::kLoading;
  EXPECT_EQ(Loads(policy, residency, 3), (std::vector<RecordIndex>{16 + 5, 3, 8 + 3}));
}

TEST(ResidencyPolicy, LoadsWhatThereIsWhenAskedForMore) {
  const ResidencyPolicy policy(Options());
  EXPECT_EQ(Loads(policy, FirstExpertsResident(6), 1000).size(), 2 * kLayers);
}

TEST(ResidencyPolicy, AppendsToWhatIsInTheVectorAlready) {
  const ResidencyPolicy policy(Options());
  std::vector<RecordIndex> out = {7};
  policy.ChooseLoads(AllCold(), 1, out);
  EXPECT_EQ(out, (std::vector<RecordIndex>{7, 0}));
}

TEST(ResidencyPolicy, StartsFromSeededCountsOfAnyScale) {
  std::vector<double> counts(kRecords, 1.0);
  counts[17] = 9.0;
  counts[4] = 5.0;
  for (const double scale : {1e-3, 1.0, 1e12}) {
    std::vector<double> scaled = counts;
    for (double& count : scaled) count *= scale;
    ResidencyPolicy policy(Options());
    policy.Seed(scaled);
    EXPECT_EQ(Loads(policy, AllCold(), 2), (std::vector<RecordIndex>{17, 4})) << scale;
  }
}

TEST(ResidencyPolicy, SeedOfZerosKnowsNothing) {
  ResidencyPolicy policy(Options());
  policy.Seed(std::vector<double>(kRecords, 0.0));
  EXPECT_EQ(Loads(policy, AllCold(), 2), (std::vector<RecordIndex>{0, 8}));
}

TEST(ResidencyPolicy, SwapsAHotColdRecordForTheColdestResident) {
  ResidencyPolicy policy(Options());
  Route(policy, {0, 7}, 20);
  std::vector<Residency> residency = FirstExpertsResident(2);
  const std::vector<Promotion> swaps = Promotions(policy, residency);
  ASSERT_EQ(swaps.size(), kLayers);
  for (const Promotion& swap : swaps) {
    EXPECT_EQ(swap.in % kExperts, 7U);
    EXPECT_EQ(swap.out % kExperts, 1U);
  }
}

TEST(ResidencyPolicy, NamesNoRecordTwiceAndOnlyColdAndResidentOnes) {
  ResidencyPolicy policy(Options(8));
  std::vector<Residency> residency = FirstExpertsResident(4);
  residency[6] = Residency::kLoading;
  Route(policy, {4, 5, 6, 7}, 3);
  std::set<RecordIndex> seen;
  for (const Promotion& swap : Promotions(policy, residency)) {
    EXPECT_EQ(residency[swap.in], Residency::kCold);
    EXPECT_EQ(residency[swap.out], Residency::kResident);
    EXPECT_TRUE(seen.insert(swap.in).second);
    EXPECT_TRUE(seen.insert(swap.out).second);
  }
  EXPECT_FALSE(seen.empty());
}

TEST(ResidencyPolicy, SpendsNoMoreThanTheTokensEarned) {
  ResidencyPolicy policy(Options(2.0 / kLayers));
  Route(policy, {4, 5, 6, 7}, 1);
  EXPECT_EQ(Promotions(policy, FirstExpertsResident(4)).size(), 2U);
  EXPECT_TRUE(Promotions(policy, FirstExpertsResident(4)).empty());
}

TEST(ResidencyPolicy, SwapsNothingWhenPromotionsAreOff) {
  ResidencyPolicy policy(Options(0));
  Route(policy, {4, 5, 6, 7}, 50);
  EXPECT_TRUE(Promotions(policy, FirstExpertsResident(4)).empty());
}

TEST(ResidencyPolicy, SpendsTheBudgetOfAllLayersWhereItHelpsMost) {
  ResidencyPolicy policy(Options(1.0));
  std::vector<uint32_t> activations(kRecords, 0);
  for (const RecordIndex record : {5, 6, 7}) activations[record] = 1;  // one layer only
  policy.Observe(activations, 1);
  const std::vector<Promotion> swaps = Promotions(policy, FirstExpertsResident(4));
  ASSERT_EQ(swaps.size(), kLayers);
  for (const Promotion& swap : swaps) EXPECT_LT(swap.in, kExperts);
}

TEST(ResidencyPolicy, SwapsNothingWhenTheResidentsAreTheHottest) {
  ResidencyPolicy policy(Options());
  Route(policy, {0, 1, 2, 3}, 50);
  EXPECT_TRUE(Promotions(policy, FirstExpertsResident(4)).empty());
}

TEST(ResidencyPolicy, HeatFollowsWhatIsRoutedNow) {
  ResidencyPolicy policy(Options());
  Route(policy, {1}, 100);
  EXPECT_GT(policy.heat(1), policy.heat(2));
  Route(policy, {2}, 100);
  EXPECT_GT(policy.heat(2), policy.heat(1));
  EXPECT_GE(policy.heat(1), 0.0);
  EXPECT_EQ(policy.heat(0), 0.0);
}

TEST(ResidencyPolicy, AStepOfManyTokensRanksByItsCounts) {
  ResidencyPolicy policy(Options());
  std::vector<uint32_t> activations(kRecords, 0);
  activations[3] = 400;
  activations[5] = 100;
  policy.Observe(activations, 500);
  EXPECT_EQ(Loads(policy, AllCold(), 2), (std::vector<RecordIndex>{3, 5}));
}

TEST(ResidencyPolicy, APromptEarnsNoMoreThanAFewTokens) {
  ResidencyPolicy policy(Options(1.0 / kLayers));
  std::vector<uint32_t> activations(kRecords, 0);
  for (uint32_t i = 0; i < kRecords; ++i) activations[i] = i % kExperts < 4 ? 0 : 100;
  policy.Observe(activations, 500);
  const size_t swaps = Promotions(policy, FirstExpertsResident(4)).size();
  EXPECT_GE(swaps, 1U);
  EXPECT_LE(swaps, 8U);
}

TEST(ResidencyPolicy, ADecodeStepEarnsForEachOfItsTokens) {
  ResidencyPolicy policy(Options(1.0 / kLayers));
  std::vector<uint32_t> activations(kRecords, 0);
  for (uint32_t i = 0; i < kRecords; ++i) activations[i] = i % kExperts < 4 ? 0 : 2;
  policy.Observe(activations, 10);
  EXPECT_EQ(Promotions(policy, FirstExpertsResident(4)).size(), 10U);
}

// Two experts take turns in one slot's place: neither is worth a copy each time.
TEST(ResidencyPolicy, LeavesRecordsOfEqualHeatWhereTheyAre) {
  ResidencyPolicy policy(Options());
  std::vector<Residency> residency = FirstExpertsResident(4);
  for (int i = 0; i < 600; ++i) {
    Route(policy, {1, 2, 3, static_cast<uint32_t>(i) % 2 == 0 ? 0U : 4U}, 1);
  }
  size_t swaps = 0;
  for (int i = 0; i < 100; ++i) {
    Route(policy, {1, 2, 3, static_cast<uint32_t>(i) % 2 == 0 ? 0U : 4U}, 1);
    for (const Promotion& swap : Promotions(policy, residency)) {
      residency[swap.in] = Residency::kResident;
      residency[swap.out] = Residency::kCold;
      swaps += 1;
    }
  }
  EXPECT_LE(swaps, kLayers);
}

TEST(ResidencyPolicy, AStepWithoutTokensChangesNothing) {
  ResidencyPolicy policy(Options());
  Route(policy, {2}, 3);
  const double before = policy.heat(2);
  policy.Observe(std::vector<uint32_t>(kRecords, 0), 0);
  EXPECT_EQ(policy.heat(2), before);
}

}  // namespace
}  // namespace spearfish::worker
