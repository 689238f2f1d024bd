#include "worker/experts/address_table.h"

#include <algorithm>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {

absl::StatusOr<std::unique_ptr<AddressTable>> AddressTable::Create(
    kernels::Device& device, kernels::Stream& stream, uint32_t num_experts,
    std::span<const uint64_t> addresses) {
  SF_CHECK(num_experts > 0 && addresses.size() % num_experts == 0);
  SF_ASSIGN_OR_RETURN(auto device_table,
                      device.Allocate(addresses.size_bytes(), "the expert address table"));
  SF_ASSIGN_OR_RETURN(auto host_mirror, device.AllocateHost(addresses.size_bytes()));
  std::copy(addresses.begin(), addresses.end(), host_mirror->as<uint64_t>());
  stream.Copy(device_table->data(), host_mirror->data(), addresses.size_bytes());
  stream.Synchronize();
  return absl::WrapUnique(new AddressTable(std::move(device_table), std::move(host_mirror),
                                           num_experts, addresses.size()));
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
  const size_t entry = size_t{moe_layer} * num_experts_ + Index(expert);
  SF_CHECK(Index(expert) < num_experts_ && entry < num_entries_);
  return entry;
}

}  // namespace spearfish::worker
