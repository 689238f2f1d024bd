#include "worker/kv/block_allocator.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>

namespace spearfish::worker {
namespace {

TEST(BlockAllocatorTest, HandsOutEveryBlockOnce) {
  BlockAllocator allocator(5);
  std::set<uint32_t> seen;
  for (uint32_t i = 0; i < 5; ++i) {
    const std::optional<uint32_t> block = allocator.Allocate();
    ASSERT_TRUE(block.has_value());
    EXPECT_LT(*block, 5u);
    EXPECT_TRUE(seen.insert(*block).second);
    EXPECT_EQ(allocator.num_free(), 4 - i);
    EXPECT_EQ(allocator.num_used(), i + 1);
  }
  EXPECT_EQ(allocator.Allocate(), std::nullopt);
}

TEST(BlockAllocatorTest, ReusesTheLastFreedFirst) {
  BlockAllocator allocator(4);
  const uint32_t first = *allocator.Allocate();
  const uint32_t second = *allocator.Allocate();
  allocator.Free(second);
  allocator.Free(first);
  EXPECT_EQ(allocator.Allocate(), first);
  EXPECT_EQ(allocator.Allocate(), second);
}

TEST(BlockAllocatorTest, WithoutBlocksHasNoneToGive) {
  BlockAllocator allocator(0);
  EXPECT_EQ(allocator.num_free(), 0u);
  EXPECT_EQ(allocator.Allocate(), std::nullopt);
}

TEST(BlockAllocatorDeathTest, ChecksDoubleFree) {
  BlockAllocator allocator(2);
  const uint32_t block = *allocator.Allocate();
  allocator.Free(block);
  EXPECT_DEATH(allocator.Free(block), "held_");
}

TEST(BlockAllocatorDeathTest, ChecksForeignId) {
  BlockAllocator allocator(2);
  EXPECT_DEATH(allocator.Free(2), "num_blocks");
}

}  // namespace
}  // namespace spearfish::worker
