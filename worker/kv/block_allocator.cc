#include "worker/kv/block_allocator.h"

#include "common/base/check.h"

namespace spearfish::worker {

BlockAllocator::BlockAllocator(uint32_t num_blocks) : held_(num_blocks, false) {
  free_.reserve(num_blocks);
  for (uint32_t block = num_blocks; block > 0; --block) free_.push_back(block - 1);
}

std::optional<uint32_t> BlockAllocator::Allocate() {
  if (free_.empty()) return std::nullopt;
  const uint32_t block = free_.back();
  free_.pop_back();
  held_[block] = true;
  return block;
}

void BlockAllocator::Free(uint32_t block) {
  SF_CHECK(block < num_blocks());
  SF_CHECK(held_[block]);  // freed twice otherwise
  held_[block] = false;
  free_.push_back(block);
}

}  // namespace spearfish::worker
