// How often each expert was chosen, counted on the device.
#ifndef WORKER_EXPERTS_ACTIVATION_COUNTERS_H_
#define WORKER_EXPERTS_ACTIVATION_COUNTERS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/api/device.h"

namespace spearfish::worker {

// Owns device uint32 [num_moe_layers, num_experts], which only grow (modulo 2^32), and a
// page-locked copy of them. Used by the thread that enqueues steps; the device must outlive it.
class ActivationCounters {
 public:
  // Starts at zero.
  static absl::StatusOr<std::unique_ptr<ActivationCounters>> Create(kernels::Device& device,
                                                                    kernels::Stream& stream,
                                                                    uint32_t num_moe_layers,
                                                                    uint32_t num_experts);

  // [num_experts], for kernels::RouterTopkArgs.
  uint32_t* layer(uint32_t moe_layer) const;

  // Enqueues the copy of all counters to the host.
  void EnqueueRead(kernels::Stream& stream);
  // What the last read brought, [num_experts]; valid once that read has run.
  std::span<const uint32_t> counts(uint32_t moe_layer) const;

  // Page-locked host memory that it owns.
  uint64_t host_bytes() const { return host_counts_->bytes(); }

 private:
  ActivationCounters(std::unique_ptr<kernels::Buffer> device_counts,
                     std::unique_ptr<kernels::Buffer> host_counts, uint32_t num_moe_layers,
                     uint32_t num_experts)
      : device_counts_(std::move(device_counts)),
        host_counts_(std::move(host_counts)),
        num_moe_layers_(num_moe_layers),
        num_experts_(num_experts) {}
  size_t LayerOffset(uint32_t moe_layer) const;

  const std::unique_ptr<kernels::Buffer> device_counts_;
  const std::unique_ptr<kernels::Buffer> host_counts_;
  const uint32_t num_moe_layers_;
  const uint32_t num_experts_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_ACTIVATION_COUNTERS_H_
