// One reservation of address space, cut into 256-byte aligned ranges: the CPU device's "VRAM".
#ifndef KERNELS_CPU_ARENA_H_
#define KERNELS_CPU_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"

namespace spearfish::kernels {

// First fit by address; neighbours are joined on Free. Pages cost memory only once they are
// touched. Thread-safe. Must outlive every range handed out. Under AddressSanitizer all bytes
// outside live ranges are poisoned.
class Arena {
 public:
  static constexpr size_t kAlignment = 256;

  // Reserves `budget_bytes` (rounded down to the alignment). ResourceExhausted when the kernel
  // refuses the address range, InvalidArgument for less than one unit.
  static absl::StatusOr<std::unique_ptr<Arena>> Create(uint64_t budget_bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // ResourceExhausted with needed, free and largest free bytes; `what` names the use.
  absl::StatusOr<std::byte*> Allocate(size_t bytes, absl::string_view what);
  // `data` came from Allocate and was not freed since.
  void Free(std::byte* data);

  uint64_t budget_bytes() const { return budget_bytes_; }
  uint64_t allocated_bytes() const;

 private:
  Arena(std::byte* base, uint64_t budget_bytes);

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

#endif  // KERNELS_CPU_ARENA_H_
