// One allocation of device memory, cut into 256-byte aligned ranges.
#ifndef KERNELS_CUDA_DEVICE_ARENA_H_
#define KERNELS_CUDA_DEVICE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"

namespace spearfish::kernels {

// Owns the budget as one cudaMalloc; first fit by address, neighbours are joined on Free, and the
// books are kept on the host. Thread-safe. Must outlive every range handed out.
class DeviceArena {
 public:
  static constexpr size_t kAlignment = 256;

  // Allocates `budget_bytes` (rounded down to the alignment) on the current device.
  // ResourceExhausted when the device does not have them, InvalidArgument for less than one unit.
  static absl::StatusOr<std::unique_ptr<DeviceArena>> Create(uint64_t budget_bytes);
  ~DeviceArena();
  DeviceArena(const DeviceArena&) = delete;
  DeviceArena& operator=(const DeviceArena&) = delete;

  // ResourceExhausted with needed, free and largest free bytes; `what` names the use.
  absl::StatusOr<std::byte*> Allocate(size_t bytes, absl::string_view what);
  // `data` came from Allocate, was not freed since, and no enqueued work touches it.
  void Free(std::byte* data);

  uint64_t budget_bytes() const { return budget_bytes_; }
  std::span<const std::byte> memory() const { return {base_, budget_bytes_}; }
  uint64_t allocated_bytes() const;

 private:
  DeviceArena(std::byte* base, uint64_t budget_bytes);

  absl::Status Exhausted(uint64_t needed, absl::string_view what) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::byte* const base_;
  const uint64_t budget_bytes_;

  mutable Mutex mutex_;
  // Offset -> bytes. Free ranges never touch each other.
  std::map<uint64_t, uint64_t> free_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, uint64_t> used_ ABSL_GUARDED_BY(mutex_);
  uint64_t allocated_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_DEVICE_ARENA_H_
