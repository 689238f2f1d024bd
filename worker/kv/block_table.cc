#include "worker/kv/block_table.h"

#include <optional>
#include <utility>

#include "common/base/check.h"

namespace spearfish::worker {

BlockTable::BlockTable(BlockAllocator& allocator, uint32_t block_tokens)
    : allocator_(&allocator), block_tokens_(block_tokens) {
  SF_CHECK(block_tokens > 0);
}

BlockTable::BlockTable(BlockTable&& other) noexcept
    : allocator_(other.allocator_),
      block_tokens_(other.block_tokens_),
      blocks_(std::exchange(other.blocks_, {})) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this == &other) return *this;
  Clear();
  allocator_ = other.allocator_;
  block_tokens_ = other.block_tokens_;
  blocks_ = std::exchange(other.blocks_, {});
  return *this;
}

uint32_t BlockTable::BlocksNeeded(uint32_t num_tokens) const {
  const uint64_t wanted = (uint64_t{num_tokens} + block_tokens_ - 1) / block_tokens_;
  return wanted > blocks_.size() ? static_cast<uint32_t>(wanted - blocks_.size()) : 0;
}

bool BlockTable::Grow(uint32_t num_tokens) {
  const uint32_t needed = BlocksNeeded(num_tokens);
  if (needed > allocator_->num_free()) return false;
  for (uint32_t i = 0; i < needed; ++i) {
    const std::optional<uint32_t> block = allocator_->Allocate();
    SF_CHECK(block.has_value());
    blocks_.push_back(*block);
  }
  return true;
}

void BlockTable::Clear() {
  for (const uint32_t block : blocks_) allocator_->Free(block);
  blocks_.clear();
}

}  // namespace spearfish::worker
