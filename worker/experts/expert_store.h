// The experts of one model on one device: where they lie, and how often they are used.
#ifndef WORKER_EXPERTS_EXPERT_STORE_H_
#define WORKER_EXPERTS_EXPERT_STORE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/expert_cache/cache_view.h"
#include "kernels/api/device.h"
#include "kernels/api/expert_layout.h"
#include "worker/experts/activation_counters.h"
#include "worker/experts/address_table.h"
#include "worker/experts/registered_records.h"

namespace spearfish::worker {

// Owns the registration of the cache image, the address table and the counters. At first every
// expert is cold: its table entry is its record in the cache, and nothing of it is copied. An
// ExpertPool over it moves experts into slots. Used by the thread that enqueues steps; image and
// device must outlive it.
class ExpertStore {
 public:
  static absl::StatusOr<std::unique_ptr<ExpertStore>> Create(const CacheView& cache,
                                                             kernels::Device& device,
                                                             kernels::Stream& stream);

  const kernels::ExpertLayout& layout() const { return layout_; }
  uint32_t num_experts() const { return num_experts_; }
  uint32_t num_moe_layers() const { return num_moe_layers_; }
  // The layer's number among the MoE layers. The layer must be one.
  uint32_t MoeIndex(LayerId layer) const;

  // [num_experts] device addresses and counters of one MoE layer.
  const uint64_t* addresses(LayerId layer) const { return table_->layer(MoeIndex(layer)); }
  uint32_t* counters(LayerId layer) const { return counters_->layer(MoeIndex(layer)); }

  // What a pool is made of, besides an arena.
  std::span<const uint64_t> record_addresses() const { return records_->addresses(); }
  AddressTable& table() { return *table_; }
  ActivationCounters& activation_counters() { return *counters_; }

 private:
  ExpertStore(const CacheView& cache, std::unique_ptr<RegisteredRecords> records,
              std::unique_ptr<AddressTable> table, std::unique_ptr<ActivationCounters> counters);

  const kernels::ExpertLayout layout_;
  const uint32_t num_experts_;
  const uint32_t num_moe_layers_;
  std::vector<uint32_t> moe_index_;  // [num_layers]; kNotMoe for a dense layer
  const std::unique_ptr<RegisteredRecords> records_;
  const std::unique_ptr<AddressTable> table_;
  const std::unique_ptr<ActivationCounters> counters_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_EXPERT_STORE_H_
