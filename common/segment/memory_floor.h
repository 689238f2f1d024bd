// When memory is low, as a pure function of what was read.
#ifndef COMMON_SEGMENT_MEMORY_FLOOR_H_
#define COMMON_SEGMENT_MEMORY_FLOOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/segment/memory_pool.h"

namespace spearfish {

struct MemoryFloorOptions {
  double floor = 0.05;  // share of a pool's total; 0 = never low
  // Low until this much is there again, so that requests on the edge don't switch it at each look.
  double clear = 0.06;

  // `floor` in [0, 1), `clear` a fifth above it.
  static MemoryFloorOptions At(double floor) { return {.floor = floor, .clear = floor * 1.2}; }
  absl::Status Validate() const;
};

// The figures are of the pool that is nearest to its floor.
struct MemoryStatus {
  bool low = false;
  std::string pool;
  uint64_t available_bytes = 0;
  uint64_t floor_bytes = 0;
};

// "4.10 GiB available in host memory, the floor is 4.60 GiB".
inline std::string Describe(const MemoryStatus& status) {
  return absl::StrCat(FormatBytes(status.available_bytes), " available in ", status.pool,
                      ", the floor is ", FormatBytes(status.floor_bytes));
}

// What `pools` say, given whether memory was low before. Pure.
MemoryStatus CheckFloor(const std::vector<MemoryPool>& pools, const MemoryFloorOptions& options,
                        bool was_low);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_MEMORY_FLOOR_H_
