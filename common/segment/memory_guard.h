// Whether a segment fits, asked before its first byte: a clear error instead of an OOM kill.
#ifndef COMMON_SEGMENT_MEMORY_GUARD_H_
#define COMMON_SEGMENT_MEMORY_GUARD_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace spearfish {

struct MemoryFigures {
  uint64_t total_bytes = 0;       // MemTotal
  uint64_t available_bytes = 0;   // MemAvailable
  uint64_t mount_free_bytes = 0;  // of the file system that holds the segment
};

absl::StatusOr<MemoryFigures> ReadMemoryFigures(const std::string& directory);

// ResourceExhausted, with the bytes needed and the bytes there are, unless `needed_bytes` fit in
// what is available less `margin` (a share of the total) and in the mount.
absl::Status CheckMemory(uint64_t needed_bytes, const MemoryFigures& figures, double margin,
                         const std::string& directory);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_MEMORY_GUARD_H_
