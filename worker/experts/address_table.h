// Where the device finds each expert.
#ifndef WORKER_EXPERTS_ADDRESS_TABLE_H_
#define WORKER_EXPERTS_ADDRESS_TABLE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "kernels/api/device.h"

namespace spearfish::worker {

// Owns device memory with one 8-byte device address per (MoE layer, expert), and a page-locked host
// mirror that updates are copied from. Used by the thread that enqueues steps; the device must
// outlive it. Invariant: an entry always names a whole record that stays readable until the last
// step enqueued before the entry changed has run.
class AddressTable {
 public:
  // `addresses` [num_moe_layers, num_experts]. Waits until the device holds them.
  static absl::StatusOr<std::unique_ptr<AddressTable>> Create(kernels::Device& device,
                                                              kernels::Stream& stream,
                                                              uint32_t num_experts,
                                                              std::span<const uint64_t> addresses);

  // [num_experts], for kernels::MoeArgs. `moe_layer` counts MoE layers only.
  const uint64_t* layer(uint32_t moe_layer) const;

  // What the entry holds, or will hold once what is enqueued has run.
  uint64_t address(uint32_t moe_layer, ExpertId expert) const;

  // Enqueues the change of one entry: steps enqueued before see the old address, later ones the
  // new. Two changes of one entry need a Synchronize between them.
  void Set(uint32_t moe_layer, ExpertId expert, uint64_t address, kernels::Stream& stream);

 private:
  AddressTable(std::unique_ptr<kernels::Buffer> device_table,
               std::unique_ptr<kernels::Buffer> host_mirror, uint32_t num_moe_layers,
               uint32_t num_experts)
      : device_table_(std::move(device_table)),
        host_mirror_(std::move(host_mirror)),
        num_moe_layers_(num_moe_layers),
        num_experts_(num_experts) {}
  size_t EntryIndex(uint32_t moe_layer, ExpertId expert) const;

  const std::unique_ptr<kernels::Buffer> device_table_;
  const std::unique_ptr<kernels::Buffer> host_mirror_;
  const uint32_t num_moe_layers_;
  const uint32_t num_experts_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_ADDRESS_TABLE_H_
