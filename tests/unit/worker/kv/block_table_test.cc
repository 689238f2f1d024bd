#include "worker/kv/block_table.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "worker/kv/fixed_block_source.h"

namespace spearfish::worker {
namespace {

TEST(BlockTableTest, GrowsByWholeBlocks) {
  FixedBlockSource source(4);
  BlockAllocator allocator(source);
  BlockTable table(allocator, 16);
  EXPECT_TRUE(table.Grow(0));
  EXPECT_EQ(table.blocks().size(), 0u);
  EXPECT_TRUE(table.Grow(1));
  EXPECT_EQ(table.blocks().size(), 1u);
  EXPECT_TRUE(table.Grow(16));
  EXPECT_EQ(table.blocks().size(), 1u);
  EXPECT_EQ(table.BlocksNeeded(17), 1u);
  EXPECT_TRUE(table.Grow(17));
  EXPECT_EQ(table.blocks().size(), 2u);
  EXPECT_EQ(table.capacity_tokens(), 32u);
  EXPECT_EQ(allocator.num_used(), 2u);
}

TEST(BlockTableTest, KeepsItsBlocksInOrderWhenItGrows) {
  FixedBlockSource source(4);
  BlockAllocator allocator(source);
  BlockTable table(allocator, 2);
  ASSERT_TRUE(table.Grow(4));
  const std::vector<uint32_t> before(table.blocks().begin(), table.blocks().end());
  ASSERT_TRUE(table.Grow(8));
  EXPECT_EQ(std::vector<uint32_t>(table.blocks().begin(), table.blocks().begin() + 2), before);
}

TEST(BlockTableTest, TakesNothingWhenNotAllFit) {
  FixedBlockSource source(3);
  BlockAllocator allocator(source);
  BlockTable table(allocator, 16);
  ASSERT_TRUE(table.Grow(16));
  EXPECT_FALSE(table.Grow(16 * 4));
  EXPECT_EQ(table.blocks().size(), 1u);
  EXPECT_EQ(allocator.num_free(), 2u);
  EXPECT_TRUE(table.Grow(16 * 3));
}

TEST(BlockTableTest, GivesBlocksBackAtTheEnd) {
  FixedBlockSource source(3);
  BlockAllocator allocator(source);
  {
    BlockTable table(allocator, 16);
    ASSERT_TRUE(table.Grow(48));
    EXPECT_EQ(allocator.num_free(), 0u);
  }
  EXPECT_EQ(allocator.num_free(), 3u);
}

TEST(BlockTableTest, MovesOwnership) {
  FixedBlockSource source(4);
  BlockAllocator allocator(source);
  BlockTable table(allocator, 16);
  ASSERT_TRUE(table.Grow(32));
  BlockTable moved(std::move(table));
  EXPECT_EQ(moved.blocks().size(), 2u);
  EXPECT_EQ(allocator.num_used(), 2u);

  BlockTable other(allocator, 16);
  ASSERT_TRUE(other.Grow(16));
  other = std::move(moved);
  EXPECT_EQ(other.blocks().size(), 2u);
  EXPECT_EQ(allocator.num_used(), 2u);
  other.Clear();
  EXPECT_EQ(allocator.num_used(), 0u);
}

TEST(BlockTableTest, ASequenceOfTheLargestLengthDoesNotOverflow) {
  FixedBlockSource source(1);
  BlockAllocator allocator(source);
  BlockTable table(allocator, 16);
  EXPECT_EQ(table.BlocksNeeded(0xffffffffu), 0x10000000u);
  EXPECT_FALSE(table.Grow(0xffffffffu));
}

}  // namespace
}  // namespace spearfish::worker
