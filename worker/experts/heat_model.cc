#include "worker/experts/heat_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/check.h"

namespace spearfish::worker {
namespace {

// What an average keeps per token: horizons of about 3, 10, 100 and 2,000 tokens.
constexpr std::array<double, kNumHorizons> kKeepPerToken = {0.7, 0.9, 0.99, 0.9995};

// Predict the mean of this many tokens: a promoted record stays for a while. (Best between 4 and 8
// on three models' routing, and flat there.)
constexpr uint32_t kStepsAhead = 6;
constexpr size_t kMinSample = 512;
constexpr size_t kMaxStride = 16;

// Below this a value is forgotten entirely: a product of decays becomes denormal, which is slow.
constexpr float kForgotten = 1e-12F;

// averages[i] += gain * (activations[i] * scale - averages[i]). Apart, so that it vectorises.
void MoveTowards(float* __restrict averages, const uint32_t* __restrict activations, size_t size,
                 float scale, float gain) {
  const float keep = 1 - gain;
  const float scaled_gain = scale * gain;
  for (size_t i = 0; i < size; ++i) {
    const auto count = static_cast<float>(static_cast<int32_t>(activations[i]));
    const float moved = averages[i] * keep + count * scaled_gain;
    averages[i] = moved < kForgotten ? 0.0F : moved;
  }
}

void WeightedSum(float* __restrict heats, const float* __restrict a, const float* __restrict b,
                 const float* __restrict c, const float* __restrict d, size_t size,
                 const HorizonValues& w) {
  static_assert(kNumHorizons == 4);
  for (size_t i = 0; i < size; ++i) {
    heats[i] = w[0] * a[i] + w[1] * b[i] + w[2] * c[i] + w[3] * d[i];
  }
}

}  // namespace

HeatModel::HeatModel(uint32_t num_layers, uint32_t num_experts)
    : heats_(size_t{num_layers} * num_experts, 0.0F),
      sample_stride_(std::clamp<size_t>(heats_.size() / kMinSample, 1, kMaxStride)) {
  SF_CHECK(!heats_.empty());
  for (auto& average : averages_) average.assign(heats_.size(), 0.0F);
  const size_t sample = (heats_.size() + sample_stride_ - 1) / sample_stride_;
  sample_averages_.resize(sample);
  sample_came_after_.resize(sample);
}

void HeatModel::Observe(std::span<const uint32_t> activations, uint32_t num_tokens) {
  SF_CHECK(activations.size() == heats_.size());
  const uint64_t total = std::accumulate(activations.begin(), activations.end(), uint64_t{0});
  if (num_tokens == 0 || total == 0) return;
  const auto scale =
      static_cast<float>(static_cast<double>(heats_.size()) / static_cast<double>(total));
  if (IsPrompt(num_tokens)) {
    sample_steps_ = 0;  // what comes after the open sample is not a handful of tokens
    Average(activations, scale, num_tokens);
  } else {
    WatchSample(activations, scale);
    Average(activations, scale, 1);
    if (sample_steps_ == 0) TakeSample();
  }
  ComputeHeats();
}

void HeatModel::Average(std::span<const uint32_t> activations, float scale, uint32_t age) {
  for (size_t j = 0; j < kNumHorizons; ++j) {
    const double kept = std::pow(kKeepPerToken[j], age);
    const double added = (1 - kept) / (1 - kKeepPerToken[j]);
    evidence_[j] = evidence_[j] * kept + added;
    MoveTowards(averages_[j].data(), activations.data(), heats_.size(), scale,
                static_cast<float>(added / evidence_[j]));
  }
}

void HeatModel::ComputeHeats() {
  WeightedSum(heats_.data(), averages_[0].data(), averages_[1].data(), averages_[2].data(),
              averages_[3].data(), heats_.size(), weights());
}

void HeatModel::Seed(std::span<const double> counts) {
  SF_CHECK(counts.size() == heats_.size());
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (!(total > 0)) return;
  const double scale = static_cast<double>(heats_.size()) / total;
  for (size_t j = 0; j < kNumHorizons; ++j) {
    std::transform(counts.begin(), counts.end(), averages_[j].begin(),
                   [scale](double count) { return static_cast<float>(count * scale); });
    evidence_[j] = 1 / (1 - kKeepPerToken[j]);
  }
  sample_steps_ = 0;
  ComputeHeats();
}

void HeatModel::TakeSample() {
  sample_offset_ = (sample_offset_ + 1) % sample_stride_;
  size_t sampled = 0;
  for (size_t i = sample_offset_; i < heats_.size(); i += sample_stride_, ++sampled) {
    for (size_t j = 0; j < kNumHorizons; ++j) sample_averages_[sampled][j] = averages_[j][i];
    sample_came_after_[sampled] = 0;
  }
  sample_steps_ = 1;
}

void HeatModel::WatchSample(std::span<const uint32_t> activations, float scale) {
  if (sample_steps_ == 0) return;
  size_t sampled = 0;
  for (size_t i = sample_offset_; i < heats_.size(); i += sample_stride_, ++sampled) {
    sample_came_after_[sampled] += static_cast<float>(activations[i]) * scale;
  }
  if (sample_steps_++ == kStepsAhead) LearnFromSample();
}

void HeatModel::LearnFromSample() {
  size_t sampled = 0;
  for (size_t i = sample_offset_; i < heats_.size(); i += sample_stride_, ++sampled) {
    weights_.AddExample(sample_averages_[sampled], sample_came_after_[sampled] / kStepsAhead);
  }
  weights_.Learn(kStepsAhead);
  sample_steps_ = 0;
}

}  // namespace spearfish::worker
