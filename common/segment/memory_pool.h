// The supplies of memory that this process draws from: the host's, and what its cgroups may have.
#ifndef COMMON_SEGMENT_MEMORY_POOL_H_
#define COMMON_SEGMENT_MEMORY_POOL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace spearfish {

struct MemoryPool {
  std::string name;              // "host memory", "cgroup /sys/fs/cgroup/memory/batch"
  uint64_t total_bytes = 0;      // MemTotal, or the cgroup's limit
  uint64_t available_bytes = 0;  // without swapping: page cache that can be dropped counts

  // What is left after `margin` (a share of the total); negative below it.
  int64_t BytesAbove(double margin) const {
    return static_cast<int64_t>(available_bytes) -
           static_cast<int64_t>(static_cast<double>(total_bytes) * margin);
  }
};

// The host's memory, then each cgroup's with a limit. `root` is the folder that /proc and /sys are
// looked up in (tests); "" for this host.
absl::StatusOr<std::vector<MemoryPool>> ReadMemoryPools(const std::string& root = "");

// The pool that leaves least above `margin`; null when there is none.
const MemoryPool* TightestPool(const std::vector<MemoryPool>& pools, double margin);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_MEMORY_POOL_H_
