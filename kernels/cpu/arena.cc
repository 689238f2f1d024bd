#include "kernels/cpu/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/base/config.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/check.h"

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace spearfish::kernels {

absl::StatusOr<std::unique_ptr<Arena>> Arena::Create(uint64_t budget_bytes) {
  const uint64_t usable = budget_bytes / kAlignment * kAlignment;
  if (usable == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("device budget too small: ", FormatBytes(budget_bytes), "; give at least ",
                     FormatBytes(kAlignment)));
  }
  void* base = mmap(nullptr, usable, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot reserve device memory: ", FormatBytes(usable), ": ",
                     std::strerror(errno), "; lower the budget"));
  }
  // Weights are streamed once a token: large pages save the translation misses. Best effort.
  (void)madvise(base, usable, MADV_HUGEPAGE);
  return absl::WrapUnique(new Arena(static_cast<std::byte*>(base), usable));
}

Arena::Arena(std::byte* base, uint64_t budget_bytes) : base_(base), budget_bytes_(budget_bytes) {
  MutexLock lock(mutex_);
  free_.emplace(0, budget_bytes);
  ASAN_POISON_MEMORY_REGION(base_, budget_bytes_);
}

Arena::~Arena() {
  ASAN_UNPOISON_MEMORY_REGION(base_, budget_bytes_);
  munmap(base_, budget_bytes_);
}

absl::StatusOr<std::byte*> Arena::Allocate(size_t bytes, absl::string_view what) {
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
  ASAN_UNPOISON_MEMORY_REGION(base_ + offset, bytes);
  return base_ + offset;
}

void Arena::Free(std::byte* data) {
  MutexLock lock(mutex_);
  const auto used = used_.find(static_cast<uint64_t>(data - base_));
  SF_CHECK(used != used_.end());
  auto [offset, bytes] = *used;
  ASAN_POISON_MEMORY_REGION(base_ + offset, bytes);
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

uint64_t Arena::allocated_bytes() const {
  MutexLock lock(mutex_);
  return allocated_bytes_;
}

absl::Status Arena::Exhausted(uint64_t needed, absl::string_view what) const {
  uint64_t largest = 0;
  for (const auto& [offset, bytes] : free_) largest = std::max(largest, bytes);
  return absl::ResourceExhaustedError(absl::StrCat(
      "device memory exhausted: ", what, " needs ", FormatBytes(needed), "; ",
      FormatBytes(budget_bytes_ - allocated_bytes_), " of ", FormatBytes(budget_bytes_),
      " are free, the largest range ", FormatBytes(largest), "; raise the device's budget"));
}

}  // namespace spearfish::kernels
