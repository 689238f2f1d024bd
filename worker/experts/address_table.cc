#include "worker/experts/address_table.h"

#include <algorithm>

#include "absl/memory/memory.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

// Entries from one layer to the next: kernels want every layer's row 16-byte aligned.
size_t LayerStride(uint32_t num_experts) { return AlignUp(num_experts, 2); }

}  // namespace

absl::StatusOr<std::unique_ptr<AddressTable>> AddressTable::Create(
    kernels::Device& device, kernels::Stream& stream, uint32_t num_experts,
    std::span<const uint64_t> addresses) {
  SF_CHECK(num_experts > 0 && addresses.size() % num_experts == 0);
  const auto num_layers = static_cast<uint32_t>(addresses.size() / num_experts);
  const size_t stride = LayerStride(num_experts);
  const size_t bytes = num_layers * stride * sizeof(uint64_t);
  SF_ASSIGN_OR_RETURN(auto device_table, device.Allocate(bytes, "the expert address table"));
  SF_ASSIGN_OR_RETURN(auto host_mirror, device.AllocateHost(bytes));
  auto* mirror = host_mirror->as<uint64_t>();
  std::fill_n(mirror, num_layers * stride, 0);
  for (size_t layer = 0; layer < num_layers; ++layer) {
    const auto row = addresses.subspan(layer * num_experts, num_experts);
    std::copy(row.begin(), row.end(), mirror + layer * stride);
  }
  stream.Copy(device_table->data(), mirror, bytes);
  stream.Synchronize();
  return absl::WrapUnique(
      new AddressTable(std::move(device_table), std::move(host_mirror), num_layers, num_experts));
}

const uint64_t* AddressTable::layer(uint32_t moe_layer) const {
  return device_table_->as<uint64_t>() + EntryIndex(moe_layer, ExpertId{0});
}

uint64_t AddressTable::address(uint32_t moe_layer, ExpertId expert) const {
  return host_mirror_->as<uint64_t>()[EntryIndex(moe_layer, expert)];
}

void AddressTable::Set(uint32_t moe_layer, ExpertId expert, uint64_t address,
                       kernels::Stream& stream) {
  const size_t entry = EntryIndex(moe_layer, expert);
  host_mirror_->as<uint64_t>()[entry] = address;
  stream.Copy(device_table_->as<uint64_t>() + entry, host_mirror_->as<uint64_t>() + entry,
              sizeof(uint64_t));
}

size_t AddressTable::EntryIndex(uint32_t moe_layer, ExpertId expert) const {
  SF_CHECK(moe_layer < num_moe_layers_ && Index(expert) < num_experts_);
  return moe_layer * LayerStride(num_experts_) + Index(expert);
}

}  // namespace spearfish::worker
