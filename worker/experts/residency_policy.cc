#include "worker/experts/residency_policy.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "common/base/check.h"

namespace spearfish::worker {
namespace {

// An incoming record must be expected to get more activations than the outgoing one by this much
// of an average record's: records of nearly equal heat would take turns otherwise.
constexpr float kMinGain = 0.2F;
// Unspent promotions are kept for this many tokens, so that a quiet phase can't pay for a storm.
constexpr double kKeptTokens = 4;

// A float that is not negative orders as its bits do, and only integers' extremes vectorise.
int32_t Bits(float heat) { return std::bit_cast<int32_t>(heat); }

struct HeatBounds {
  float hottest_cold = 0;
  float coldest_resident = 0;
};

HeatBounds FindBounds(const float* __restrict heats, const Residency* __restrict residency,
                      size_t size) {
  int32_t hottest_cold = 0;
  int32_t coldest_resident = std::numeric_limits<int32_t>::max();
  for (size_t i = 0; i < size; ++i) {
    const int32_t bits = Bits(heats[i]);
    const int32_t is_cold = -static_cast<int32_t>(residency[i] == Residency::kCold);
    const int32_t is_resident = -static_cast<int32_t>(residency[i] == Residency::kResident);
    hottest_cold = std::max(hottest_cold, bits & is_cold);
    coldest_resident =
        std::min(coldest_resident, bits | (~is_resident & std::numeric_limits<int32_t>::max()));
  }
  return {std::bit_cast<float>(hottest_cold), std::bit_cast<float>(coldest_resident)};
}

// Sorts the first `count` of the keys to the front. A few of many: one compare each with the worst
// chosen so far, which is nearly always foretold; many: a partition first.
template <typename Compare>
void SelectFirst(std::span<uint64_t> keys, size_t count, const Compare& compare) {
  const auto middle = keys.begin() + static_cast<ptrdiff_t>(count);
  if (count * 8 > keys.size()) {
    std::nth_element(keys.begin(), middle - 1, keys.end(), compare);
    std::sort(keys.begin(), middle, compare);
  } else {
    std::partial_sort(keys.begin(), middle, keys.end(), compare);
  }
}

}  // namespace

ResidencyPolicy::ResidencyPolicy(const PolicyOptions& options)
    : options_(options),
      heat_(options.num_moe_layers, options.num_experts),
      tie_order_(num_records()),
      incoming_(num_records() + 1),
      outgoing_(num_records() + 1) {
  SF_CHECK(options.promotions_per_layer_token >= 0);
  for (RecordIndex i = 0; i < num_records(); ++i) {
    tie_order_[i] = i % options.num_experts * options.num_moe_layers + i / options.num_experts;
  }
}

void ResidencyPolicy::Observe(std::span<const uint32_t> activations, uint32_t num_tokens) {
  heat_.Observe(activations, num_tokens);
  if (num_tokens == 0) return;
  const double a_token = options_.promotions_per_layer_token * options_.num_moe_layers;
  // A prompt earns no more than a few tokens: what it says about the pool is for ChooseLoads.
  const double kept_tokens =
      HeatModel::IsPrompt(num_tokens) ? kKeptTokens : std::max<double>(kKeptTokens, num_tokens);
  earned_ = std::min(earned_ + a_token * num_tokens, a_token * kept_tokens);
}

void ResidencyPolicy::Seed(std::span<const double> counts) { heat_.Seed(counts); }

double ResidencyPolicy::heat(RecordIndex record) const {
  SF_CHECK(record < num_records());
  return static_cast<double>(heat_.heats()[record]);
}

ResidencyPolicy::Key ResidencyPolicy::KeyOf(RecordIndex record) const {
  const auto coldness = ~static_cast<uint32_t>(Bits(heat_.heats()[record]));
  return Key{coldness} << 32 | tie_order_[record];
}

RecordIndex ResidencyPolicy::RecordOf(Key key) const {
  const auto tie = static_cast<uint32_t>(key);
  return tie % options_.num_moe_layers * options_.num_experts + tie / options_.num_moe_layers;
}

void ResidencyPolicy::FindCandidates(std::span<const Residency> residency) {
  const std::span<const float> heats = heat_.heats();
  const HeatBounds bounds = FindBounds(heats.data(), residency.data(), heats.size());
  num_incoming_ = 0;
  num_outgoing_ = 0;
  // Without branches, which would be mispredicted half of the time.
  for (RecordIndex i = 0; i < heats.size(); ++i) {
    const uint32_t is_resident = residency[i] == Residency::kResident ? 1 : 0;
    const uint32_t is_cold = residency[i] == Residency::kCold ? 1 : 0;
    const uint32_t is_beaten = heats[i] + kMinGain < bounds.hottest_cold ? 1 : 0;
    const uint32_t beats = heats[i] > bounds.coldest_resident + kMinGain ? 1 : 0;
    const Key key = KeyOf(i);
    outgoing_[num_outgoing_] = key;
    incoming_[num_incoming_] = key;
    num_outgoing_ += is_resident & is_beaten;
    num_incoming_ += is_cold & beats;
  }
}

void ResidencyPolicy::ChoosePromotions(std::span<const Residency> residency,
                                       std::vector<Promotion>& out) {
  SF_CHECK(residency.size() == num_records());
  if (earned_ < 1) return;
  FindCandidates(residency);
  const auto count = static_cast<size_t>(
      std::min({earned_, static_cast<double>(num_incoming_), static_cast<double>(num_outgoing_)}));
  if (count == 0) return;
  SelectFirst(std::span(incoming_).first(num_incoming_), count, std::less<>());
  SelectFirst(std::span(outgoing_).first(num_outgoing_), count, std::greater<>());
  for (size_t i = 0; i < count; ++i) {
    const Promotion swap{.in = RecordOf(incoming_[i]), .out = RecordOf(outgoing_[i])};
    if (!(heat(swap.in) > heat(swap.out) + static_cast<double>(kMinGain))) break;
    out.push_back(swap);
    earned_ -= 1;
  }
}

void ResidencyPolicy::ChooseLoads(std::span<const Residency> residency, uint32_t count,
                                  std::vector<RecordIndex>& out) const {
  SF_CHECK(residency.size() == num_records());
  size_t found = 0;
  for (RecordIndex i = 0; i < num_records(); ++i) {
    if (residency[i] == Residency::kCold) incoming_[found++] = KeyOf(i);
  }
  const auto chosen = std::min<size_t>(count, found);
  if (chosen == 0) return;
  SelectFirst(std::span(incoming_).first(found), chosen, std::less<>());
  for (size_t i = 0; i < chosen; ++i) out.push_back(RecordOf(incoming_[i]));
}

}  // namespace spearfish::worker
