#include "kernels/cuda/device_arena.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <iterator>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "kernels/cuda/cuda_check.h"

namespace spearfish::kernels {

absl::StatusOr<std::unique_ptr<DeviceArena>> DeviceArena::Create(uint64_t budget_bytes) {
  const uint64_t usable = budget_bytes / kAlignment * kAlignment;
  if (usable == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("device budget too small: ", FormatBytes(budget_bytes), "; give at least ",
                     FormatBytes(kAlignment)));
  }
  size_t free = 0;
  size_t total = 0;
  SF_CUDA(cudaMemGetInfo(&free, &total));
  void* base = nullptr;
  if (usable > free || cudaMalloc(&base, usable) != cudaSuccess) {
    (void)cudaGetLastError();  // out of memory is not sticky
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot reserve device memory: ", FormatBytes(usable), " of ",
                     FormatBytes(total), ", ", FormatBytes(free), " are free; lower the budget"));
  }
  return absl::WrapUnique(new DeviceArena(static_cast<std::byte*>(base), usable));
}

DeviceArena::DeviceArena(std::byte* base, uint64_t budget_bytes)
    : base_(base), budget_bytes_(budget_bytes) {
  MutexLock lock(mutex_);
  free_.emplace(0, budget_bytes);
}

DeviceArena::~DeviceArena() { SF_CUDA(cudaFree(base_)); }

absl::StatusOr<std::byte*> DeviceArena::Allocate(size_t bytes, absl::string_view what) {
  MutexLock lock(mutex_);
  // The first comparison also keeps AlignUp from wrapping.
  if (bytes > budget_bytes_) return Exhausted(bytes, what);
  const uint64_t needed = std::max<uint64_t>(AlignUp(bytes, kAlignment), kAlignment);
  const auto range = std::find_if(free_.begin(), free_.end(),
                                  [needed](const auto& entry) { return entry.second >= needed; });
  if (range == free_.end()) return Exhausted(needed, what);

  const auto [offset, available] = *range;
  free_.erase(range);
  if (available > needed) free_.emplace(offset + needed, available - needed);
  used_.emplace(offset, needed);
  allocated_bytes_ += needed;
  return base_ + offset;
}

void DeviceArena::Free(std::byte* data) {
  MutexLock lock(mutex_);
  const auto used = used_.find(static_cast<uint64_t>(data - base_));
  SF_CHECK(used != used_.end());
  auto [offset, bytes] = *used;
  used_.erase(used);
  allocated_bytes_ -= bytes;

  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + bytes == next->first) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      previous->second += bytes;
      return;
    }
  }
  free_.emplace(offset, bytes);
}

uint64_t DeviceArena::allocated_bytes() const {
  MutexLock lock(mutex_);
  return allocated_bytes_;
}

absl::Status DeviceArena::Exhausted(uint64_t needed, absl::string_view what) const {
  uint64_t largest = 0;
  for (const auto& [offset, bytes] : free_) largest = std::max(largest, bytes);
  return absl::ResourceExhaustedError(absl::StrCat(
      "device memory exhausted: ", what, " needs ", FormatBytes(needed), "; ",
      FormatBytes(budget_bytes_ - allocated_bytes_), " of ", FormatBytes(budget_bytes_),
      " are free, the largest range ", FormatBytes(largest), "; raise the device's budget"));
}

}  // namespace spearfish::kernels
