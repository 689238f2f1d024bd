#include "worker/experts/address_table.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

// Entries from one layer to the next: kernels want every layer's row 16-byte aligned.
size_t LayerStride(uint32_t num_experts) { return AlignUp(num_experts, 2); }

// Clean rows between two dirty ones are copied along up to this many bytes: they cross a link of
// 50 GB/s in less time than one more copy takes to call (1.2 us).
constexpr uint64_t kMaxCleanBytes = 32 * kKiB;

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
  SF_ASSIGN_OR_RETURN(auto uploaded, device.CreateEvent());
  auto* mirror = host_mirror->as<uint64_t>();
  std::fill_n(mirror, num_layers * stride, 0);
  for (size_t layer = 0; layer < num_layers; ++layer) {
    const auto row = addresses.subspan(layer * num_experts, num_experts);
    std::copy(row.begin(), row.end(), mirror + layer * stride);
  }
  stream.Copy(device_table->data(), mirror, bytes);
  stream.Synchronize();
  return absl::WrapUnique(new AddressTable({.device_table = std::move(device_table),
                                            .host_mirror = std::move(host_mirror),
                                            .uploaded = std::move(uploaded)},
                                           num_layers, num_experts));
}

AddressTable::AddressTable(Parts parts, uint32_t num_moe_layers, uint32_t num_experts)
    : device_table_(std::move(parts.device_table)),
      host_mirror_(std::move(parts.host_mirror)),
      uploaded_(std::move(parts.uploaded)),
      num_moe_layers_(num_moe_layers),
      num_experts_(num_experts),
      layer_dirty_(num_moe_layers, false) {}

AddressTable::~AddressTable() { uploaded_->Synchronize(); }

const uint64_t* AddressTable::layer(uint32_t moe_layer) const {
  return device_table_->as<uint64_t>() + EntryIndex(moe_layer, ExpertId{0});
}

uint64_t AddressTable::address(uint32_t moe_layer, ExpertId expert) const {
  return host_mirror_->as<uint64_t>()[EntryIndex(moe_layer, expert)];
}

void AddressTable::Set(uint32_t moe_layer, ExpertId expert, uint64_t address) {
  const size_t entry = EntryIndex(moe_layer, expert);
  if (!dirty()) uploaded_->Synchronize();
  host_mirror_->as<uint64_t>()[entry] = address;
  if (!layer_dirty_[moe_layer]) ++num_dirty_layers_;
  layer_dirty_[moe_layer] = true;
}

void AddressTable::Flush(kernels::Stream& stream) {
  if (!dirty()) return;
  const size_t row_bytes = LayerStride(num_experts_) * sizeof(uint64_t);
  const auto max_clean_rows = static_cast<uint32_t>(kMaxCleanBytes / row_bytes);
  const auto upload = [&](uint32_t begin, uint32_t end) {
    stream.Copy(device_table_->as<std::byte>() + begin * row_bytes,
                host_mirror_->as<std::byte>() + begin * row_bytes, (end - begin) * row_bytes);
  };
  uint32_t begin = 0;  // of the run of rows that the next copy takes
  uint32_t end = 0;
  for (uint32_t layer = 0; layer < num_moe_layers_; ++layer) {
    if (!layer_dirty_[layer]) continue;
    if (end > begin && layer - end > max_clean_rows) {
      upload(begin, end);
      begin = end = 0;
    }
    if (begin == end) begin = layer;
    end = layer + 1;
  }
  upload(begin, end);
  std::fill(layer_dirty_.begin(), layer_dirty_.end(), false);
  num_dirty_layers_ = 0;
  stream.Record(*uploaded_);
}

size_t AddressTable::EntryIndex(uint32_t moe_layer, ExpertId expert) const {
  SF_CHECK(moe_layer < num_moe_layers_ && Index(expert) < num_experts_);
  return moe_layer * LayerStride(num_experts_) + Index(expert);
}

}  // namespace spearfish::worker
