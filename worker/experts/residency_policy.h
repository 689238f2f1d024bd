// Which experts deserve a slot: a pure function of what was routed so far and of the capacity.
#ifndef WORKER_EXPERTS_RESIDENCY_POLICY_H_
#define WORKER_EXPERTS_RESIDENCY_POLICY_H_

#include <cstdint>
#include <span>
#include <vector>

#include "worker/experts/heat_model.h"

namespace spearfish::worker {

// A record's number in the pool: moe_layer * num_experts + expert.
using RecordIndex = uint32_t;

enum class Residency : uint8_t {
  kCold,      // only in the cache
  kLoading,   // a copy into a slot is queued or on its way
  kResident,  // in a slot
};

struct PolicyOptions {
  uint32_t num_moe_layers = 0;
  uint32_t num_experts = 0;  // per MoE layer
  // Swaps that routing one token earns: this many a layer, spent wherever they help most.
  double promotions_per_layer_token = 1.0;
};

struct Promotion {
  RecordIndex in;   // cold
  RecordIndex out;  // resident: gives its slot
};

// No device, clock, lock or randomness: the same calls give the same answers. Used by one thread.
class ResidencyPolicy {
 public:
  explicit ResidencyPolicy(const PolicyOptions& options);

  // One step's routing: activations [num_moe_layers * num_experts] counts how often each record was
  // chosen by the step's num_tokens tokens. No allocation.
  void Observe(std::span<const uint32_t> activations, uint32_t num_tokens);

  // Starts from recorded counts (a heatmap) [num_moe_layers * num_experts], any scale.
  void Seed(std::span<const double> counts);

  // Comparable across layers: higher is worth more. Never negative.
  double heat(RecordIndex record) const;

  // Appends the swaps to make now, most worth first, within what Observe has earned; no record
  // appears twice. residency [num_records].
  void ChoosePromotions(std::span<const Residency> residency, std::vector<Promotion>& out);

  // Appends the `count` hottest of the cold records (all when there are fewer), hottest first;
  // ties: the lower expert number first, then the lower layer, so that an unseeded fill spreads
  // over the layers.
  void ChooseLoads(std::span<const Residency> residency, uint32_t count,
                   std::vector<RecordIndex>& out) const;

 private:
  // Orders records by heat, then as ChooseLoads breaks ties: hotter is less.
  using Key = uint64_t;

  uint32_t num_records() const { return options_.num_moe_layers * options_.num_experts; }
  Key KeyOf(RecordIndex record) const;
  RecordIndex RecordOf(Key key) const;
  // Fills incoming_ and outgoing_ with the records that could be swapped with any gain.
  void FindCandidates(std::span<const Residency> residency);

  const PolicyOptions options_;
  HeatModel heat_;
  double earned_ = 0;  // promotions that Observe earned and ChoosePromotions has not spent
  std::vector<uint32_t> tie_order_;  // [num_records]
  // Of a fixed size, so that no call allocates; the counts say what is filled.
  mutable std::vector<Key> incoming_;  // cold records
  std::vector<Key> outgoing_;          // residents
  size_t num_incoming_ = 0;
  size_t num_outgoing_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_RESIDENCY_POLICY_H_
