#include "worker/experts/heat_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace spearfish::worker {
namespace {

constexpr uint32_t kLayers = 4;
constexpr uint32_t kExperts = 16;
constexpr uint32_t kRecords = kLayers * kExperts;

// Every layer routes one token to `expert`.
std::vector<uint32_t> RoutedTo(uint32_t expert, uint32_t tokens = 1) {
  std::vector<uint32_t> activations(kRecords, 0);
  for (uint32_t layer = 0; layer < kLayers; ++layer)
    activations[layer * kExperts + expert] = tokens;
  return activations;
}

TEST(HeatModel, KnowsNothingAtFirst) {
  const HeatModel model(kLayers, kExperts);
  ASSERT_EQ(model.heats().size(), kRecords);
  for (const float heat : model.heats()) EXPECT_EQ(heat, 0);
}

TEST(HeatModel, GivesEvenRoutingTheHeatOfItsWeights) {
  HeatModel model(kLayers, kExperts);
  model.Observe(std::vector<uint32_t>(kRecords, 3), 48);
  float sum = 0;
  for (const float weight : model.weights()) sum += weight;
  for (const float heat : model.heats()) EXPECT_NEAR(heat, sum, 1e-5);
}

TEST(HeatModel, IsTheSameWhateverTheScaleOfASeed) {
  HeatModel a(kLayers, kExperts), b(kLayers, kExperts);
  std::vector<double> counts(kRecords);
  for (uint32_t i = 0; i < kRecords; ++i) counts[i] = 1.0 + i % 7;
  a.Seed(counts);
  for (double& count : counts) count *= 1e6;
  b.Seed(counts);
  for (uint32_t i = 0; i < kRecords; ++i) EXPECT_NEAR(a.heats()[i], b.heats()[i], 1e-5);
}

TEST(HeatModel, LetsRoutingOutvoteASeed) {
  HeatModel model(kLayers, kExperts);
  std::vector<double> counts(kRecords, 0.0);
  for (uint32_t layer = 0; layer < kLayers; ++layer) counts[layer * kExperts + 2] = 1;
  model.Seed(counts);
  for (int i = 0; i < 200; ++i) model.Observe(RoutedTo(5), 1);
  EXPECT_GT(model.heats()[5], model.heats()[2]);
}

TEST(HeatModel, FollowsAStepOfADecodeBatchAsOneMoment) {
  HeatModel one(kLayers, kExperts), batch(kLayers, kExperts);
  for (int i = 0; i < 30; ++i) {
    one.Observe(RoutedTo(static_cast<uint32_t>(i) % 5), 1);
    batch.Observe(RoutedTo(static_cast<uint32_t>(i) % 5, 8), 8);
  }
  for (uint32_t i = 0; i < kRecords; ++i) EXPECT_NEAR(one.heats()[i], batch.heats()[i], 1e-4);
}

TEST(HeatModel, TakesAPromptForAsManyMomentsAsTokens) {
  HeatModel model(kLayers, kExperts);
  for (int i = 0; i < 100; ++i) model.Observe(RoutedTo(1), 1);
  model.Observe(RoutedTo(3, 512), 512);
  EXPECT_GT(model.heats()[3], model.heats()[1]);
}

// Which horizon predicts depends on the routing; the weights have to find out.
float ShortWeight(uint32_t stays, uint32_t num_liked) {
  HeatModel model(kLayers, kExperts);
  std::mt19937 random(1);
  for (int i = 0; i < 400; ++i) {
    const auto expert = static_cast<uint32_t>(random() % num_liked);
    for (uint32_t t = 0; t < stays; ++t) model.Observe(RoutedTo(expert), 1);
  }
  return model.weights()[0] + model.weights()[1];
}

TEST(HeatModel, TrustsShortHorizonsWhereRoutingLingers) {
  EXPECT_GT(ShortWeight(12, kExperts), 0.5F);
  EXPECT_LT(ShortWeight(1, 3), 0.25F);
}

TEST(HeatModel, StaysFiniteThroughLongSilenceOfARecord) {
  HeatModel model(kLayers, kExperts);
  model.Observe(RoutedTo(7), 1);
  for (int i = 0; i < 3000; ++i) model.Observe(RoutedTo(static_cast<uint32_t>(i) % 4), 1);
  for (const float heat : model.heats()) {
    EXPECT_GE(heat, 0);
    EXPECT_TRUE(heat == 0 || std::isnormal(heat));
  }
}

TEST(HeatModel, IgnoresAStepWithoutRouting) {
  HeatModel model(kLayers, kExperts);
  model.Observe(RoutedTo(7), 1);
  const std::vector<float> before(model.heats().begin(), model.heats().end());
  model.Observe(std::vector<uint32_t>(kRecords, 0), 5);
  EXPECT_EQ(before, std::vector<float>(model.heats().begin(), model.heats().end()));
}

}  // namespace
}  // namespace spearfish::worker
