// A record's heat: the activations that it is expected to get in the next few tokens.
#ifndef WORKER_EXPERTS_HEAT_MODEL_H_
#define WORKER_EXPERTS_HEAT_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/experts/heat_weights.h"

namespace spearfish::worker {

// Routing has a slow part (which experts are liked, by everybody or by this prompt) and a part that
// drifts within a few tokens. So every record has exponential averages over kNumHorizons horizons,
// and its heat is their weighted sum. The weights are those that would have predicted the recent
// tokens best, learned on a sample of the records: no constant is tuned to a model.
//
// Heats and averages are relative to an even spread: 1 is a record with its layer's average share
// of activations. Heats are finite and never negative. No allocation after construction.
class HeatModel {
 public:
  HeatModel(uint32_t num_layers, uint32_t num_experts);

  // A step of few tokens is taken for one token each of several sequences: one moment in time. A
  // larger one is a prompt: as many moments as tokens, of which the order is not known.
  static bool IsPrompt(uint32_t num_tokens) { return num_tokens > 64; }

  // As ResidencyPolicy's.
  void Observe(std::span<const uint32_t> activations, uint32_t num_tokens);
  void Seed(std::span<const double> counts);

  std::span<const float> heats() const { return heats_; }  // [num_layers * num_experts]
  const HorizonValues& weights() const { return weights_.weights(); }

 private:
  // Moves the averages towards this step's, which counts as the last `age` tokens.
  void Average(std::span<const uint32_t> activations, float scale, uint32_t age);
  void ComputeHeats();

  // Learning: remember the averages of a sample, watch what comes, learn, take the next sample.
  void WatchSample(std::span<const uint32_t> activations, float scale);
  void TakeSample();
  void LearnFromSample();

  std::array<std::vector<float>, kNumHorizons> averages_;  // [num_records] each
  // Tokens that an average stands for: until it is full, it is the plain mean of what came.
  std::array<double, kNumHorizons> evidence_{};
  std::vector<float> heats_;  // [num_records]

  HeatWeights weights_;
  const size_t sample_stride_;
  size_t sample_offset_ = 0;   // sampled: records sample_offset_ + i * sample_stride_
  uint32_t sample_steps_ = 0;  // watched so far; 0: no sample is open
  std::vector<HorizonValues> sample_averages_;
  std::vector<float> sample_came_after_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_HEAT_MODEL_H_
