// Hands out the ids of KV cache blocks.
#ifndef WORKER_KV_BLOCK_ALLOCATOR_H_
#define WORKER_KV_BLOCK_ALLOCATOR_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "worker/kv/block_source.h"

namespace spearfish::worker {

// Pure bookkeeping: it owns ids, not memory. Used by one thread (the engine's); the source must
// outlive it and be used by nobody else meanwhile.
// Invariant: a block of an extent that it has is either free or held by exactly one caller; blocks
// of other extents are neither. The reserved extents are its own from the start, others from a
// claim to a release.
class BlockAllocator {
 public:
  explicit BlockAllocator(BlockSource& source);
  // Releases what was claimed; no block is held any more.
  ~BlockAllocator();
  BlockAllocator(const BlockAllocator&) = delete;
  BlockAllocator& operator=(const BlockAllocator&) = delete;

  uint32_t num_blocks() const { return source_.num_blocks(); }
  // Blocks that Allocate could give now, those of extents that it would have to claim included. May
  // change between steps without a call here, as the source's frames are used for other things.
  uint32_t num_free() const {
    return num_free_here_ + source_.num_claimable_extents() * blocks_per_extent_;
  }
  uint32_t num_used() const { return num_used_; }

  // The lowest free id of the extents it has, so that the higher ones empty; claims an extent when
  // there is none. Nothing when num_free() is 0.
  std::optional<uint32_t> Allocate();

  // Takes a held block back. O(1). A block that is not held is a CHECK failure.
  void Free(uint32_t block);

  // Releases claimed extents that are wholly free, higher ones first, as long as one extent's worth
  // of free blocks stays: a sequence that ends and one that begins don't move frames to and fro.
  // Between steps. O(1) when there is nothing to release.
  void Trim();

 private:
  struct Extent {
    bool here = false;  // reserved or claimed
    uint32_t num_used = 0;
  };

  bool IsFree(uint32_t block) const;
  void AddExtent(uint32_t extent);
  void RemoveExtent(uint32_t extent);

  BlockSource& source_;
  const uint32_t blocks_per_extent_;
  const uint32_t num_reserved_extents_;
  std::vector<Extent> extents_;
  // Bit b % 64 of word b / 64: block b is free. No word below lowest_word_ has a bit.
  std::vector<uint64_t> free_;
  size_t lowest_word_ = 0;
  uint32_t num_free_here_ = 0;
  uint32_t num_used_ = 0;
  uint32_t num_empty_claimed_ = 0;  // claimed extents that are wholly free
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_BLOCK_ALLOCATOR_H_
