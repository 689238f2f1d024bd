// The cache's records as the device sees them: in place, without a copy.
#ifndef WORKER_EXPERTS_REGISTERED_RECORDS_H_
#define WORKER_EXPERTS_REGISTERED_RECORDS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/bytes.h"
#include "common/expert_cache/cache_view.h"
#include "kernels/api/device.h"

namespace spearfish::worker {

// Owns the host registrations of one cache image; the image and the device must outlive it.
// Registered in pieces, each a run of whole records, so that no single call pins the whole host
// and no record crosses two registrations. Immutable after Create.
class RegisteredRecords {
 public:
  static constexpr uint64_t kMaxPieceBytes = 32 * kGiB;

  static absl::StatusOr<std::unique_ptr<RegisteredRecords>> Create(
      const CacheView& cache, kernels::Device& device, uint64_t max_piece_bytes = kMaxPieceBytes);

  // The device's address of every record, [num_moe_layers, num_experts]: MoE layers in order.
  std::span<const uint64_t> addresses() const { return addresses_; }
  size_t num_pieces() const { return registrations_.size(); }

 private:
  RegisteredRecords() = default;

  std::vector<std::unique_ptr<kernels::HostRegistration>> registrations_;
  std::vector<uint64_t> addresses_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_REGISTERED_RECORDS_H_
