#include "common/segment/memory_floor.h"

#include <gtest/gtest.h>

#include "common/base/bytes.h"

namespace spearfish {
namespace {

std::vector<MemoryPool> Host(uint64_t available_mib) {
  return {
      {.name = "host memory", .total_bytes = 1000 * kMiB, .available_bytes = available_mib * kMiB}};
}

TEST(MemoryFloor, LowBelowTheFloorUntilSomewhatAboveIt) {
  const MemoryFloorOptions options = MemoryFloorOptions::At(0.05);
  EXPECT_FALSE(CheckFloor(Host(50), options, false).low);
  EXPECT_TRUE(CheckFloor(Host(49), options, false).low);
  EXPECT_TRUE(CheckFloor(Host(59), options, true).low);
  EXPECT_FALSE(CheckFloor(Host(61), options, true).low);
}

TEST(MemoryFloor, TellsTheFiguresOfTheTightestPool) {
  std::vector<MemoryPool> pools = Host(900);
  pools.push_back({.name = "cgroup /a", .total_bytes = 200 * kMiB, .available_bytes = 8 * kMiB});
  const MemoryStatus status = CheckFloor(pools, MemoryFloorOptions::At(0.05), false);
  EXPECT_TRUE(status.low);
  EXPECT_EQ(Describe(status), "8.0 MiB available in cgroup /a, the floor is 10.0 MiB");
}

TEST(MemoryFloor, ZeroIsOff) {
  const MemoryFloorOptions off = MemoryFloorOptions::At(0);
  EXPECT_TRUE(off.Validate().ok());
  EXPECT_FALSE(CheckFloor(Host(0), off, false).low);
}

TEST(MemoryFloor, RefusesSharesThatNoHostHas) {
  for (const double floor : {-0.1, 0.9, 1.0, 5.0}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MemoryFloorOptions::At(floor).Validate())) << floor;
  }
}

}  // namespace
}  // namespace spearfish
