#include "worker/kv/block_allocator.h"

#include <algorithm>
#include <bit>

#include "common/base/check.h"

namespace spearfish::worker {
namespace {

constexpr uint32_t kWordBits = 64;

constexpr uint64_t BitOf(uint32_t block) { return uint64_t{1} << (block % kWordBits); }

}  // namespace

BlockAllocator::BlockAllocator(BlockSource& source)
    : source_(source),
      blocks_per_extent_(source.blocks_per_extent()),
      num_reserved_extents_(source.num_reserved_extents()) {
  SF_CHECK(blocks_per_extent_ > 0 && source.num_blocks() % blocks_per_extent_ == 0);
  extents_.resize(source.num_blocks() / blocks_per_extent_);
  free_.resize((source.num_blocks() + kWordBits - 1) / kWordBits, 0);
  SF_CHECK(num_reserved_extents_ <= extents_.size());
  for (uint32_t extent = 0; extent < num_reserved_extents_; ++extent) AddExtent(extent);
}

BlockAllocator::~BlockAllocator() {
  for (uint32_t extent = num_reserved_extents_; extent < extents_.size(); ++extent) {
    if (extents_[extent].here) source_.Release(extent);
  }
}

bool BlockAllocator::IsFree(uint32_t block) const {
  return (free_[block / kWordBits] & BitOf(block)) != 0;
}

void BlockAllocator::AddExtent(uint32_t extent) {
  SF_CHECK(extent < extents_.size() && !extents_[extent].here);
  extents_[extent].here = true;
  const uint32_t begin = extent * blocks_per_extent_;
  for (uint32_t b = begin; b < begin + blocks_per_extent_; ++b) free_[b / kWordBits] |= BitOf(b);
  lowest_word_ = std::min<size_t>(lowest_word_, begin / kWordBits);
  num_free_here_ += blocks_per_extent_;
  if (extent >= num_reserved_extents_) ++num_empty_claimed_;
}

void BlockAllocator::RemoveExtent(uint32_t extent) {
  extents_[extent].here = false;
  const uint32_t begin = extent * blocks_per_extent_;
  for (uint32_t b = begin; b < begin + blocks_per_extent_; ++b) free_[b / kWordBits] &= ~BitOf(b);
  num_free_here_ -= blocks_per_extent_;
  --num_empty_claimed_;
}

std::optional<uint32_t> BlockAllocator::Allocate() {
  if (num_free_here_ == 0) {
    const std::optional<uint32_t> claimed = source_.Claim();
    if (!claimed) return std::nullopt;
    SF_CHECK(*claimed >= num_reserved_extents_);
    AddExtent(*claimed);
  }
  while (free_[lowest_word_] == 0) ++lowest_word_;
  const auto block = static_cast<uint32_t>(lowest_word_ * kWordBits) +
                     static_cast<uint32_t>(std::countr_zero(free_[lowest_word_]));
  free_[lowest_word_] &= ~BitOf(block);
  const uint32_t extent = block / blocks_per_extent_;
  if (extents_[extent].num_used++ == 0 && extent >= num_reserved_extents_) --num_empty_claimed_;
  --num_free_here_;
  ++num_used_;
  return block;
}

void BlockAllocator::Free(uint32_t block) {
  SF_CHECK(block < num_blocks());
  const uint32_t extent = block / blocks_per_extent_;
  SF_CHECK(extents_[extent].here && !IsFree(block));  // freed twice otherwise
  free_[block / kWordBits] |= BitOf(block);
  lowest_word_ = std::min<size_t>(lowest_word_, block / kWordBits);
  if (--extents_[extent].num_used == 0 && extent >= num_reserved_extents_) ++num_empty_claimed_;
  ++num_free_here_;
  --num_used_;
}

void BlockAllocator::Trim() {
  for (auto extent = static_cast<uint32_t>(extents_.size()); extent-- > num_reserved_extents_;) {
    if (num_empty_claimed_ == 0 || num_free_here_ < 2 * blocks_per_extent_) return;
    if (!extents_[extent].here || extents_[extent].num_used > 0) continue;
    RemoveExtent(extent);
    source_.Release(extent);
  }
}

}  // namespace spearfish::worker
