// Whether a segment fits, asked before its first byte: a clear error instead of an OOM kill.
#ifndef COMMON_SEGMENT_MEMORY_GUARD_H_
#define COMMON_SEGMENT_MEMORY_GUARD_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/segment/memory_pool.h"

namespace spearfish {

inline constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

struct MemoryFigures {
  // ReadMemoryPools'. Empty where the mount has pages of its own (hugetlbfs): those were set aside
  // before.
  std::vector<MemoryPool> pools;
  uint64_t mount_free_bytes = 0;  // of the file system that holds the segment
  std::string mount_name;         // "/dev/shm", "2.0 MiB pages of /dev/hugepages"
  // This process's resource limits.
  uint64_t file_size_limit_bytes = kUnlimited;     // RLIMIT_FSIZE: beyond it SIGXFSZ
  uint64_t address_space_left_bytes = kUnlimited;  // RLIMIT_AS less what is mapped
};

// `root` is the folder that /proc and /sys are looked up in (tests); "" for this host.
absl::StatusOr<MemoryFigures> ReadMemoryFigures(const std::string& directory,
                                                const std::string& root = "");

// ResourceExhausted, with the bytes needed, the bytes there are and what it is that binds, unless
// `needed_bytes` fit in every pool less `margin` (a share of the pool's total), in the mount and in
// the resource limits.
absl::Status CheckMemory(uint64_t needed_bytes, const MemoryFigures& figures, double margin);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_MEMORY_GUARD_H_
