#include "worker/experts/activation_counters.h"

#include "absl/memory/memory.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

// Counters from one layer to the next: kernels want every layer's row 16-byte aligned.
size_t LayerStride(uint32_t num_experts) { return AlignUp(num_experts, 4); }

}  // namespace

absl::StatusOr<std::unique_ptr<ActivationCounters>> ActivationCounters::Create(
    kernels::Device& device, kernels::Stream& stream, uint32_t num_moe_layers,
    uint32_t num_experts) {
  const size_t bytes = num_moe_layers * LayerStride(num_experts) * sizeof(uint32_t);
  SF_ASSIGN_OR_RETURN(auto device_counts, device.Allocate(bytes, "the expert activation counters"));
  SF_ASSIGN_OR_RETURN(auto host_counts, device.AllocateHost(bytes));
  stream.Fill(device_counts->data(), 0, bytes);
  auto counters = absl::WrapUnique(new ActivationCounters(
      std::move(device_counts), std::move(host_counts), num_moe_layers, num_experts));
  counters->EnqueueRead(stream);
  stream.Synchronize();
  return counters;
}

size_t ActivationCounters::LayerOffset(uint32_t moe_layer) const {
  SF_CHECK(moe_layer < num_moe_layers_);
  return moe_layer * LayerStride(num_experts_);
}

uint32_t* ActivationCounters::layer(uint32_t moe_layer) const {
  return device_counts_->as<uint32_t>() + LayerOffset(moe_layer);
}

void ActivationCounters::EnqueueRead(kernels::Stream& stream) {
  const size_t bytes = num_moe_layers_ * LayerStride(num_experts_) * sizeof(uint32_t);
  stream.Copy(host_counts_->data(), device_counts_->data(), bytes);
}

std::span<const uint32_t> ActivationCounters::counts(uint32_t moe_layer) const {
  return {host_counts_->as<uint32_t>() + LayerOffset(moe_layer), num_experts_};
}

}  // namespace spearfish::worker
