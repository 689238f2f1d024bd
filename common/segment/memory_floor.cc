#include "common/segment/memory_floor.h"

#include "absl/strings/str_cat.h"

namespace spearfish {

absl::Status MemoryFloorOptions::Validate() const {
  if (floor >= 0 && floor < 1 && clear >= floor && (floor == 0 || clear < 1)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("memory floor out of range: ", floor, "; give a share below 0.8 such as 0.05"));
}

MemoryStatus CheckFloor(const std::vector<MemoryPool>& pools, const MemoryFloorOptions& options,
                        bool was_low) {
  const double floor = was_low ? options.clear : options.floor;
  const MemoryPool* const tightest = TightestPool(pools, floor);
  if (tightest == nullptr) return {};
  return {.low = options.floor > 0 && tightest->BytesAbove(floor) < 0,
          .pool = tightest->name,
          .available_bytes = tightest->available_bytes,
          .floor_bytes =
              static_cast<uint64_t>(static_cast<double>(tightest->total_bytes) * options.floor)};
}

}  // namespace spearfish
