// Where the device finds each expert.
#ifndef WORKER_EXPERTS_ADDRESS_TABLE_H_
#define WORKER_EXPERTS_ADDRESS_TABLE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "kernels/api/device.h"

namespace spearfish::worker {

// Owns device memory with one 8-byte device address per (MoE layer, expert), and a page-locked host
// mirror that updates are copied from. Used by the thread that enqueues steps; the device must
// outlive it. Invariants: an entry always names a whole record that stays readable until the last
// step enqueued before the entry's change was flushed has run; the mirror is never written while an
// upload of it may be running.
class AddressTable {
 public:
  ~AddressTable();  // waits for the last upload

  // `addresses` [num_moe_layers, num_experts]. Waits until the device holds them.
  static absl::StatusOr<std::unique_ptr<AddressTable>> Create(kernels::Device& device,
                                                              kernels::Stream& stream,
                                                              uint32_t num_experts,
                                                              std::span<const uint64_t> addresses);

  // [num_experts], for kernels::MoeArgs. `moe_layer` counts MoE layers only.
  const uint64_t* layer(uint32_t moe_layer) const;

  // What the entry holds, or will hold once it is flushed and what is enqueued has run.
  uint64_t address(uint32_t moe_layer, ExpertId expert) const;

  // Changes one entry for the steps enqueued after the next Flush. Waits for the upload that the
  // last Flush enqueued: between steps it has long run.
  void Set(uint32_t moe_layer, ExpertId expert, uint64_t address);
  // Enqueues the upload of what was Set since the last one, in a few copies of whole rows. Steps
  // enqueued before see the old addresses, later ones the new. Always on the same stream.
  void Flush(kernels::Stream& stream);
  bool dirty() const { return num_dirty_layers_ > 0; }

  // Page-locked host memory that it owns.
  uint64_t host_bytes() const { return host_mirror_->bytes(); }

 private:
  struct Parts {
    std::unique_ptr<kernels::Buffer> device_table;
    std::unique_ptr<kernels::Buffer> host_mirror;
    std::unique_ptr<kernels::Event> uploaded;
  };
  AddressTable(Parts parts, uint32_t num_moe_layers, uint32_t num_experts);
  size_t EntryIndex(uint32_t moe_layer, ExpertId expert) const;

  const std::unique_ptr<kernels::Buffer> device_table_;
  const std::unique_ptr<kernels::Buffer> host_mirror_;
  const std::unique_ptr<kernels::Event> uploaded_;  // recorded after each upload
  const uint32_t num_moe_layers_;
  const uint32_t num_experts_;
  std::vector<bool> layer_dirty_;  // [num_moe_layers]
  uint32_t num_dirty_layers_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_ADDRESS_TABLE_H_
