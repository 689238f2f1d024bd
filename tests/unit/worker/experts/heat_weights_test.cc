#include "worker/experts/heat_weights.h"

#include <gtest/gtest.h>

#include <random>

namespace spearfish::worker {
namespace {

HorizonValues RandomAverages(std::mt19937& random) {
  HorizonValues averages;
  for (float& average : averages) average = static_cast<float>(random() % 1000) / 250.0F;
  return averages;
}

// Learns from examples whose truth is the weighted sum of their averages.
void Teach(HeatWeights& weights, const HorizonValues& truth, int rounds) {
  std::mt19937 random(5);
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 200; ++i) {
      const HorizonValues averages = RandomAverages(random);
      float came_after = 0;
      for (size_t j = 0; j < kNumHorizons; ++j) came_after += truth[j] * averages[j];
      weights.AddExample(averages, came_after);
    }
    weights.Learn(6);
  }
}

TEST(HeatWeights, StartFromAPriorThatCountsEveryHorizon) {
  const HeatWeights weights;
  for (const float weight : weights.weights()) EXPECT_GT(weight, 0);
}

TEST(HeatWeights, StayAtThePriorWithoutExamples) {
  HeatWeights weights;
  const HorizonValues before = weights.weights();
  for (int i = 0; i < 10; ++i) weights.Learn(6);
  for (size_t j = 0; j < kNumHorizons; ++j) EXPECT_NEAR(weights.weights()[j], before[j], 1e-5);
}

TEST(HeatWeights, FindTheWeightsThatPredict) {
  HeatWeights weights;
  const HorizonValues truth = {0.5F, 0.0F, 0.1F, 0.4F};
  Teach(weights, truth, 200);
  for (size_t j = 0; j < kNumHorizons; ++j) EXPECT_NEAR(weights.weights()[j], truth[j], 0.05);
}

TEST(HeatWeights, FollowAChange) {
  HeatWeights weights;
  Teach(weights, {0.9F, 0.0F, 0.0F, 0.1F}, 200);
  const HorizonValues now = {0.1F, 0.0F, 0.0F, 0.9F};
  Teach(weights, now, 1000);
  for (size_t j = 0; j < kNumHorizons; ++j) EXPECT_NEAR(weights.weights()[j], now[j], 0.05);
}

TEST(HeatWeights, AreNeverNegative) {
  HeatWeights weights;
  Teach(weights, {1.0F, -0.8F, -0.5F, 0.5F}, 300);
  for (const float weight : weights.weights()) EXPECT_GE(weight, 0);
}

TEST(HeatWeights, StayFiniteOnSilence) {
  HeatWeights weights;
  for (int i = 0; i < 20000; ++i) {
    weights.AddExample({0, 0, 0, 0}, 0);
    weights.Learn(6);
  }
  for (const float weight : weights.weights()) {
    EXPECT_GE(weight, 0);
    EXPECT_LT(weight, 10);
  }
}

}  // namespace
}  // namespace spearfish::worker
